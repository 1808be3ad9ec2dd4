import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { expected, Words } from '../errors.ts'
import { Tokenizer } from '../index.node.ts'
import { EarlyStoppingCallback, TrainingArguments, Trainer, type TrainingArgumentsOptions } from '../training.ts'
import type { LabelledOptions, TaskName } from './labelled-options.ts'
import { labelledTask, type LabelledFile, type LabelledTask } from './labelled-task.ts'
import { loadOptions } from './options.ts'
import {
  checkOutput,
  commonArguments,
  plain,
  prepareFast,
  report,
  runTraining,
  sourceOf,
  type Ran,
  type TrainingRunOptions,
} from './run-training.ts'

export interface FinetuneOptions extends TrainingRunOptions, LabelledOptions {
  readonly eval?: string
  readonly numTrainEpochs: number
  readonly perDeviceTrainBatchSize: number
  readonly perDeviceEvalBatchSize: number
  readonly layerLrDecay: number
  readonly saveSteps?: number
  readonly loadBestModelAtEnd?: boolean
  readonly metricForBestModel?: string
  readonly earlyStoppingPatience?: number
  readonly headOnly?: boolean
  readonly biasOnly?: boolean
  readonly fewShot?: boolean
  readonly contrastive?: boolean
  readonly adapter?: 'lora'
  readonly loraR: number
  readonly loraAlpha: number
  readonly loraDropout: number
  readonly targetModules?: string
  readonly merge?: boolean
}

/** `bertlet finetune`: a model of a task from labelled files. */
export async function finetune(name: TaskName, train: string, options: FinetuneOptions, signal: AbortSignal): Promise<void> {
  checkKinds(name, options)
  if (options.fewShot) return (await import('./few-shot.ts')).finetuneFewShot(train, options, signal)
  const task = await labelledTask(name)
  // A folder of GLUE has what is measured on.
  new TrainingArguments(argumentsOf(options, task, options.eval !== undefined || task.tests !== undefined))
  await checkOutput(options, options.adapter === undefined ? 'model' : 'adapter')
  await prepareFast(options)
  // What is wrong with the files is told before a weight is read.
  const source = sourceOf(options)
  const opened = await task.open(train, options, source, signal)
  const { held, head } = opened
  const args = new TrainingArguments(argumentsOf(options, task, held.length > 0))
  // A folder that cannot be is told before the work, not after.
  await mkdir(options.output, { recursive: true })
  const tokenizer = await Tokenizer.fromPretrained(source, { signal })
  const load = { ...loadOptions(options), ...head, initialize_missing: true, seed: options.seed, signal }
  const base = await task.model.fromPretrained(source, load)
  const model = options.adapter === undefined ? base : await base.withAdapter(loraOf(options), { seed: options.seed })
  try {
    const { dataset } = opened.train.features(tokenizer, model.config)
    const [first, ...more] = held.map((file) => ({ file, ...file.features(tokenizer, model.config) }))
    for (const file of [opened.train, ...held]) tell(file, options)
    const ran = await runTraining(
      {
        model,
        args,
        train_dataset: dataset,
        ...(first && { eval_dataset: first.dataset, ...(first.compute_metrics && { compute_metrics: first.compute_metrics }) }),
        processing_class: tokenizer,
        ...opened.embeddings,
        ...(options.headOnly && { trainable: 'head' }),
        ...(options.biasOnly && { trainable: 'bias' }),
        ...(options.earlyStoppingPatience !== undefined && {
          callbacks: [new EarlyStoppingCallback({ early_stopping_patience: options.earlyStoppingPatience })],
        }),
      },
      options,
      signal,
    )
    const whole = await measured(ran, more, async ({ dataset: eval_dataset, compute_metrics }) => {
      const how = { per_device_eval_batch_size: options.perDeviceEvalBatchSize }
      return new Trainer({ model, args: how, eval_dataset, ...opened.embeddings, ...(compute_metrics && { compute_metrics }) }).evaluate(
        undefined,
        { signal },
      )
    })
    const about = {
      ...(name !== 'text-classification' && { task: name }),
      model: model.info().model,
      examples: opened.train.examples,
      eval_examples: held.reduce((sum, { examples }) => sum + examples, 0),
      labels: opened.labels ?? null,
    }
    if (options.merge && ran.early !== 'interrupted') {
      const merged = await model.mergeAndUnload()
      await merged.savePretrained(path.join(options.output, 'merged'), { tokenizer })
      await merged.dispose()
    }
    report(whole, about, options)
  } finally {
    if (model !== base) await model.dispose()
    await base.dispose()
  }
}

/** What is trained is one of: all, the head, an adapter, or next to nothing. */
function checkKinds(name: TaskName, options: FinetuneOptions): void {
  const { headOnly, biasOnly, adapter, fewShot, contrastive, merge } = options
  const all = { '--head-only': headOnly, '--bias-only': biasOnly, '--adapter': adapter, '--few-shot': fewShot }
  const kinds = Object.entries(all).flatMap(([flag, wanted]) => (wanted ? [flag] : []))
  if (kinds.length > 1) throw expected('finetune', `one of ${Object.keys(all).join(', ')}`, new Words(kinds.join(' and ')))
  if (contrastive && !fewShot) throw expected('--contrastive', '--few-shot', new Words('none'))
  if (options.loraAlpha === 0) throw expected('--lora-alpha', 'a number above 0', 0, 'With 0 an adapter changes nothing')
  if (merge && adapter === undefined) throw expected('--merge', '--adapter lora', new Words('none'))
  if (headOnly && name === 'sentence-similarity')
    throw expected('--head-only', 'a task whose model has a head', new Words(name), 'Leave it out, or take --adapter lora')
  if (fewShot && (name !== 'text-classification' || options.regression))
    throw expected('--few-shot', 'text-classification with classes', new Words(options.regression ? 'scores' : name))
}

const loraOf = ({ loraR, loraAlpha, loraDropout, targetModules }: FinetuneOptions) => ({
  r: loraR,
  lora_alpha: loraAlpha,
  lora_dropout: loraDropout,
  target_modules:
    targetModules === 'all-linear' ? targetModules : (targetModules ?? 'query,value').split(',').map((module) => module.trim()),
})

function tell({ file, examples, read, warning }: LabelledFile, { json }: FinetuneOptions): void {
  if (warning !== undefined) process.stderr.write(`bertlet: warning: ${warning}\n`)
  if (!json) process.stdout.write(`${file}: ${examples} examples${read === undefined ? '' : `, ${read}`}\n`)
}

type Held = { readonly file: LabelledFile } & ReturnType<LabelledFile['features']>

/** With the metrics of files that were not measured on in training. */
async function measured(ran: Ran, more: readonly Held[], evaluate: (held: Held) => Promise<Record<string, number>>): Promise<Ran> {
  if (ran.early === 'interrupted') return ran
  const metrics = { ...ran.metrics }
  for (const held of more)
    for (const [name, value] of Object.entries(plain(await evaluate(held)))) metrics[`${held.file.prefix}${name}`] = value
  return { ...ran, ...(ran.metrics && { metrics }) }
}

function argumentsOf(options: FinetuneOptions, task: LabelledTask, held: boolean): TrainingArgumentsOptions {
  const { evalSteps, saveSteps, loadBestModelAtEnd: wantBest, earlyStoppingPatience } = options
  const best = wantBest === true || earlyStoppingPatience !== undefined
  // The best model is one that was evaluated and saved.
  const save = saveSteps ?? (best ? evalSteps : undefined)
  return {
    ...commonArguments(options),
    num_train_epochs: options.numTrainEpochs,
    per_device_train_batch_size: options.perDeviceTrainBatchSize,
    per_device_eval_batch_size: options.perDeviceEvalBatchSize,
    layer_lr_decay: options.layerLrDecay,
    eval_strategy: !held ? 'no' : evalSteps === undefined ? 'epoch' : 'steps',
    ...(evalSteps !== undefined && { eval_steps: evalSteps }),
    save_strategy: save === undefined ? 'epoch' : 'steps',
    ...(save !== undefined && { save_steps: save }),
    load_best_model_at_end: wantBest ?? false,
    ...(best && { metric_for_best_model: options.metricForBestModel ?? task.best }),
  }
}
