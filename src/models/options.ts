// The options of models, with their checks and defaults.
import type { Precision, WeightDtype } from '../engine/build.ts'
import { defaultBudget } from '../engine/engine.ts'
import { checkOptions, flagOf, oneOf, wholeOf } from '../errors.ts'
import { BertConfig, type ProblemType } from './config.ts'
import { checkSeed } from './initialize.ts'
import { checkSourceOptions, SOURCE_OPTIONS, type ModelSource, type SourceOptions } from './source.ts'

export type AttentionImplementation = 'eager' | 'sdpa'

/** How a model runs, however it came to be. */
export interface RunOptions {
  /** Compute workers; one per core by default. 0 computes on the calling thread, in slices. */
  readonly threads?: number
  /**
   * What the weights are held in: `f32`, the same as `fp32`, or `int8`, the same as `q8`: a quarter of the memory, quicker, and a little
   * off; or `int4`, the same as `q4`: an eighth where matrices multiply, and further off. The bits are the same on every engine too. By default
   * what the checkpoint holds, f32 where it is not quantised.
   */
  readonly dtype?: 'f32' | 'fp32' | 'int8' | 'q8' | 'int4' | 'q4'
  /** `exact` (default): the same bits on every engine and machine. `fast`: fused multiply-adds where the engine has them; info() says. */
  readonly precision?: Precision
  /** `sdpa` (default): fused, never stores the scores. `eager`: the plain chain of ops. */
  readonly attn_implementation?: AttentionImplementation
  /** Most tokens that are computed together: 1024 by default, 128 where no worker can be. Bounds memory; the results do not depend on it. */
  readonly budget?: number
  /** Of fresh weights; 0 by default. */
  readonly seed?: number
  /** BertModel: without it there is no pooler and no `pooler_output`. True by default. */
  readonly add_pooling_layer?: boolean
}

/** What config.json says of labels, said otherwise. */
export interface LabelOptions {
  readonly num_labels?: number
  readonly id2label?: Readonly<Record<number, string>>
  readonly label2id?: Readonly<Record<string, number>>
  readonly problem_type?: ProblemType
}

export interface LoadOptions extends RunOptions, LabelOptions, SourceOptions {
  /** Gives fresh values to what the checkpoint lacks: a new head. Without it a missing tensor is an error. */
  readonly initialize_missing?: boolean
  /** An adapter to put on what is loaded, in PEFT's layout: a folder, or whatever a model can be loaded from. See withAdapter(). */
  readonly adapter?: ModelSource
}

export const RUN_OPTIONS: readonly (keyof RunOptions)[] = [
  'threads',
  'dtype',
  'precision',
  'attn_implementation',
  'budget',
  'seed',
  'add_pooling_layer',
]
export const LABEL_OPTIONS: readonly (keyof LabelOptions)[] = ['num_labels', 'id2label', 'label2id', 'problem_type']

export const LOAD_OPTIONS: readonly (keyof LoadOptions)[] = [
  ...RUN_OPTIONS,
  ...LABEL_OPTIONS,
  ...SOURCE_OPTIONS,
  'initialize_missing',
  'adapter',
]

const DTYPES = { f32: 'f32', fp32: 'f32', int8: 'int8', q8: 'int8', int4: 'int4', q4: 'int4' } as const

export interface CheckedOptions {
  readonly budget: number
  readonly attention: AttentionImplementation
  readonly precision: Precision
  /** Undefined: what the checkpoint holds. */
  readonly dtype: WeightDtype | undefined
}

/** Checks the options of fromPretrained() and gives their defaults. */
export function checkLoadOptions(options: LoadOptions): CheckedOptions {
  checkOptions('fromPretrained', options, LOAD_OPTIONS)
  flagOf('initialize_missing', options.initialize_missing ?? false)
  checkSourceOptions(options)
  return checkRunOptions(options)
}

export function checkRunOptions(options: RunOptions): CheckedOptions {
  const { dtype, attn_implementation: attention = 'sdpa', budget = defaultBudget(), precision = 'exact', seed = 0 } = options
  if (dtype !== undefined) oneOf('dtype', dtype, Object.keys(DTYPES))
  oneOf('precision', precision, ['exact', 'fast'])
  oneOf('attn_implementation', attention, ['sdpa', 'eager'])
  wholeOf('budget', budget, 1, Infinity, ', in tokens')
  flagOf('add_pooling_layer', options.add_pooling_layer ?? true)
  checkSeed(seed)
  return { budget, attention, precision, dtype: dtype && DTYPES[dtype] }
}

/** A config with the labels that a caller names. */
export function withLabels(config: BertConfig, options: LabelOptions): BertConfig {
  const given = Object.fromEntries(LABEL_OPTIONS.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])))
  if (Object.keys(given).length === 0) return config
  const { id2label, label2id, ...rest } = config.toJSON()
  // Labels that are told anew take the place of the file's, names and numbers together.
  const labels = 'num_labels' in given || 'id2label' in given || 'label2id' in given ? {} : { id2label, label2id }
  return new BertConfig({ ...rest, ...labels, ...given }, 'options')
}
