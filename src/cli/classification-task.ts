// Labelled texts of any table: classes, or scores.
import {
  classesOf,
  conflicts,
  labelling,
  longest,
  readExamples,
  SCORES,
  textFeatures,
  type ColumnOptions,
  type Example,
  type Labelling,
} from '../data.ts'
import { BertForSequenceClassification, inspect, type BertConfig, type LoadOptions, type Source, type Tensor } from '../index.node.ts'
import { argmax, classificationMetrics, regressionMetrics, type ComputeMetrics, type PredictionOutput } from '../training.ts'
import { readFile } from './data-files.ts'
import type { LabelledFile, LabelledTask } from './labelled-task.ts'
import type { LabelledOptions } from './labelled-options.ts'
import { openSink } from './output.ts'

export const TEXT_CLASSIFICATION: LabelledTask = {
  model: BertForSequenceClassification,
  best: 'loss',

  async open(train, options, source, signal) {
    const data = await readTexts(train, options, true, signal)
    const held = options.eval === undefined ? undefined : await readTexts(options.eval, options, true, signal)
    const labels = options.regression ? SCORES : await classes(data.examples, source, options.labels, signal)
    for (const example of [...data.examples, ...(held?.examples ?? [])]) labels.of(example)
    const of = (each: typeof data): LabelledFile =>
      textFile(each.examples, {
        file: each.file,
        read: `${each.read}${classesTold(labels)}`,
        labels,
        compute_metrics: metricsFor(labels),
        options,
        signal,
      })
    return { train: of(data), held: held ? [of(held)] : [], head: headOf(labels), ...(labels.names && { labels: labels.names }) }
  },

  async measure(file, options, config, signal) {
    const { examples, read: taken } = await readTexts(file, options, options.predictions === undefined, signal)
    const labels = labelsOf(config)
    // Texts without labels have predictions and no metrics.
    const known = examples.every(({ label }) => label !== undefined)
    const compute_metrics = known ? metricsFor(labels) : undefined
    return [textFile(examples, { file, read: taken, labels, compute_metrics, options, signal })]
  },
}

const classesTold = ({ names }: Labelling): string =>
  names === undefined ? '' : `, classes ${names.slice(0, 12).join(' ')}${names.length > 12 ? ' ...' : ''}`

/** What a model's labels mean. */
export const labelsOf = (config: BertConfig): Labelling =>
  config.problem_type === 'regression' || config.num_labels === 1 ? SCORES : labelling(Object.values(config.id2label))

export const metricsFor = ({ names }: Labelling): ComputeMetrics => (names === undefined ? regressionMetrics : classificationMetrics)

/** The labelled texts of a file, by the columns that options name. */
export async function readTexts(file: string, options: LabelledOptions, labelled: boolean, signal: AbortSignal) {
  const columns: ColumnOptions = {
    ...(options.text !== undefined && { text: options.text }),
    ...(options.textPair !== undefined && { text_pair: options.textPair }),
    ...(options.label !== undefined && { label: options.label }),
    ...(options.header !== undefined && { header: options.header }),
    ...(options.format !== undefined && { format: options.format }),
    ...(options.skipShort !== undefined && { skip_short: options.skipShort }),
    labelled,
    called: (option) => `--${option.replaceAll('_', '-')}`,
  }
  const found = await readFile(file, signal, (input, name) => readExamples(input, name, columns))
  return { file, ...found }
}

export interface TextFileParts {
  readonly file: string
  readonly prefix?: string
  readonly read?: string
  readonly labels: Labelling
  /** Undefined for texts without labels. */
  readonly compute_metrics: ComputeMetrics | undefined
  readonly options: LabelledOptions
  readonly signal: AbortSignal
}

/** A file of texts, or pairs. */
export function textFile(examples: readonly Example[], parts: TextFileParts): LabelledFile {
  const { file, prefix = '', read: taken, labels, compute_metrics, options, signal } = parts
  const warning = compute_metrics && labels.names && (conflictWarning(examples) ?? manyClasses(labels.names, examples.length))
  return {
    file,
    prefix,
    examples: examples.length,
    ...(taken !== undefined && { read: taken }),
    ...(warning !== undefined && { warning }),
    features: (tokenizer, config) => ({
      dataset: textFeatures(examples, tokenizer, {
        labels: compute_metrics && labels,
        max_length: longest(config, tokenizer, options.maxLength),
        signal,
      }),
      ...(compute_metrics && { compute_metrics }),
      write: (output, to) => write(to, examples, output, labels.names, signal),
    }),
  }
}

/** Of texts that come with several labels. */
export function conflictWarning(examples: readonly Example[]): string | undefined {
  const [odd, ...more] = conflicts(examples)
  if (odd === undefined) return undefined
  return `${odd[1].place} has the text of ${odd[0].place}, with another label${more.length > 0 ? `; so have ${more.length} more` : ''}`
}

/** Of labels that look like no classes. */
const manyClasses = (names: readonly string[], examples: number): string | undefined =>
  examples >= 8 && 2 * names.length > examples
    ? `${names.length} classes in ${examples} examples: is the label in the column that was taken for it?`
    : undefined

/** Names and number of the outputs. A score is one number. */
export function headOf({ names }: Labelling): LoadOptions {
  if (names === undefined) return { num_labels: 1, problem_type: 'regression' }
  return { ...namedLabels(names), problem_type: 'single_label_classification' }
}

export const namedLabels = (names: readonly string[]) => ({
  id2label: Object.fromEntries(names.map((name, i) => [i, name])),
  label2id: Object.fromEntries(names.map((name, i) => [name, i])),
})

/** The names of the head that a checkpoint has, if it has one. */
export async function ownNames(source: Source, signal: AbortSignal): Promise<readonly string[] | undefined> {
  const { config, heads } = await inspect(source, { signal })
  return heads.includes('classifier') ? Object.values(config.id2label) : undefined
}

/** Whether two lists have the same names, in any order. */
export const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name) => b.includes(name))

/** The file's classes, in the order of the model's head where that has the very same ones. */
async function classes(examples: readonly Example[], source: Source, given: string | undefined, signal: AbortSignal): Promise<Labelling> {
  const found = classesOf(
    examples,
    given?.split(',').map((name) => name.trim()),
  )
  if (given !== undefined) return found
  const own = await ownNames(source, signal)
  return own && sameNames(own, found.names!) ? labelling(own) : found
}

/** One object an example: text, label, prediction, and the probability of every class. */
async function write(
  file: string,
  examples: readonly Example[],
  { predictions }: PredictionOutput,
  names: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<void> {
  const scores = (predictions as Tensor).data
  const sink = await openSink(file, signal)
  try {
    const width = names?.length ?? 1
    const found = argmax(scores, width)
    for (const [i, { text, pair, label }] of examples.entries()) {
      const row = Array.from({ length: width }, (_, k) => scores[i * width + k]!)
      const given = { text, ...(pair !== undefined && { text_pair: pair }), ...(label !== undefined && { label }) }
      const said = names === undefined ? { prediction: row[0] } : { prediction: names[found[i]!], scores: named(softmax(row), names) }
      await sink.write(`${JSON.stringify({ ...given, ...said })}\n`)
    }
    await sink.finish()
  } finally {
    await sink.close()
  }
}

const named = (values: readonly number[], names: readonly string[]): Record<string, number> =>
  Object.fromEntries(names.map((name, k) => [name, values[k]!]))

/** Probabilities, of nine digits. */
export function softmax(row: readonly number[]): number[] {
  const most = Math.max(...row)
  const powers = row.map((x) => Math.exp(x - most))
  const total = powers.reduce((sum, x) => sum + x, 0)
  return powers.map((x) => Number((x / total).toPrecision(9)))
}
