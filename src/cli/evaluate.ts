import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { AutoModel, BertConfig, inspect, openModel, Tokenizer, type Source } from '../index.node.ts'
import { expected, Words } from '../errors.ts'
import { Trainer, type PredictionOutput } from '../training.ts'
import { corpusLines, instancesOf, type CorpusOptions } from './corpus.ts'
import type { LabelledOptions, TaskName } from './labelled-options.ts'
import { labelledTask, type Embeddings, type LabelledTask, type Measured } from './labelled-task.ts'
import { adaptedOptions, sourceOptions, type ModelOptions } from './options.ts'
import { openSink } from './output.ts'
import { HELD_OUT } from './pretrain.ts'
import { pretrainingMetrics, shrink, unigram } from './pretraining-metrics.ts'
import { plain, prepareFast, sourceOf, table } from './run-training.ts'

export interface EvaluateOptions extends ModelOptions, LabelledOptions, CorpusOptions {
  readonly adapter?: string
  readonly json?: boolean
  readonly output?: string
  readonly predictions?: string
  readonly submission?: string
  readonly batchSize: number
  readonly seq: number
}

/** The task of a head, when none is named. */
const TASK_OF: Readonly<Record<string, TaskName>> = {
  BertForSequenceClassification: 'text-classification',
  BertForQuestionAnswering: 'question-answering',
  BertForTokenClassification: 'token-classification',
  BertForMultipleChoice: 'multiple-choice',
  BertModel: 'sentence-similarity',
}

/** `bertlet evaluate`: how good a model is, on labelled files or, for one that was pre-trained, on raw text. */
export async function evaluate(
  name: TaskName | undefined,
  folder: string,
  file: string,
  options: EvaluateOptions,
  signal: AbortSignal,
): Promise<void> {
  const source = sourceOf({ ...options, model: folder })
  const { config, fits } = await configOf(source, options, signal)
  const [architecture = 'BertModel'] = config.architectures
  const raw = name === undefined && (architecture === 'BertForPreTraining' || architecture === 'BertForMaskedLM')
  const task = raw ? undefined : await taskOf(name, architecture, fits)
  await prepareFast(options)
  const metrics =
    task === undefined ? await words(source, file, options, signal) : await labelled(task, source, config, file, options, signal)
  const sink = await openSink(options.output, signal)
  try {
    const wanted = options.json || options.output !== undefined
    await sink.write(wanted ? `${JSON.stringify({ model: folder, file, metrics })}\n` : table(metrics))
    await sink.finish()
  } finally {
    await sink.close()
  }
}

/** What the model is: an adapter that brings a head says so in a config.json of its own. One that has none is taken for what the task wants. */
async function configOf(source: Source, options: EvaluateOptions, signal: AbortSignal): Promise<{ config: BertConfig; fits: boolean }> {
  const { config } = await inspect(source, { signal })
  if (options.adapter === undefined) return { config, fits: false }
  const { revision: _, ...place } = sourceOptions(options)
  const text = await openModel(options.adapter, place).text('config.json', { signal })
  return text === undefined ? { config, fits: true } : { config: BertConfig.parse(text), fits: false }
}

async function taskOf(name: TaskName | undefined, architecture: string, fits: boolean): Promise<LabelledTask> {
  const known = name ?? TASK_OF[architecture]
  if (known === undefined) {
    const heads = `a ${Object.keys(TASK_OF).join(', ')}, BertForPreTraining or BertForMaskedLM`
    throw expected('model', heads, architecture, 'Train one with bertlet finetune')
  }
  const task = await labelledTask(known)
  const { architecture: wanted } = task.model.headFor({})
  if (fits || architecture === wanted) return task
  throw expected('model', `a ${wanted}, as ${known} wants`, architecture, `Train one with bertlet finetune ${known}`)
}

async function labelled(
  task: LabelledTask,
  source: Source,
  config: BertConfig,
  file: string,
  options: EvaluateOptions,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  if (options.submission !== undefined && task.tests === undefined)
    throw expected('--submission', 'a task of GLUE', new Words('another'), 'Name it: bertlet evaluate cola <model> <folder>')
  const files = await task.measure(file, options, config, signal, source)
  const tests = options.submission === undefined ? [] : await task.tests!(file, config, signal)
  const tokenizer = await Tokenizer.fromPretrained(source, { signal })
  const model = await task.model.fromPretrained(source, { ...adaptedOptions(options), signal })
  const args = { per_device_eval_batch_size: options.batchSize }
  const predict = ({ dataset, compute_metrics }: Measured, embeddings?: Embeddings): Promise<PredictionOutput> =>
    new Trainer({ model, args, ...embeddings, ...(compute_metrics && { compute_metrics }) }).predict(dataset, { signal })
  try {
    const all: Record<string, number> = { examples: files.reduce((sum, { examples }) => sum + examples, 0) }
    for (const each of files) {
      if (each.warning !== undefined) process.stderr.write(`bertlet: warning: ${each.warning}\n`)
      const measured = each.features(tokenizer, model.config)
      const output = await predict(measured, each.embeddings)
      for (const [metric, value] of Object.entries(plain(output.metrics))) all[`${each.prefix}${metric}`] = value
      if (options.predictions !== undefined) await measured.write(output, named(options.predictions, each.prefix), signal)
    }
    if (options.submission !== undefined) await mkdir(options.submission, { recursive: true })
    for (const test of tests) {
      const sink = await openSink(path.join(options.submission!, test.file), signal)
      try {
        await sink.write(test.submission(await predict(test.features(tokenizer, model.config))))
        await sink.finish()
      } finally {
        await sink.close()
      }
    }
    return all
  } finally {
    await model.dispose()
  }
}

/** Predictions of a second file are beside those of the first. */
const named = (file: string, prefix: string): string => path.join(path.dirname(file), `${prefix}${path.basename(file)}`)

/** Masked words, and pairs where the model has a head for them, always the same ones of a text. */
async function words(source: Source, file: string, options: EvaluateOptions, signal: AbortSignal): Promise<Record<string, number>> {
  const tokenizer = await Tokenizer.fromPretrained(source, { signal })
  const part = options.holdOut === undefined ? 'all' : 'held'
  const how = { ...HELD_OUT, max_seq_length: options.seq }
  const { data, close } = await instancesOf(corpusLines([file], options, part, signal), tokenizer, how, signal)
  const model = await AutoModel.fromPretrained(source, { ...adaptedOptions(options), signal })
  try {
    const trainer = new Trainer({
      model,
      args: { per_device_eval_batch_size: options.batchSize },
      preprocess_logits_for_metrics: shrink,
      compute_metrics: pretrainingMetrics(await unigram(data, tokenizer.total_size)),
    })
    return { instances: data.length, ...plain(await trainer.evaluate(data, { signal })) }
  } finally {
    close()
    await model.dispose()
  }
}
