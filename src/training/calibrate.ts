// Smoothing for weights in 8 bits: a few columns of what a layer reads are far larger than the others, and 7 bits a row leave those little. So
// each column is divided by a number, and the weights' columns multiplied by it. That number is SmoothQuant's (Xiao et al. 2022, equation 4) with
// alpha 0.5: the root of the largest activation over the largest weight. LayerNorm's output also goes into the residual, so it is not folded there.
import { BertletError } from '../errors.ts'
import { Graph } from '../graph/graph.ts'
import { fuse } from '../graph/fuse.ts'
import { chunks, packBatch, roundUp, type BatchInputs } from '../models/batch.ts'
import { bert } from '../models/bert.ts'
import { chunkInputs } from '../models/collect.ts'
import type { Loaded } from '../models/load.ts'
import { seldom, type BertPreTrainedModel } from '../models/model.ts'
import { SMOOTHING } from '../models/parameters.ts'
import { memoryFolder } from '../weights/folder.ts'
import type { Source } from '../weights/source.ts'

export interface CalibrateOptions {
  readonly signal?: AbortSignal | undefined
  /** After each batch. */
  readonly onBatch?: (done: number) => void
}

/** The matrices that read what is smoothed. */
const READERS = {
  attention: ['attention.self.query', 'attention.self.key', 'attention.self.value'],
  feedForward: ['intermediate.dense'],
} as const
type Part = keyof typeof READERS
const PARTS = Object.keys(READERS) as Part[]

/**
 * The same model as a checkpoint in memory to be loaded in 8 bits, smoothed by what its layers read of examples of its texts: a few hundred are enough.
 *
 *     const model = await BertModel.fromPretrained('folder')
 *     const small = await BertModel.fromPretrained(await calibrate(model, [tokenizer(texts, { padding: true, truncation: true })]))
 *     await small.savePretrained('folder-int8')
 *
 * What is saved so is for bertlet alone: config.json names a quant_method of its own, so that others refuse it instead of reading other numbers.
 *
 * @param model weights in f32; it stays as it is.
 * @param batches inputs as the model is called with.
 */
export async function calibrate(
  { loaded }: Pick<BertPreTrainedModel, 'loaded'>,
  batches: Iterable<BatchInputs> | AsyncIterable<BatchInputs>,
  { signal, onBatch }: CalibrateOptions = {},
): Promise<Source> {
  const { dtype = 'f32' } = loaded.trunk
  if (dtype !== 'f32')
    throw new BertletError(
      'unsupported',
      `calibrate: expected weights in f32, got ${dtype}`,
      'Give the float checkpoint, loaded with dtype f32',
    )
  const largest = await activations(loaded, batches, { signal, onBatch })
  const folder = memoryFolder(loaded.name)
  const { saveModel } = await seldom()
  await saveModel(loaded, loaded.head.architecture, folder.sink('smoothed'), factors(loaded, largest))
  return folder.source('smoothed')
}

/** The largest size of every column of what each layer's parts read: [layer][part][H]. */
async function activations(
  loaded: Loaded,
  batches: Iterable<BatchInputs> | AsyncIterable<BatchInputs>,
  { signal, onBatch }: CalibrateOptions,
): Promise<Record<Part, Float32Array>[]> {
  const { config, engine, trunk, attention, budget, id } = loaded
  const { num_hidden_layers: layers, hidden_size: h } = config
  const largest = Array.from({ length: layers }, () => ({ attention: new Float32Array(h), feedForward: new Float32Array(h) }))
  const graph = (): Graph => {
    const g = new Graph()
    const { hidden, mixed } = bert(g, config, trunk, { attention })
    for (let layer = 0; layer < layers; layer++) {
      g.output(`attention.${layer}`, hidden[layer]!)
      g.output(`feedForward.${layer}`, mixed[layer]!)
    }
    fuse(g)
    return g
  }
  let done = 0
  for await (const inputs of batches) {
    const batch = packBatch(inputs, config)
    for (const chunk of chunks(batch, budget)) {
      await engine.exclusively(async () => {
        signal?.throwIfAborted()
        loaded.assertLive()
        const bound = roundUp(chunk.dims)
        const program = engine.program(`${id}|calibrate|${Object.values(bound).join('|')}`, bound, graph)
        await engine.run(program, chunk.dims, chunkInputs(batch, chunk, undefined), { signal })
        largest.forEach((parts, layer) => {
          for (const part of PARTS) enlarge(parts[part], engine.output(program, `${part}.${layer}`, chunk.dims))
        })
      })
    }
    done++
    onBatch?.(done)
  }
  if (done > 0) return largest
  throw new BertletError(
    'invalid_argument',
    'calibrate: expected at least one batch, got none',
    'Give some of the texts that the model is for',
  )
}

function enlarge(largest: Float32Array, rows: Float32Array): void {
  const h = largest.length
  rows.forEach((x, i) => (largest[i % h] = Math.max(largest[i % h]!, Math.abs(x))))
}

/** What the columns of each matrix are multiplied by, and what divides the activations for it, by parameters' names. */
function factors({ engine: { store }, specs }: Loaded, largest: readonly Record<Part, Float32Array>[]): Map<string, Float32Array> {
  const found = new Map<string, Float32Array>()
  largest.forEach((parts, layer) => {
    for (const part of PARTS) {
      const readers = READERS[part].map((name) => `encoder.layer.${layer}.${name}.weight`)
      const weights = new Float32Array(parts[part].length)
      for (const { held, name } of specs) if (readers.includes(name)) enlarge(weights, store.read(held))
      const by = parts[part].map((most, i) => (most > 0 && weights[i]! > 0 ? Math.sqrt(most / weights[i]!) : 1))
      for (const name of readers) found.set(name, by)
      found.set(
        `encoder.layer.${layer}.${SMOOTHING[part]}`,
        by.map((x) => 1 / x),
      )
    }
  })
  return found
}
