/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging -- instances are callable */
import { expected, flagOf, oneOf, wholeOf } from '../errors.ts'
import { BertModel } from '../models/bert-model.ts'
import { Tensor } from '../models/tensor.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import type { Source } from '../weights/source.ts'
import { isStream, Pipeline, rowAt, textAt, type CallOptions } from './base.ts'
import type { Job, Work } from './batches.ts'
import { readSentenceSettings, type SentenceSettings } from './sentence.ts'
import { checkRanges, pool, PRECISIONS, quantize, rangesOf, unit, type EmbeddingPrecision, type Mode, type Ranges } from './vectors.ts'

/** Names of poolings, and what they are. */
const POOLINGS = {
  none: undefined,
  auto: undefined,
  mean: 'mean',
  cls: 'cls',
  first_token: 'cls',
  max: 'max',
  last: 'lasttoken',
  last_token: 'lasttoken',
  eos: 'lasttoken',
} as const satisfies Readonly<Record<string, Mode | undefined>>

/** How the vectors of tokens become one, by our names and transformers.js's. */
export type Pooling = keyof typeof POOLINGS

export interface FeatureExtractionOptions extends CallOptions {
  /**
   * `none` (default): [B, L, H], zeros behind each text's end. Otherwise [B, H]: the `mean` or `max` over the real tokens, the first (`cls`, `first_token`) or the
   * last real one (`last`, `last_token`, `eos`). `auto`: as the model was trained, by its sentence-transformers files: poolings, layers
   * behind them, length 1, most tokens and default prompt; the mean where there are none.
   */
  readonly pooling?: Pooling
  /** Vectors of length 1. */
  readonly normalize?: boolean
  /** The first so many numbers of each vector; `normalize` comes after. */
  readonly truncate_dim?: number
  /** Vectors of whole numbers, or of a bit a number, most significant first; float32 by default, binary with `quantize`. */
  readonly precision?: EmbeddingPrecision
  readonly quantize?: boolean
  /** For int8 and uint8: [min, max] of each dimension; those of this call's vectors by default. */
  readonly ranges?: Ranges
  /** For int8 and uint8: vectors whose ranges are taken. */
  readonly calibration_embeddings?: Tensor
  /** A text that is put before each text. */
  readonly prompt?: string
  /** Such a text by the name that the model's files give it. */
  readonly prompt_name?: string
  /** Longer texts are cut to this many tokens; the model's limit by default. */
  readonly max_length?: number
}

type Whole = { readonly precision: Exclude<EmbeddingPrecision, 'float32'> } | { readonly quantize: true }
type Bytes = Tensor<Int8Array<ArrayBuffer>> | Tensor<Uint8Array<ArrayBuffer>>

export interface FeatureExtractionPipeline {
  (texts: string | readonly string[], options: FeatureExtractionOptions & Whole): Promise<Bytes>
  (texts: string | readonly string[], options?: FeatureExtractionOptions): Promise<Tensor>
  /** What each text alone would give. */
  (texts: AsyncIterable<string>, options: FeatureExtractionOptions & Whole): AsyncIterable<Bytes>
  (texts: AsyncIterable<string>, options?: FeatureExtractionOptions): AsyncIterable<Tensor>
}

/** The vector of a text, or those of its tokens, one behind the other. */
interface Vectors {
  readonly data: Float32Array
  readonly width: number
}

/**
 * Texts to vectors.
 *
 *     const embed = await pipeline('feature-extraction')
 *     const { data, dims } = await embed(['a text', 'another'], { pooling: 'mean', normalize: true })
 */
export class FeatureExtractionPipeline extends Pipeline<BertModel> {
  static readonly model = BertModel
  readonly task: string = 'feature-extraction'
  /** What the model's sentence-transformers files say. */
  readonly sentence: SentenceSettings

  constructor(model: BertModel, tokenizer: Tokenizer, sentence: SentenceSettings) {
    super(model, tokenizer)
    this.sentence = sentence
  }

  static settings(source: Source, signal: AbortSignal | undefined): Promise<SentenceSettings> {
    return readSentenceSettings(source, { signal })
  }

  _call(texts: string | readonly string[] | AsyncIterable<string>, options: FeatureExtractionOptions = {}): unknown {
    const work = (): Work<string, Job, Tensor, Vectors> => this.work(options)
    if (isStream<string>(texts)) return this.each(this.run(texts, options, work) as AsyncIterable<Vectors>, options)
    return this.all(typeof texts === 'string' ? [texts] : texts, options, work)
  }

  private async all(
    texts: readonly string[],
    options: FeatureExtractionOptions,
    work: () => Work<string, Job, Tensor, Vectors>,
  ): Promise<unknown> {
    if (!Array.isArray(texts) || texts.length === 0) throw expected(this.task, 'a text or a non-empty array of texts', texts)
    return this.finish((await this.run(texts, options, work)) as Vectors[], options)
  }

  private async *each(vectors: AsyncIterable<Vectors>, options: FeatureExtractionOptions): AsyncGenerator<unknown> {
    for await (const vector of vectors) yield this.finish([vector], options, true)
  }

  private work(options: FeatureExtractionOptions): Work<string, Job, Tensor, Vectors> {
    this.check(options, [
      ...['pooling', 'normalize', 'truncate_dim', 'precision', 'quantize', 'ranges', 'calibration_embeddings'],
      ...['prompt', 'prompt_name', 'max_length'],
    ])
    const { sentence } = this
    const { truncate_dim: cut, signal } = options
    const normalize = flagOf('normalize', options.normalize ?? false)
    const pooling = oneOf('pooling', options.pooling ?? 'none', Object.keys(POOLINGS) as Pooling[])
    if (precisionOf(options) !== 'float32' && pooling === 'none')
      throw expected('pooling', 'mean or another that gives a vector a text, with precision', pooling)
    if (cut !== undefined) wholeOf('truncate_dim', cut, 1)
    const auto = pooling === 'auto'
    const most = auto && sentence.max_seq_length ? Math.min(sentence.max_seq_length, this.model.config.max_position_embeddings) : undefined
    const max_length = this.limit(options.max_length ?? most)
    const prompt = this.prompt(options, auto)
    const skip = auto && !sentence.include_prompt && prompt !== '' ? this.tokenizer.encode(prompt, { truncation: false }).length - 1 : 0
    const named = POOLINGS[pooling]
    const modes: readonly Mode[] = auto ? sentence.modes : named === undefined ? [] : [named]
    const [first] = modes
    const dense = auto ? sentence.dense : []
    // What the graph can pool, and what is left to do.
    const inGraph = modes.length === 1 && skip === 0 && (first === 'mean' || first === 'cls')
    const early = auto ? sentence.normalize : normalize && cut === undefined
    const late = normalize && (cut !== undefined || (auto && !sentence.normalize))
    const atOnce = early && dense.length === 0 && (inGraph || modes.length === 0)
    const width = this.model.config.hidden_size
    return {
      job: (item, place) => {
        const text = prompt + textAt(place, item)
        return { rows: [this.row({ text: auto && sentence.do_lower_case ? text.toLowerCase() : text }, max_length)] }
      },
      compute: (batch) => this.model.features(batch, { pooling: inGraph ? first : 'none', normalize: atOnce, signal }),
      result: ({ rows }, features, row) => {
        const values = rowAt(features, row)
        const tokens = inGraph ? values : values.subarray(0, rows[0]!.ids.length * width)
        if (modes.length === 0) return cutRows(tokens, width, cut, late)
        let vector = inGraph ? tokens : joined(modes.map((mode) => pool(mode, tokens, width, Math.min(skip, rows[0]!.ids.length - 1))))
        for (const layer of dense) vector = layer(vector)
        if (early && !atOnce) vector = unit(vector)
        return cutRows(vector, vector.length, cut, late)
      },
    }
  }

  /** The prompt of a call: given, or named, or the model's own. */
  private prompt({ prompt, prompt_name }: FeatureExtractionOptions, auto: boolean): string {
    if (prompt !== undefined) return textAt('prompt', prompt)
    const { prompts, default_prompt_name } = this.sentence
    const name = prompt_name ?? (auto ? default_prompt_name : undefined)
    if (name === undefined || name === null) return ''
    const known = Object.keys(prompts)
    return prompts[oneOf('prompt_name', name, known, `one of ${known.join(', ') || 'none: the model names no prompts'}`)]!
  }

  /** The vectors of a call side by side. */
  private finish(list: readonly Vectors[], options: FeatureExtractionOptions, alone = false): Tensor | Bytes {
    const { width } = list[0]!
    const none = (options.pooling ?? 'none') === 'none'
    const longest = list.reduce((most, { data }) => Math.max(most, data.length), 0)
    const data = new Float32Array(list.length * longest)
    list.forEach((vectors, i) => data.set(vectors.data, i * longest))
    const tensor = new Tensor(data, none ? [list.length, longest / width, width] : [list.length, width])
    const precision = precisionOf(options)
    if (precision === 'float32') return tensor
    const { ranges, calibration_embeddings: sample } = options
    if (alone && ranges === undefined && sample === undefined && /^u?int8$/.test(precision))
      throw expected('ranges', '[min, max] for a stream, or calibration_embeddings', ranges)
    const calibration = sample ?? tensor
    if (calibration.dims?.at(-1) !== width) throw expected('calibration_embeddings', `a Tensor of ${width} columns`, sample)
    return quantize(tensor, precision, checkRanges(ranges ?? rangesOf(calibration), width))
  }
}

const precisionOf = ({ precision, quantize: whole = false }: FeatureExtractionOptions): EmbeddingPrecision =>
  oneOf('precision', precision ?? (flagOf('quantize', whole) ? 'binary' : 'float32'), PRECISIONS)

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!
  const width = parts[0]!.length
  const all = new Float32Array(parts.length * width)
  parts.forEach((part, i) => all.set(part, i * width))
  return all
}

/** Rows of `width` numbers, each cut and made of length 1 as asked. */
function cutRows(data: Float32Array, width: number, cut: number | undefined, late: boolean): Vectors {
  if (cut === undefined && !late) return { data, width }
  const most = Math.min(cut ?? width, width)
  const rows = Array.from({ length: data.length / width }, (_, i) => data.slice(i * width, i * width + most))
  return { data: joined(late ? rows.map(unit) : rows), width: most }
}
