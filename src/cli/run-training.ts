// What the commands that train share: progress, ctrl-C, the lines and the table of evaluations.
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { expected, Words } from '../errors.ts'
import { openModel, prepare, type Source } from '../index.node.ts'
import { Trainer, type LogEntry, type SchedulerType, type TrainerCallback, type TrainOutput } from '../training.ts'
import { sourceOptions, type ModelOptions } from './options.ts'
import { columns } from './output.ts'
import { plotTraining } from './plot.ts'
import { openProgress, type Progress } from './progress.ts'

/** Options of every training. */
export interface TrainingRunOptions extends ModelOptions {
  readonly output: string
  readonly resume?: boolean
  readonly json?: boolean
  readonly dropout?: number
  readonly maxMinutes?: number
  readonly gradientCheckpointing?: boolean
  readonly maxMemory?: number
  readonly learningRate: number
  readonly maxSteps?: number
  readonly gradientAccumulationSteps: number
  readonly warmupRatio: number
  readonly weightDecay: number
  readonly maxGradNorm: number
  readonly lrSchedulerType: SchedulerType
  readonly loggingSteps?: number
  readonly evalSteps?: number
  readonly saveTotalLimit: number
  readonly seed: number
}

/** The arguments that every training takes from its options. */
export const commonArguments = (options: TrainingRunOptions) => ({
  output_dir: options.output,
  learning_rate: options.learningRate,
  ...(options.maxSteps !== undefined && { max_steps: options.maxSteps }),
  gradient_accumulation_steps: options.gradientAccumulationSteps,
  warmup_ratio: options.warmupRatio,
  weight_decay: options.weightDecay,
  max_grad_norm: options.maxGradNorm,
  lr_scheduler_type: options.lrSchedulerType,
  ...(options.gradientCheckpointing && { gradient_checkpointing: true }),
  ...(options.maxMemory !== undefined && { max_memory: options.maxMemory }),
  // Watch says when, where nobody does.
  ...(options.loggingSteps === undefined ? { logging_strategy: 'no' as const } : { logging_steps: options.loggingSteps }),
  save_total_limit: options.saveTotalLimit,
  seed: options.seed,
})

/** What tells that a folder is of another kind of run. */
const LEAVES: Readonly<Record<'model' | 'adapter' | 'few-shot', readonly string[]>> = {
  model: ['adapter_config.json', 'adapter'],
  adapter: ['model.safetensors'],
  'few-shot': ['adapter_config.json'],
}

/** A folder that holds another run is not mixed with this one. Resolves with the checkpoint that is gone on from. */
export async function checkOutput(
  { output, resume }: Pick<TrainingRunOptions, 'output' | 'resume'>,
  kind: 'model' | 'adapter' | 'few-shot' = 'model',
): Promise<string | undefined> {
  const names: readonly string[] = await readdir(output).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const step = (name: string): number => Number(name.slice('checkpoint-'.length))
  const found = names.filter((name) => /^checkpoint-\d+$/.test(name)).sort((a, b) => step(a) - step(b))
  const newest = found.at(-1)
  const other = LEAVES[kind].find((name) => names.includes(name))
  if (other !== undefined)
    throw expected('--output', 'a folder without what another kind of training left', new Words(`one with ${other}`), 'Take another folder')
  if (newest === undefined) return undefined
  if (resume) return path.join(output, newest)
  throw expected(
    '--output',
    'a folder without checkpoints of an earlier run',
    new Words(`one with ${found.join(', ')}`),
    'Pass --resume to go on with that run, or another folder',
  )
}

/** The model's files, with the dropout that is asked for. */
export function sourceOf(options: ModelOptions & { readonly dropout?: number }): Source {
  const source = openModel(options.model, sourceOptions(options))
  const { dropout } = options
  if (dropout === undefined) return source
  return {
    ...source,
    text: async (file, how) => {
      const text = await source.text(file, how)
      if (file !== 'config.json' || text === undefined) return text
      return JSON.stringify({ ...(JSON.parse(text) as object), ...dropoutFields(dropout) })
    },
  }
}

/** Loads the kernels of --fast; where there are none it is not trained slowly in silence. */
export async function prepareFast({ fast }: ModelOptions): Promise<void> {
  if (!fast) return
  const { name, why } = await prepare('fast')
  if (name !== 'fast') throw expected('--fast', 'an engine with relaxed SIMD', new Words(why), 'Leave it out, or take Node 24')
}

export const dropoutFields = (dropout: number) => ({
  hidden_dropout_prob: dropout,
  attention_probs_dropout_prob: dropout,
  classifier_dropout: null,
})

export interface Ran {
  readonly result: TrainOutput
  /** Of the last evaluation, without eval_. */
  readonly metrics: Record<string, number> | undefined
  /** Why it ended before its last step. */
  readonly early?: 'interrupted' | 'time'
}

/** Watches a run, and ends it early at a whole step that is saved. */
class Watch implements TrainerCallback {
  early: Ran['early']
  evaluated: { step: number; metrics: Record<string, number> } | undefined
  private loss = 0
  private readonly began = performance.now()

  constructor(
    private readonly progress: Progress,
    private readonly options: TrainingRunOptions,
    private readonly signal: AbortSignal,
  ) {}

  on_step_end: NonNullable<TrainerCallback['on_step_end']> = (_, state, control, { step }) => {
    const { global_step: done, max_steps: total } = state
    this.loss = done <= 1 || this.loss === 0 ? step!.loss : 0.9 * this.loss + 0.1 * step!.loss
    this.progress.steps(done, total, `loss ${this.loss.toFixed(4)}  ${Math.round(step!.tokens_per_second)} tokens/s`)
    const { maxMinutes = Infinity } = this.options
    // Some twenty points of a short run, and its end.
    if (done >= total || (this.options.loggingSteps === undefined && done % Math.min(50, Math.ceil(total / 20)) === 0))
      control.should_log = true
    if (this.signal.aborted) this.early = 'interrupted'
    else if (performance.now() - this.began > maxMinutes * 60_000) this.early = 'time'
    if (this.early === undefined || done >= total) return
    control.should_save = true
    control.should_training_stop = true
  }

  on_evaluate: NonNullable<TrainerCallback['on_evaluate']> = (_, { global_step, epoch }, __, { metrics }) => {
    this.evaluated = { step: global_step, metrics: plain(metrics!) }
    this.say({ step: global_step, epoch, ...this.evaluated.metrics })
  }

  private say(line: LogEntry): void {
    this.progress.stop()
    if (this.options.json) return
    const { step, epoch, ...metrics } = line
    const told = told_(metrics).map(([name, value]) => `${name} ${value}`)
    process.stdout.write(`step ${step}  epoch ${epoch!.toFixed(2)}  ${told.join('  ')}\n`)
  }
}

/** Names without eval_. */
export const plain = (metrics: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name.replace(/^(eval|test)_/, ''), value]))

const told_ = (metrics: Readonly<Record<string, number>>): [string, string][] =>
  Object.entries(metrics)
    .filter(([name]) => name !== 'runtime' && name !== 'samples_per_second')
    .map(([name, value]) => [name, Number.isInteger(value) ? String(value) : value.toFixed(4)])

/** Metrics for a person. */
export const table = (metrics: Readonly<Record<string, number>>): string => columns(told_(metrics))

export type TrainerParts = Omit<ConstructorParameters<typeof Trainer>[0], 'callbacks'> & { readonly callbacks?: readonly TrainerCallback[] }

/** Trains to the end, or to where ctrl-C or the clock ends it; the model is saved in `output` unless it was interrupted. */
export async function runTraining(parts: TrainerParts, options: TrainingRunOptions, signal: AbortSignal): Promise<Ran> {
  const progress = await openProgress({ rows: false })
  const watch = new Watch(progress, options, signal)
  try {
    const trainer = new Trainer({ ...parts, callbacks: [watch, ...(parts.callbacks ?? [])] })
    const result = await trainer.train({ resume_from_checkpoint: options.resume ?? false })
    progress.stop()
    if (watch.early === 'interrupted') {
      process.stderr.write(
        `bertlet: interrupted after step ${result.global_step}, which is saved in ${options.output}. The same command with --resume goes on from there\n`,
      )
      return { result, metrics: watch.evaluated?.metrics, early: 'interrupted' }
    }
    const current = watch.evaluated?.step === result.global_step && !trainer.args.load_best_model_at_end
    const metrics =
      parts.eval_dataset === undefined
        ? undefined
        : current
          ? watch.evaluated!.metrics
          : plain(await trainer.evaluate(undefined, { signal }))
    await trainer.saveModel()
    return { result, metrics, ...(watch.early && { early: watch.early }) }
  } finally {
    progress.stop()
    // Whatever ended it, what was done is shown.
    await plotTraining(options.output).catch(() => {})
  }
}

/** The end of a run, for a person or a program. */
export function report({ result, metrics, early }: Ran, about: Readonly<Record<string, unknown>>, options: TrainingRunOptions): void {
  if (early === 'interrupted') return
  const { global_step, training_loss } = result
  const { train_runtime, epoch } = result.metrics
  if (options.json) {
    const whole = { output: options.output, ...about, global_step, epoch, training_loss, seconds: train_runtime, ...(early && { early }) }
    process.stdout.write(`${JSON.stringify({ ...whole, metrics: metrics ?? {} })}\n`)
    return
  }
  process.stdout.write(
    `${early === 'time' ? 'time is up: ' : ''}${global_step} steps, ${epoch!.toFixed(2)} epochs, ${train_runtime!.toFixed(1)} s, mean loss ${training_loss.toFixed(4)}\n` +
      (metrics ? table(metrics) : '') +
      `the model is in ${options.output}\n`,
  )
}
