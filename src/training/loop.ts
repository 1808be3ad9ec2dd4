// One training from its first step, or a checkpoint's, to its last.
import { BertletError, expected } from '../errors.ts'
import type { BertPreTrainedModel } from '../models/model.ts'
import type { WithFiles } from '../models/save.ts'
import type { Folder } from '../weights/folder.ts'
import type { TrainingArguments } from './arguments.ts'
import {
  better,
  metricName,
  type CallbackInfo,
  type LogEntry,
  type TrainerCallback,
  type TrainerControl,
  type TrainerState,
} from './callbacks.ts'
import { Batches, type Step } from './batches.ts'
import { pick, type DataCollator, type Dataset } from './dataset.ts'
import { countTokens } from './evaluation.ts'
import { Checkpoints } from './checkpoint.ts'
import type { HeadTraining, HeadTrainingOptions, TrainingInputs } from './head-training.ts'
import { largestBatches } from './largest.ts'
import { Log } from './log.ts'
import { learningRateAt } from './schedule.ts'
import type { Trainable } from './trainable.ts'

export interface TrainOutput {
  readonly global_step: number
  /** The mean over all steps. */
  readonly training_loss: number
  /** train_runtime, train_samples_per_second, train_steps_per_second, train_loss, epoch. */
  readonly metrics: Record<string, number>
}

export interface LoopParts<F> {
  readonly model: BertPreTrainedModel
  readonly args: TrainingArguments
  readonly folder: Folder | undefined
  readonly collate: DataCollator<F>
  readonly dataset: Dataset<F>
  readonly callbacks: readonly TrainerCallback[]
  readonly processing_class: WithFiles | undefined
  readonly trainable: Trainable | undefined
  /** Takes the steps. */
  readonly training: (options: HeadTrainingOptions) => HeadTraining
  /** Of each example the texts that no step may have twice. */
  readonly apart: readonly Int32Array[] | undefined
  readonly evaluate: (options: {
    signal: AbortSignal | undefined
    onBatch: (done: number, total: number) => Promise<void>
  }) => Promise<Record<string, number>>
}

/** Arguments that decide the bits of the result by themselves. */
const DECIDING = [
  'learning_rate',
  'lr_scheduler_type',
  'weight_decay',
  'adam_beta1',
  'adam_beta2',
  'adam_epsilon',
  'max_grad_norm',
  'optim',
  'layer_lr_decay',
  'seed',
] as const

/** Where a training stands among the data, and between two lines of the log. */
export interface Position {
  epoch: number
  /** Steps of that epoch. */
  step: number
  loss_sum: number
  total_loss: number
  logged_step: number
}

export class TrainingLoop<F> {
  private readonly training: HeadTraining
  private readonly log: Log
  private readonly checkpoints: Checkpoints | undefined
  private readonly batches: Batches
  private readonly warmup: number
  private readonly state: TrainerState
  private readonly position: Position = { epoch: 0, step: 0, loss_sum: 0, total_loss: 0, logged_step: 0 }
  private readonly control: TrainerControl = {
    should_training_stop: false,
    should_epoch_stop: false,
    should_save: false,
    should_evaluate: false,
    should_log: false,
  }
  private last: CallbackInfo['step']
  private tokens = 0
  private samples = 0
  private since = 0
  private signal: AbortSignal | undefined

  constructor(private readonly parts: LoopParts<F>) {
    const { model, args, dataset, folder, trainable } = parts
    const cut = {
      seed: args.seed,
      size: args.per_device_train_batch_size,
      parts: args.gradient_accumulation_steps,
      ...(args.max_tokens_per_batch !== undefined && { tokens: args.max_tokens_per_batch }),
      apart: parts.apart,
    }
    this.batches = new Batches(dataset.length, cut, dataset.size?.bind(dataset))
    const max_steps = args.max_steps > 0 ? args.max_steps : this.batches.count(args.num_train_epochs)
    const { warmup_steps: steps, warmup_ratio } = args
    this.warmup = steps >= 1 ? steps : Math.ceil(max_steps * (steps > 0 ? steps : warmup_ratio))
    this.state = {
      global_step: 0,
      epoch: 0,
      max_steps,
      num_train_epochs: args.max_steps > 0 ? Math.ceil(max_steps / this.batches.steps(0).length) : args.num_train_epochs,
      num_input_tokens_seen: 0,
      log_history: [],
      best_metric: undefined,
      best_global_step: undefined,
      best_model_checkpoint: undefined,
    }
    this.log = new Log(folder)
    this.checkpoints = folder && new Checkpoints(folder, model, parts.processing_class)
    this.training = parts.training({
      betas: [args.adam_beta1, args.adam_beta2],
      eps: args.adam_epsilon,
      weight_decay: args.weight_decay,
      seed: args.seed,
      max_grad_norm: args.max_grad_norm,
      optim: args.optim,
      layer_lr_decay: args.layer_lr_decay,
      gradient_checkpointing: args.gradient_checkpointing,
      ...(args.max_memory !== undefined && { max_memory: args.max_memory }),
      ...(trainable && { trainable }),
    })
  }

  async run(resume: boolean | string, signal: AbortSignal | undefined): Promise<TrainOutput> {
    const { state, position, control } = this
    this.signal = signal
    const began = performance.now()
    let first = 0
    try {
      signal?.throwIfAborted()
      await this.begin(resume)
      first = state.global_step
      await this.log.begin(state.log_history)
      await this.tell('on_train_begin')
      this.since = performance.now()
      while (!control.should_training_stop && state.global_step < state.max_steps) await this.epoch()
      await this.restoreBest()
      await this.tell('on_train_end')
    } finally {
      await this.training.dispose()
    }
    const seconds = Math.max(performance.now() - began, 1e-3) / 1000
    const steps = state.global_step - first
    const training_loss = (position.total_loss + position.loss_sum) / Math.max(1, state.global_step)
    const metrics = {
      train_runtime: seconds,
      train_samples_per_second: this.samples / seconds,
      train_steps_per_second: steps / seconds,
      train_loss: training_loss,
      epoch: state.epoch,
    }
    return { global_step: state.global_step, training_loss, metrics }
  }

  /** Clears away what a killed run left, takes the memory of the whole training, and goes on from a checkpoint if asked to. */
  private async begin(resume: boolean | string): Promise<void> {
    const { checkpoints, training, state, position } = this
    if (checkpoints === undefined && resume !== false)
      throw expected('resume_from_checkpoint', 'false, as there is no output_dir', resume, 'Give args.output_dir')
    const name = await checkpoints?.open(resume)
    await this.reserve()
    if (checkpoints === undefined || name === undefined) return
    const saved = await checkpoints.read(name, this.deciding(), training)
    Object.assign(state, saved.state)
    Object.assign(position, saved.position)
    for (const callback of this.parts.callbacks) {
      const kept = saved.callbacks[callback.name ?? '']
      if (kept !== undefined) callback.restore?.(kept)
    }
  }

  /** Whether the largest batches fit, and if so their memory: a step then takes no more. */
  private async reserve(): Promise<void> {
    const { parts, state, batches, signal, training } = this
    const { dataset, collate, model } = parts
    const cut = { batches, steps: state.max_steps, budget: model.loaded.budget }
    const inputs: TrainingInputs[] = []
    for (const { step, epoch, indices } of await largestBatches(dataset, cut, signal)) {
      try {
        const part = await collate(await pick(dataset, indices, epoch))
        training.check(part)
        inputs.push(part)
      } catch (error) {
        throw atStep(error, step, epoch, indices)
      }
    }
    if (inputs.length > 0) await training.reserve(inputs)
  }

  /** What decides the bits of the result: a checkpoint goes on only under the same. */
  private deciding(): Readonly<Record<string, string | number>> {
    const { args, model, dataset } = this.parts
    const { config, loaded } = model
    return {
      architecture: loaded.head.architecture,
      attn_implementation: loaded.attention,
      hidden_dropout_prob: config.hidden_dropout_prob,
      attention_probs_dropout_prob: config.attention_probs_dropout_prob,
      classifier_dropout: config.classifier_dropout ?? config.hidden_dropout_prob,
      'examples of train_dataset': dataset.length,
      ...(args.max_tokens_per_batch === undefined
        ? {
            'per_device_train_batch_size * gradient_accumulation_steps':
              args.per_device_train_batch_size * args.gradient_accumulation_steps,
          }
        : {
            max_tokens_per_batch: args.max_tokens_per_batch,
            per_device_train_batch_size: args.per_device_train_batch_size,
            gradient_accumulation_steps: args.gradient_accumulation_steps,
          }),
      'steps by max_steps or num_train_epochs': this.state.max_steps,
      'steps of warm-up': this.warmup,
      ...Object.fromEntries(DECIDING.map((name) => [name, args[name]])),
      ...(model.info().build.name === 'fast' && { precision: 'fast' }),
      ...(args.batch_sampler === 'no_duplicates' && { batch_sampler: args.batch_sampler }),
      ...(this.training.lossKey !== undefined && { loss: this.training.lossKey }),
      ...(loaded.adapter && { adapter: loaded.adapter.shape }),
    }
  }

  private async save(): Promise<void> {
    const { checkpoints, state, position, training, parts } = this
    if (checkpoints === undefined) throw expected('should_save', 'an output_dir to save to', undefined)
    const { args } = parts
    const name = `checkpoint-${state.global_step}`
    // The best is saved with its own step, or was before.
    if (state.best_global_step === state.global_step) state.best_model_checkpoint = name
    const callbacks = Object.fromEntries(
      parts.callbacks.flatMap(({ name: of, state: kept }, i) => (of && kept ? [[of, parts.callbacks[i]!.state!()]] : [])),
    )
    await checkpoints.write(name, { state, position, callbacks, arguments: this.deciding() }, training)
    await checkpoints.rotate(args.save_total_limit, name, state.best_model_checkpoint)
    await this.tell('on_save', { checkpoint: name })
  }

  private async restoreBest(): Promise<void> {
    const { best_model_checkpoint, best_global_step, global_step } = this.state
    if (!this.parts.args.load_best_model_at_end || best_model_checkpoint === undefined || best_global_step === global_step) return
    await this.checkpoints!.readWeights(best_model_checkpoint)
  }

  private async epoch(): Promise<void> {
    const { state, position, control } = this
    control.should_epoch_stop = false
    const steps = this.batches.steps(position.epoch)
    await this.tell('on_epoch_begin')
    while (position.step < steps.length && state.global_step < state.max_steps) {
      await this.step(steps.at(position.step), steps.length)
      if (control.should_epoch_stop || control.should_training_stop) break
    }
    // A training that is stopped amid an epoch goes on there when it is resumed; one that max_steps cuts has its end too.
    if (control.should_training_stop && position.step < steps.length && state.global_step < state.max_steps) return
    position.epoch++
    position.step = 0
    this.flow('epoch')
    await this.tell('on_epoch_end')
    await this.obey()
  }

  private async step(step: Step, steps: number): Promise<void> {
    const { state, position, parts, signal } = this
    const { args, dataset, collate } = parts
    signal?.throwIfAborted()
    const learning_rate = learningRateAt(state.global_step, { ...args, warmup_steps: this.warmup, total_steps: state.max_steps })
    try {
      const inputs: TrainingInputs[] = []
      for (const indices of step) inputs.push(await collate(await pick(dataset, indices, position.epoch)))
      const tokens = inputs.reduce((sum, each) => sum + countTokens(each), 0)
      const { loss, grad_norm } = await this.training.step(inputs, learning_rate, { signal })
      this.tokens += tokens
      state.num_input_tokens_seen += tokens
      position.loss_sum += loss
      const tokens_per_second = (1000 * this.tokens) / Math.max(performance.now() - this.since, 1e-3)
      this.last = { loss, grad_norm, learning_rate, tokens, tokens_per_second }
    } catch (error) {
      throw atStep(
        error,
        state.global_step + 1,
        position.epoch,
        step.flatMap((indices) => [...indices]),
      )
    }
    this.samples += step.reduce((sum, { length }) => sum + length, 0)
    state.global_step++
    position.step++
    state.epoch = position.epoch + position.step / steps
    this.flow('steps')
    await this.tell('on_step_end', { step: this.last })
    await this.obey()
  }

  /** What the arguments ask for at the end of a step or an epoch, as transformers' DefaultFlowCallback. */
  private flow(at: 'steps' | 'epoch'): void {
    const { control, state, parts } = this
    const { args } = parts
    const due = (strategy: string, every: number, atEnd: boolean): boolean =>
      strategy === at && (at === 'epoch' || state.global_step % every === 0 || (atEnd && state.global_step >= state.max_steps))
    control.should_log ||= due(args.logging_strategy, args.logging_steps, false)
    control.should_evaluate ||= due(args.eval_strategy, args.eval_steps, true)
    control.should_save ||= due(args.save_strategy, args.save_steps, true)
  }

  /** Logs, evaluates and saves what is asked for, in this order. */
  private async obey(): Promise<void> {
    const { control, state, position } = this
    if (control.should_log && state.global_step > position.logged_step) await this.write(this.progress())
    control.should_log = false
    // The best must be there to be restored, whatever the steps between savings.
    if (control.should_evaluate && (await this.evaluate()) && this.parts.args.load_best_model_at_end) control.should_save = true
    control.should_evaluate = false
    if (control.should_save) await this.save()
    control.should_save = false
  }

  /** A line on the steps since the last one. */
  private progress(): LogEntry {
    const { state, position, last } = this
    const { grad_norm, learning_rate, tokens_per_second } = last!
    const loss = position.loss_sum / (state.global_step - position.logged_step)
    position.total_loss += position.loss_sum
    position.loss_sum = 0
    position.logged_step = state.global_step
    this.tokens = 0
    this.since = performance.now()
    return { loss, grad_norm, learning_rate, tokens: state.num_input_tokens_seen, tokens_per_second }
  }

  /** Whether the weights are the best so far. */
  private async evaluate(): Promise<boolean> {
    const { parts, signal } = this
    const began = performance.now()
    const metrics = await parts.evaluate({ signal, onBatch: (done, total) => this.tell('on_prediction_step', { done, total }) })
    await this.write(metrics)
    await this.tell('on_evaluate', { metrics })
    // Tokens per second are those of training.
    this.since += performance.now() - began
    return this.judge(metrics)
  }

  private judge(metrics: Readonly<Record<string, number>>): boolean {
    const { args } = this.parts
    if (args.metric_for_best_model === undefined) return false
    const name = metricName(args.metric_for_best_model)
    const value = metrics[name]
    if (value === undefined) {
      const names = Object.keys(metrics).join(', ')
      throw new BertletError(
        'invalid_argument',
        `metric_for_best_model: expected one of ${names}, got ${name}`,
        'compute_metrics names them',
      )
    }
    if (!better(args, value, this.state.best_metric)) return false
    this.state.best_metric = value
    this.state.best_global_step = this.state.global_step
    return true
  }

  private async write(numbers: Readonly<Record<string, number>>): Promise<void> {
    const entry = { step: this.state.global_step, epoch: this.state.epoch, ...numbers }
    this.state.log_history.push(entry)
    await this.log.add(entry)
    await this.tell('on_log', { logs: entry })
  }

  private async tell(hook: keyof TrainerCallback & `on_${string}`, info: Partial<CallbackInfo> = {}): Promise<void> {
    const { args, callbacks, model } = this.parts
    for (const callback of callbacks) await callback[hook]?.(args, this.state, this.control, { model, ...info })
  }
}

/** Says of an error in a step's data or numbers where they are. */
function atStep(error: unknown, step: number, epoch: number, indices: ArrayLike<number>): unknown {
  if (!(error instanceof BertletError) || (error.code !== 'invalid_argument' && error.code !== 'not_finite')) return error
  const list = `${Array.from(indices).slice(0, 64).join(', ')}${indices.length > 64 ? ', ...' : ''}`
  return new BertletError(error.code, `step ${step}, epoch ${epoch}, batch of examples ${list}: ${error.message}`, undefined, {
    cause: error,
  })
}
