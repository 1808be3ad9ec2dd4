import { pipeline, type FeatureExtractionOptions, type FeatureExtractionPipeline, type Tensor } from '../index.node.ts'
import { expected } from '../errors.ts'
import { batches, type Entry } from './lines.ts'
import { adaptedOptions, type InputOptions, type ModelOptions, type OutputOptions } from './options.ts'
import { needsFile, NpyWriter, openSink, TableWriter, type Sink } from './output.ts'
import { openProgress } from './progress.ts'

export const FORMATS = ['jsonl', 'npy', 'table'] as const
type Format = (typeof FORMATS)[number]

/** How texts become vectors. */
export interface VectorOptions extends ModelOptions, InputOptions, OutputOptions {
  readonly adapter?: string
  readonly pooling: 'auto' | 'mean' | 'cls'
  readonly prompt?: string
  readonly promptName?: string
  readonly maxLength?: number
}

export interface EmbedOptions extends VectorOptions {
  readonly format?: Format
  readonly normalize: boolean
  readonly batchSize: number
  readonly precision: number
  readonly text: boolean
}

/** Takes the vectors of texts, in order. */
interface Writer {
  write(entries: readonly Entry[], vectors: Tensor): Promise<void>
  finish(): Promise<void>
}

/** `bertlet embed`: a vector for every text. */
export async function embed(texts: readonly string[], options: EmbedOptions, signal: AbortSignal): Promise<void> {
  const format = formatOf(options)
  const sink = await openSink(options.output, signal)
  if (format === 'npy') needsFile(sink)
  const progress = await openProgress({ rows: options.output === undefined && process.stdout.isTTY })
  let model: FeatureExtractionPipeline | undefined
  try {
    model = await pipeline('feature-extraction', options.model, { ...adaptedOptions(options), signal, progress_callback: progress.load })
    const writer = await openWriter(format, sink, widthOf(model, options), options)
    const total = texts.length || undefined
    let done = 0
    progress.texts(done, total)
    // A batch is read and tokenized while the one before it is computed; not more, so that memory is bounded.
    let last = Promise.resolve()
    for await (const entries of batches(texts, options, options.batchSize, signal)) {
      const vectors = vectorsOf(model, entries, options, signal)
      const before = last
      last = before.then(async () => {
        await writer.write(entries, await vectors)
        progress.texts((done += entries.length), total)
      })
      // What fails is thrown where it is awaited.
      for (const promise of [vectors, last]) promise.catch(() => undefined)
      await before
    }
    await last
    await writer.finish()
    await sink.finish()
  } finally {
    progress.stop()
    await sink.close()
    await model?.dispose()
  }
}

/** JSONL for programs; a table where a person looks. */
function formatOf({ format, json, output }: EmbedOptions): Format {
  if (format !== undefined && json && format !== 'jsonl') throw expected('--format', '"jsonl" with --json', format)
  if (json) return 'jsonl'
  return format ?? (output?.endsWith('.npy') ? 'npy' : output === undefined && process.stdout.isTTY ? 'table' : 'jsonl')
}

function vectorsOf(
  model: FeatureExtractionPipeline,
  entries: readonly Entry[],
  options: EmbedOptions,
  signal: AbortSignal,
): Promise<Tensor> {
  const { normalize } = options
  return model(
    entries.map(({ text }) => text),
    { ...callOptions(model, options), normalize, signal },
  )
}

/** The library's names for how texts become vectors. */
export function callOptions(
  model: FeatureExtractionPipeline,
  { pooling, prompt, promptName, maxLength }: VectorOptions,
): FeatureExtractionOptions {
  return {
    pooling: pooling === 'auto' && isPlain(model) ? 'mean' : pooling,
    ...(prompt !== undefined && { prompt }),
    ...(promptName !== undefined && { prompt_name: promptName }),
    ...(maxLength !== undefined && { max_length: maxLength }),
  }
}

/** Whether a model's files ask for no more than the mean: it has the same bits by that name, and length 1 in the graph. */
function isPlain({ sentence }: FeatureExtractionPipeline): boolean {
  const { modes, dense, normalize, include_prompt, do_lower_case, max_seq_length, default_prompt_name } = sentence
  const more = normalize || !include_prompt || do_lower_case || max_seq_length !== undefined || default_prompt_name !== undefined
  return !more && dense.length === 0 && modes.join() === 'mean'
}

/** Numbers of a vector. */
function widthOf({ model, sentence }: FeatureExtractionPipeline, { pooling }: VectorOptions): number {
  const { hidden_size } = model.config
  if (pooling !== 'auto') return hidden_size
  return sentence.dense.reduce((vector, layer) => layer(vector), new Float32Array(hidden_size * sentence.modes.length) as Float32Array)
    .length
}

async function openWriter(format: Format, sink: Sink, width: number, { precision, text: withText }: EmbedOptions): Promise<Writer> {
  const row = (vectors: Tensor, i: number): Float32Array => vectors.data.subarray(i * width, (i + 1) * width)
  const nothing = async (): Promise<void> => undefined
  if (format === 'npy') {
    const npy = new NpyWriter(sink, width)
    return { write: (_, vectors) => npy.write(vectors.data), finish: () => npy.finish() }
  }
  if (format === 'table') {
    const table = new TableWriter(sink, { text: 40, embedding: 44 })
    const values = (vector: Float32Array): string =>
      `${[...vector.subarray(0, 4)].map((x) => x.toFixed(4).padStart(7)).join(' ')} ... (${width})`
    return { write: (entries, vectors) => table.write(entries.map(({ text }, i) => [text, values(row(vectors, i))])), finish: nothing }
  }
  const line = ({ text, record }: Entry, vector: Float32Array): string => {
    const embedding = Array.from(vector, (x) => Number(x.toPrecision(precision)))
    return `${JSON.stringify({ ...(withText && (record ?? { text })), embedding })}\n`
  }
  return {
    write: (entries, vectors) => sink.write(entries.map((entry, i) => line(entry, row(vectors, i))).join('')),
    finish: nothing,
  }
}
