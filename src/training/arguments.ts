// How a training goes, under the names and with the defaults of transformers' TrainingArguments.
import { checkOptions, expected, oneOf } from '../errors.ts'
import type { Folder } from '../weights/folder.ts'
import { SCHEDULES, type SchedulerType } from './schedule.ts'

export type IntervalStrategy = 'no' | 'steps' | 'epoch'

export interface TrainingArgumentsOptions {
  /** Takes checkpoints and log.jsonl: a folder's path, or a Folder such as memoryFolder(). Without it nothing is written. */
  readonly output_dir?: string | Folder
  /** 8: examples of a part of a step. Padding costs nothing, and memory is bounded by the model's `budget`, so parts need not be small. */
  readonly per_device_train_batch_size?: number
  /**
   * None. A part of a step takes examples, in the order of the seed, while their real tokens together are no more than this; one that has more is a part
   * by itself. per_device_train_batch_size, if given, is the most examples of a part.
   */
  readonly max_tokens_per_batch?: number
  /**
   * 'batch_sampler'. 'no_duplicates': no text stands twice in a step, for losses that take the others of a step as negatives; an example waits for
   * another step.
   */
  readonly batch_sampler?: 'batch_sampler' | 'no_duplicates'
  /** 8. */
  readonly per_device_eval_batch_size?: number
  /** 1: parts of a step. */
  readonly gradient_accumulation_steps?: number
  /** 5e-5, the most of the schedule. */
  readonly learning_rate?: number
  /** 0; biases and LayerNorm have none. */
  readonly weight_decay?: number
  /** 0.9. */
  readonly adam_beta1?: number
  /** 0.999. */
  readonly adam_beta2?: number
  /** 1e-8. */
  readonly adam_epsilon?: number
  /** 1: the most that the norm of all gradients together may be; 0 does not clip. */
  readonly max_grad_norm?: number
  /** 3; need not be whole. */
  readonly num_train_epochs?: number
  /** -1. When 1 or more, it counts and not num_train_epochs. */
  readonly max_steps?: number
  /** 'linear'. */
  readonly lr_scheduler_type?: SchedulerType
  /** 0: the share of all steps in which the rate rises. warmup_steps, if given, comes before it. */
  readonly warmup_ratio?: number
  /** 0: steps in which the rate rises; below 1 a share of all steps, rounded up. */
  readonly warmup_steps?: number
  /** 'adamw_torch'; 'adamw_bert' is google-research/bert's, without bias correction. */
  readonly optim?: 'adamw_torch' | 'adamw_bert'
  /** 1: each layer's rate is that of the layer above it times this. */
  readonly layer_lr_decay?: number
  /**
   * 'auto': each encoder layer's activations are computed again in the backward pass only when they would not fit in memory otherwise. A third more
   * work, far less memory, the same bits.
   */
  readonly gradient_checkpointing?: boolean | 'auto'
  /** Bytes that the model's memory may grow to: what would take more is refused before the first step. By default, and at most, the 4 GiB of wasm32. */
  readonly max_memory?: number
  /** 'steps'. */
  readonly logging_strategy?: IntervalStrategy
  /** 500. */
  readonly logging_steps?: number
  /** 'no'. */
  readonly eval_strategy?: IntervalStrategy
  /** As logging_steps. */
  readonly eval_steps?: number
  /** 'steps' with an output_dir, else 'no'. */
  readonly save_strategy?: IntervalStrategy
  /** 500. */
  readonly save_steps?: number
  /** Checkpoints that are kept: all by default. The newest and the best stay in any case. */
  readonly save_total_limit?: number
  /** False. Else the weights of the best evaluation are put back when training ends. */
  readonly load_best_model_at_end?: boolean
  /** 'loss' with load_best_model_at_end; a name of evaluate()'s, `eval_` may be left out. */
  readonly metric_for_best_model?: string
  /** False for a metric that ends in "loss", else true. */
  readonly greater_is_better?: boolean
  /** 42: of the order of examples and of dropout. */
  readonly seed?: number
}

const MOST_EXAMPLES = 1 << 20
const STRATEGIES = ['no', 'steps', 'epoch']
const FALLBACK = {
  per_device_train_batch_size: 8,
  batch_sampler: 'batch_sampler',
  per_device_eval_batch_size: 8,
  gradient_accumulation_steps: 1,
  learning_rate: 5e-5,
  weight_decay: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  max_grad_norm: 1,
  num_train_epochs: 3,
  max_steps: -1,
  lr_scheduler_type: 'linear',
  warmup_ratio: 0,
  warmup_steps: 0,
  optim: 'adamw_torch',
  layer_lr_decay: 1,
  gradient_checkpointing: 'auto',
  logging_strategy: 'steps',
  logging_steps: 500,
  eval_strategy: 'no',
  save_steps: 500,
  load_best_model_at_end: false,
  seed: 42,
} as const satisfies TrainingArgumentsOptions

const KNOWN: readonly string[] = [
  ...Object.keys(FALLBACK),
  'output_dir',
  'eval_steps',
  'save_strategy',
  'save_total_limit',
  'metric_for_best_model',
  'greater_is_better',
  'max_memory',
  'max_tokens_per_batch',
]

/** What may be left out even so. */
type Open = 'output_dir' | 'save_total_limit' | 'metric_for_best_model' | 'greater_is_better' | 'max_memory' | 'max_tokens_per_batch'
type Settled = Required<Omit<TrainingArgumentsOptions, Open>> & Pick<TrainingArgumentsOptions, Open>

/**
 * Checked arguments with their defaults. Names that do not exist and values that cannot be are refused.
 *
 *     const args = new TrainingArguments({ output_dir: 'out', num_train_epochs: 3, learning_rate: 5e-5, warmup_ratio: 0.1 })
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor sets every field, and it alone
export interface TrainingArguments extends Settled {
  eval_steps: number
  save_strategy: IntervalStrategy
  metric_for_best_model?: string
  greater_is_better?: boolean
  max_memory?: number
  max_tokens_per_batch?: number
}
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class TrainingArguments {
  constructor(options: TrainingArgumentsOptions = {}) {
    checkOptions('TrainingArguments', options, KNOWN)
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
    // Tokens alone bound a part when they are what was asked for.
    const most = given.max_tokens_per_batch === undefined ? {} : { per_device_train_batch_size: MOST_EXAMPLES }
    Object.assign(this, FALLBACK, most, given)
    this.eval_steps = options.eval_steps ?? this.logging_steps
    this.save_strategy = options.save_strategy ?? (options.output_dir === undefined ? 'no' : 'steps')
    if (this.load_best_model_at_end) this.metric_for_best_model ??= 'loss'
    if (this.metric_for_best_model !== undefined) this.greater_is_better ??= !this.metric_for_best_model.endsWith('loss')
    check(this)
    Object.freeze(this)
  }
}

type Numeric = { [K in keyof Settled]-?: Settled[K] extends number | undefined ? K : never }[keyof Settled]

function check(args: TrainingArguments): void {
  const number = (name: Numeric, wanted: string, good: (x: number) => boolean, fix?: string): void => {
    const value = args[name]
    if (typeof value !== 'number' || !Number.isFinite(value) || !good(value)) throw expected(name, wanted, value, fix)
  }
  const whole = (name: Numeric, least = 1, most = 0x7fffffff): void =>
    number(name, `a whole number from ${least} to ${most}`, (x) => Number.isInteger(x) && x >= least && x <= most)
  const choice = (name: keyof Settled, known: readonly unknown[]): unknown => oneOf(name, args[name], known)
  for (const name of ['per_device_train_batch_size', 'per_device_eval_batch_size', 'gradient_accumulation_steps'] as const)
    whole(name, 1, MOST_EXAMPLES)
  if (args.max_tokens_per_batch !== undefined) whole('max_tokens_per_batch')
  for (const name of ['logging_steps', 'eval_steps', 'save_steps'] as const) whole(name)
  if (args.save_total_limit !== undefined) whole('save_total_limit')
  whole('seed', 0, Number.MAX_SAFE_INTEGER)
  number(
    'learning_rate',
    'a number above 0 and at most 10',
    (x) => x > 0 && x <= 10,
    'Fine-tuning wants about 5e-5, fresh weights about 1e-4',
  )
  number('weight_decay', 'a number from 0 to 1', (x) => x >= 0 && x <= 1)
  for (const name of ['adam_beta1', 'adam_beta2'] as const) number(name, 'a number from 0 up to, but not, 1', (x) => x >= 0 && x < 1)
  number('adam_epsilon', 'a number above 0 and at most 1', (x) => x > 0 && x <= 1)
  number('max_grad_norm', 'a number of 0 or more', (x) => x >= 0, '0 does not clip')
  number('layer_lr_decay', 'a number above 0 and at most 1', (x) => x > 0 && x <= 1)
  number(
    'max_steps',
    'a whole number of 1 or more, or -1',
    (x) => x === -1 || (Number.isInteger(x) && x >= 1),
    '-1 leaves it to num_train_epochs',
  )
  number('num_train_epochs', 'a number above 0', (x) => x > 0)
  number('warmup_ratio', 'a number from 0 to 1', (x) => x >= 0 && x <= 1)
  number('warmup_steps', 'a whole number of steps, or a share below 1', (x) => x >= 0 && (x < 1 || Number.isInteger(x)))
  choice('lr_scheduler_type', SCHEDULES)
  choice('optim', ['adamw_torch', 'adamw_bert'])
  choice('batch_sampler', ['batch_sampler', 'no_duplicates'])
  if (args.batch_sampler === 'no_duplicates' && args.max_tokens_per_batch !== undefined)
    throw expected('max_tokens_per_batch', "nothing beside batch_sampler 'no_duplicates'", args.max_tokens_per_batch)
  choice('gradient_checkpointing', [true, false, 'auto'])
  if (args.max_memory !== undefined) number('max_memory', 'a number of bytes above 0', (x) => x > 0)
  for (const name of ['logging_strategy', 'eval_strategy', 'save_strategy'] as const) choice(name, STRATEGIES)
  choice('load_best_model_at_end', [true, false])
  if (args.greater_is_better !== undefined) choice('greater_is_better', [true, false])
  checkTogether(args)
}

function checkTogether(args: TrainingArguments): void {
  const { output_dir, save_strategy, save_steps, eval_strategy, eval_steps, load_best_model_at_end, metric_for_best_model } = args
  const path = typeof output_dir === 'string' && output_dir !== ''
  if (output_dir !== undefined && !path && typeof (output_dir as Folder).rename !== 'function')
    throw expected('output_dir', 'the path of a folder, or a Folder', output_dir)
  if (save_strategy !== 'no' && output_dir === undefined)
    throw expected('output_dir', `a folder for checkpoints, as save_strategy is '${save_strategy}'`, output_dir)
  if (metric_for_best_model !== undefined && typeof metric_for_best_model !== 'string')
    throw expected('metric_for_best_model', "a metric's name", metric_for_best_model)
  if (!load_best_model_at_end) return
  if (eval_strategy === 'no' || eval_strategy !== save_strategy)
    throw expected(
      'load_best_model_at_end',
      `the same eval_strategy and save_strategy, steps or epoch`,
      `${eval_strategy} and ${save_strategy}`,
    )
  if (save_strategy === 'steps' && save_steps % eval_steps !== 0)
    throw expected('load_best_model_at_end', `save_steps that are a multiple of eval_steps, ${eval_steps}`, save_steps)
}
