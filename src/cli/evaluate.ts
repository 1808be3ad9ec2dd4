import { AutoModel, BertForSequenceClassification, inspect, Tokenizer, type Source, type Tensor } from '../index.node.ts'
import { expected } from '../errors.ts'
import { argmax, Trainer } from '../training.ts'
import { corpusLines, instancesOf, type CorpusOptions } from './corpus.ts'
import { readExamples, type ColumnOptions, type Example } from './dataset.ts'
import { featuresOf, longest, metricsFor } from './features.ts'
import { labelling, SCORES } from './labels.ts'
import { loadOptions, type ModelOptions } from './options.ts'
import { openSink } from './output.ts'
import { HELD_OUT } from './pretrain.ts'
import { pretrainingMetrics, shrink, unigram } from './pretraining-metrics.ts'
import { plain, prepareFast, sourceOf, table } from './run-training.ts'

export interface EvaluateOptions extends ModelOptions, ColumnOptions, CorpusOptions {
  readonly json?: boolean
  readonly output?: string
  readonly predictions?: string
  readonly maxLength?: number
  readonly batchSize: number
  readonly seq: number
}

/** `bertlet evaluate`: how good a model is, on labelled texts or, for one that was pre-trained, on raw text. */
export async function evaluate(folder: string, file: string, options: EvaluateOptions, signal: AbortSignal): Promise<void> {
  const source = sourceOf({ ...options, model: folder })
  const { config } = await inspect(source, { signal })
  const [architecture = 'BertModel'] = config.architectures
  const run =
    architecture === 'BertForSequenceClassification'
      ? classifier
      : architecture === 'BertForPreTraining' || architecture === 'BertForMaskedLM'
        ? words
        : undefined
  if (run === undefined)
    throw expected(
      'model',
      'a BertForSequenceClassification, BertForPreTraining or BertForMaskedLM',
      architecture,
      'Train one with bertlet finetune',
    )
  await prepareFast(options)
  const metrics = await run(source, file, options, signal)
  const sink = await openSink(options.output, signal)
  try {
    const wanted = options.json || options.output !== undefined
    await sink.write(wanted ? `${JSON.stringify({ model: folder, file, metrics })}\n` : table(metrics))
    await sink.finish()
  } finally {
    await sink.close()
  }
}

async function classifier(source: Source, file: string, options: EvaluateOptions, signal: AbortSignal): Promise<Record<string, number>> {
  const { examples } = await readExamples(file, options, options.predictions === undefined, signal)
  const tokenizer = await Tokenizer.fromPretrained(source, { signal })
  const model = await BertForSequenceClassification.fromPretrained(source, { ...loadOptions(options), signal })
  try {
    const { config } = model
    const names = config.problem_type === 'regression' || config.num_labels === 1 ? undefined : Object.values(config.id2label)
    // Texts without labels have predictions and no metrics.
    const known = examples.every(({ label }) => label !== undefined)
    const labels = names === undefined ? SCORES : labelling(names)
    const features = featuresOf(examples, known ? labels : undefined, tokenizer, longest(config, tokenizer, options.maxLength), signal)
    const args = { per_device_eval_batch_size: options.batchSize }
    const trainer = new Trainer({ model, args, ...(known && { compute_metrics: metricsFor(names?.length) }) })
    const { predictions, metrics } = await trainer.predict(features, { signal })
    if (options.predictions !== undefined) await write(options.predictions, examples, (predictions as Tensor).data, names, signal)
    return { examples: examples.length, ...plain(metrics) }
  } finally {
    await model.dispose()
  }
}

/** One object an example: text, label, prediction, and the probability of every class. */
async function write(
  file: string,
  examples: readonly Example[],
  scores: ArrayLike<number>,
  names: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<void> {
  const sink = await openSink(file, signal)
  try {
    const width = names?.length ?? 1
    const found = argmax(scores, width)
    for (const [i, { text, pair, label }] of examples.entries()) {
      const row = Array.from({ length: width }, (_, k) => scores[i * width + k]!)
      const given = { text, ...(pair !== undefined && { text_pair: pair }), ...(label !== undefined && { label }) }
      const said = names === undefined ? { prediction: row[0] } : { prediction: names[found[i]!], scores: softmax(row, names) }
      await sink.write(`${JSON.stringify({ ...given, ...said })}\n`)
    }
    await sink.finish()
  } finally {
    await sink.close()
  }
}

function softmax(row: readonly number[], names: readonly string[]): Record<string, number> {
  const most = Math.max(...row)
  const powers = row.map((x) => Math.exp(x - most))
  const total = powers.reduce((sum, x) => sum + x, 0)
  return Object.fromEntries(names.map((name, k) => [name, Number((powers[k]! / total).toPrecision(9))]))
}

/** Masked words, and pairs where the model has a head for them, always the same ones of a text. */
async function words(source: Source, file: string, options: EvaluateOptions, signal: AbortSignal): Promise<Record<string, number>> {
  const tokenizer = await Tokenizer.fromPretrained(source, { signal })
  const part = options.holdOut === undefined ? 'all' : 'held'
  const how = { ...HELD_OUT, max_seq_length: options.seq }
  const { data, close } = await instancesOf(corpusLines([file], options, part, signal), tokenizer, how, signal)
  const model = await AutoModel.fromPretrained(source, { ...loadOptions(options), signal })
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
