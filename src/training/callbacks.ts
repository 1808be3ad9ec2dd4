// What may be hooked into a training, as transformers' TrainerCallback.
import { BertletError, expected, wholeOf } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { BertPreTrainedModel } from '../models/model.ts'
import type { TrainingArguments } from './arguments.ts'

/** Where a training stands: what a checkpoint holds beside weights and moments. */
export interface TrainerState {
  /** Steps done. */
  global_step: number
  /** Epochs done, with a fraction. */
  epoch: number
  /** Of the whole training. */
  readonly max_steps: number
  readonly num_train_epochs: number
  /** Tokens that steps have seen, without padding. */
  num_input_tokens_seen: number
  /** Every object that was logged. */
  log_history: LogEntry[]
  best_metric: number | undefined
  /** Step whose evaluation was the best. */
  best_global_step: number | undefined
  /** The folder that holds its weights, once it is saved. */
  best_model_checkpoint: string | undefined
}

/** A line of log.jsonl: numbers by name. */
export type LogEntry = Readonly<Record<string, number>>

/** Switches of the loop. A callback sets them; each but should_training_stop is back at false when it has been obeyed. */
export interface TrainerControl {
  should_training_stop: boolean
  should_epoch_stop: boolean
  should_save: boolean
  should_evaluate: boolean
  should_log: boolean
}

/** What happened in one step. */
export interface StepInfo {
  readonly loss: number
  readonly grad_norm: number
  readonly learning_rate: number
  /** Without padding. */
  readonly tokens: number
  readonly tokens_per_second: number
}

/** What a hook is told beside arguments, state and control. */
export interface CallbackInfo {
  readonly model: BertPreTrainedModel
  /** on_step_end. */
  readonly step?: StepInfo
  /** on_log: the line. */
  readonly logs?: LogEntry
  /** on_evaluate: what evaluate() gave. */
  readonly metrics?: Readonly<Record<string, number>>
  /** on_save: the checkpoint's folder. */
  readonly checkpoint?: string
  /** on_prediction_step: examples evaluated so far, and all. */
  readonly done?: number
  readonly total?: number
}

export type CallbackHook = (
  args: TrainingArguments,
  state: TrainerState,
  control: TrainerControl,
  info: CallbackInfo,
) => void | Promise<void>

/** Any of these; each is waited for. */
export interface TrainerCallback {
  on_train_begin?: CallbackHook
  on_epoch_begin?: CallbackHook
  on_step_end?: CallbackHook
  on_prediction_step?: CallbackHook
  on_log?: CallbackHook
  on_evaluate?: CallbackHook
  on_save?: CallbackHook
  on_epoch_end?: CallbackHook
  on_train_end?: CallbackHook
  /** A name under which state() is kept in checkpoints, for callbacks that must go on where they were. */
  readonly name?: string
  state?(): JsonObject
  restore?(state: JsonObject): void
}

export interface EarlyStoppingOptions {
  /** 1: evaluations without a better metric after which training stops. */
  readonly early_stopping_patience?: number
  /** 0: by how much a metric must be better to count. */
  readonly early_stopping_threshold?: number
}

/**
 * Stops training when metric_for_best_model has not become better for some evaluations.
 *
 *     new Trainer({ model, args, train_dataset, eval_dataset, callbacks: [new EarlyStoppingCallback({ early_stopping_patience: 3 })] })
 */
export class EarlyStoppingCallback implements TrainerCallback {
  readonly name = 'EarlyStoppingCallback'
  private readonly patience: number
  private readonly threshold: number
  private counter = 0

  constructor({ early_stopping_patience = 1, early_stopping_threshold = 0 }: EarlyStoppingOptions = {}) {
    if (!Number.isFinite(early_stopping_threshold) || early_stopping_threshold < 0)
      throw expected('early_stopping_threshold', 'a number of 0 or more', early_stopping_threshold)
    this.patience = wholeOf('early_stopping_patience', early_stopping_patience, 1)
    this.threshold = early_stopping_threshold
  }

  on_train_begin(args: TrainingArguments): void {
    if (args.metric_for_best_model !== undefined && args.eval_strategy !== 'no') return
    throw new BertletError(
      'invalid_argument',
      'EarlyStoppingCallback: expected metric_for_best_model and an eval_strategy of steps or epoch',
      "For example { eval_strategy: 'epoch', metric_for_best_model: 'loss' }",
    )
  }

  /** `state.best_metric` is still that of the evaluations before. */
  on_evaluate(args: TrainingArguments, state: TrainerState, control: TrainerControl, { metrics }: CallbackInfo): void {
    const value = metrics![metricName(args.metric_for_best_model!)]
    if (value === undefined) return // the Trainer refuses it when it looks for the best
    if (better(args, value, state.best_metric, this.threshold)) this.counter = 0
    else if (++this.counter >= this.patience) control.should_training_stop = true
  }

  state(): JsonObject {
    return { counter: this.counter }
  }

  restore({ counter }: JsonObject): void {
    this.counter = counter as number
  }
}

export const metricName = (name: string): string => (name.startsWith('eval_') ? name : `eval_${name}`)

export function better({ greater_is_better }: TrainingArguments, value: number, best: number | undefined, threshold = 0): boolean {
  if (best === undefined) return true
  const gain = greater_is_better ? value - best : best - value
  return gain > 0 && gain > threshold
}
