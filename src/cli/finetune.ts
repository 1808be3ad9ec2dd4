import { mkdir } from 'node:fs/promises'
import { BertForSequenceClassification, inspect, Tokenizer, type Source } from '../index.node.ts'
import { EarlyStoppingCallback, TrainingArguments, type TrainingArgumentsOptions } from '../training.ts'
import { readExamples, type ColumnOptions } from './dataset.ts'
import { featuresOf, longest, metricsFor } from './features.ts'
import { classesOf, labelling, SCORES, type Labelling } from './labels.ts'
import { loadOptions } from './options.ts'
import { checkOutput, commonArguments, prepareFast, report, runTraining, sourceOf, type TrainingRunOptions } from './run-training.ts'

export interface FinetuneOptions extends TrainingRunOptions, ColumnOptions {
  readonly eval?: string
  readonly regression?: boolean
  readonly labels?: string
  readonly maxLength?: number
  readonly numTrainEpochs: number
  readonly perDeviceTrainBatchSize: number
  readonly perDeviceEvalBatchSize: number
  readonly layerLrDecay: number
  readonly saveSteps?: number
  readonly loadBestModelAtEnd?: boolean
  readonly metricForBestModel?: string
  readonly earlyStoppingPatience?: number
  readonly headOnly?: boolean
}

/** `bertlet finetune`: a classifier, or a model of scores, from labelled texts. */
export async function finetune(train: string, options: FinetuneOptions, signal: AbortSignal): Promise<void> {
  const args = new TrainingArguments(argumentsOf(options))
  await checkOutput(options)
  await prepareFast(options)
  // What is wrong with the files is told before a weight is read.
  const data = await readExamples(train, options, true, signal)
  const held = options.eval === undefined ? undefined : await readExamples(options.eval, options, true, signal)
  const source = sourceOf(options)
  const labels = options.regression ? SCORES : await classes(data.examples, source, options, signal)
  for (const example of [...data.examples, ...(held?.examples ?? [])]) labels.of(example)
  // A folder that cannot be is told before the work, not after.
  await mkdir(options.output, { recursive: true })
  const tokenizer = await Tokenizer.fromPretrained(source, { signal })
  const model = await BertForSequenceClassification.fromPretrained(source, {
    ...loadOptions(options),
    ...headOf(labels),
    initialize_missing: true,
    seed: options.seed,
    signal,
  })
  try {
    const length = longest(model.config, tokenizer, options.maxLength)
    const features = (examples: typeof data.examples) => featuresOf(examples, labels, tokenizer, length, signal)
    const [train_dataset, eval_dataset] = [features(data.examples), held && features(held.examples)]
    if (!options.json) process.stdout.write(`${train}: ${train_dataset.length} examples, ${data.read}\n`)
    const ran = await runTraining(
      {
        model,
        args,
        train_dataset,
        ...(eval_dataset && { eval_dataset, compute_metrics: metricsFor(labels.names?.length) }),
        processing_class: tokenizer,
        ...(options.headOnly && { trainable: (name) => /^(pooler|classifier)\b/.test(name) }),
        ...(options.earlyStoppingPatience !== undefined && {
          callbacks: [new EarlyStoppingCallback({ early_stopping_patience: options.earlyStoppingPatience })],
        }),
      },
      options,
      signal,
    )
    const about = {
      model: model.info().model,
      examples: train_dataset.length,
      eval_examples: eval_dataset?.length ?? 0,
      labels: labels.names ?? null,
    }
    report(ran, about, options)
  } finally {
    await model.dispose()
  }
}

/** Names and number of the outputs. A score is one number. */
function headOf({ names }: Labelling) {
  if (names === undefined) return { num_labels: 1, problem_type: 'regression' as const }
  const id2label = Object.fromEntries(names.map((name, i) => [i, name]))
  const label2id = Object.fromEntries(names.map((name, i) => [name, i]))
  return { id2label, label2id, problem_type: 'single_label_classification' as const }
}

/** The file's classes, in the order of the model's head where that has the very same ones. */
async function classes(
  examples: Parameters<typeof classesOf>[0],
  source: Source,
  { labels }: FinetuneOptions,
  signal: AbortSignal,
): Promise<Labelling> {
  const found = classesOf(
    examples,
    labels?.split(',').map((name) => name.trim()),
  )
  if (labels !== undefined) return found
  const { config, heads } = await inspect(source, { signal })
  const own = Object.values(config.id2label)
  const same = heads.includes('classifier') && own.length === found.names!.length && own.every((name) => found.names!.includes(name))
  return same ? labelling(own) : found
}

function argumentsOf(options: FinetuneOptions): TrainingArgumentsOptions {
  const { eval: held, evalSteps, saveSteps, loadBestModelAtEnd: wantBest, earlyStoppingPatience } = options
  const best = wantBest === true || earlyStoppingPatience !== undefined
  // The best model is one that was evaluated and saved.
  const save = saveSteps ?? (best ? evalSteps : undefined)
  return {
    ...commonArguments(options),
    num_train_epochs: options.numTrainEpochs,
    per_device_train_batch_size: options.perDeviceTrainBatchSize,
    per_device_eval_batch_size: options.perDeviceEvalBatchSize,
    layer_lr_decay: options.layerLrDecay,
    eval_strategy: held === undefined ? 'no' : evalSteps === undefined ? 'epoch' : 'steps',
    ...(evalSteps !== undefined && { eval_steps: evalSteps }),
    save_strategy: save === undefined ? 'epoch' : 'steps',
    ...(save !== undefined && { save_steps: save }),
    load_best_model_at_end: wantBest ?? false,
    ...(best && { metric_for_best_model: options.metricForBestModel ?? 'loss' }),
  }
}
