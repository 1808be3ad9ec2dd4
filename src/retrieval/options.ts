// What an index is made with, and asked.
import { BertletError, checkOptions, expected, oneOf } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import { bad, type OpenIndex } from './files.ts'
import type { Filter } from './filter.ts'
import type { Held } from './panels.ts'
import type { Metric } from './rows.ts'

export const PRECISIONS = ['float32', 'int8', 'binary'] as const
export type IndexPrecision = (typeof PRECISIONS)[number]

export interface EmbeddingIndexOptions {
  /**
   * What is searched. `float32` (default). `int8`: integers with a scale for each vector, a quarter of the bytes. `binary`: whether each number is
   * above 0, a 32nd. Of the two last the best candidates are scored again, see `rescore`.
   */
  readonly precision?: IndexPrecision
  /** With binary: what candidates are scored with again, `float32` (default) or `int8`; false: the bits alone are held. */
  readonly rescore?: Held | false
  /** Candidates for each result, with int8 and binary; 4 by default. */
  readonly rescore_multiplier?: number
  /** `cosine` (default): vectors are held at length 1. `dot`: as they are. */
  readonly metric?: Metric
  /** Which model made the vectors, for load() to check. */
  readonly model?: string
  /** Compute workers; 0 computes on the calling thread; one per core by default. */
  readonly threads?: number
}

export interface LoadIndexOptions {
  /** Most bytes of vectors that are held in memory, 1 GiB by default; an index of more is read from its file at each search, and cannot be changed. */
  readonly max_memory?: number
  /** The model that queries come from: an index of another one is refused. */
  readonly model?: string
  readonly threads?: number
  readonly signal?: AbortSignal
}

export interface IndexSearchOptions<M = JsonObject> {
  /** Results for each query; 10 by default. */
  readonly top_k?: number
  /** Which entries count: conditions on their metadata, or a function of it. */
  readonly filter?: Filter<M>
  readonly signal?: AbortSignal
}

export interface Hit<M = JsonObject> {
  readonly id: string | number
  readonly score: number
  readonly metadata: M | undefined
}

export type Settings = Required<Omit<EmbeddingIndexOptions, 'model' | 'threads'>> & Pick<EmbeddingIndexOptions, 'model' | 'threads'>

export function checkSettings(options: EmbeddingIndexOptions): Settings {
  checkOptions('EmbeddingIndex', options, ['precision', 'rescore', 'rescore_multiplier', 'metric', 'model', 'threads'])
  const { precision = 'float32', rescore = precision === 'binary' ? 'float32' : false, rescore_multiplier = 4, metric = 'cosine' } = options
  oneOf('precision', precision, PRECISIONS)
  oneOf<unknown>('rescore', rescore, ['float32', 'int8', false])
  oneOf<unknown>('metric', metric, ['cosine', 'dot'])
  if (precision !== 'binary' && rescore !== false)
    throw expected('rescore', `nothing with precision ${precision}`, rescore, 'Candidates of int8 are always scored again')
  if (!(rescore_multiplier >= 1 && Number.isFinite(rescore_multiplier)))
    throw expected('rescore_multiplier', 'a number of 1 or more', rescore_multiplier)
  return { ...options, precision, rescore, rescore_multiplier, metric }
}

/** What a file says that its index was made with. */
export function settingsOf({ header, file }: OpenIndex): EmbeddingIndexOptions {
  const { precision, rescore, rescore_multiplier, metric, model, width } = header.metadata
  if (!/^\d+$/.test(width ?? '')) throw bad(`${file}: width`, 'a whole number', width)
  const options = { precision, rescore: rescore === 'false' ? false : rescore, rescore_multiplier: Number(rescore_multiplier), metric }
  try {
    const settings = { ...options, ...(model !== undefined && { model }) } as EmbeddingIndexOptions
    checkSettings(settings)
    return settings
  } catch (cause) {
    throw new BertletError('invalid_file', `${file}: ${(cause as Error).message}`, 'Make the index again', { cause })
  }
}
