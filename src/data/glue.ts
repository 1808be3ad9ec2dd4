// The nine tasks of GLUE by name: where texts and labels stand in their files, what labels mean, what is measured, what is handed in.
import { BertletError, expected, oneOf, Words } from '../errors.ts'
import type { Tensor } from '../models/tensor.ts'
import type { ComputeMetrics } from '../training/evaluation.ts'
import { argmax, classMetrics, regressionMetrics } from '../training/metrics.ts'
import { labelling, SCORES, type Labelling } from './class-labels.ts'
import type { Example } from './examples.ts'
import type { DataInput } from './input.ts'
import { readRows } from './rows.ts'

export const GLUE_TASKS = ['cola', 'sst2', 'mrpc', 'stsb', 'qqp', 'mnli', 'qnli', 'rte', 'wnli'] as const
export type GlueTask = (typeof GLUE_TASKS)[number]
/** A file's columns, counted from 0; a negative number counts from the end. */
interface Columns {
  readonly header: boolean
  readonly texts: readonly number[]
  readonly label?: number
}

/** A test file, and the name that its predictions have on the leaderboard. */
export interface GlueTest {
  readonly file: string
  readonly submission: string
  /** Not part of the task's own archive. */
  readonly optional?: boolean
}

export interface GlueInfo {
  /** The folder in GLUE's archives. */
  readonly folder: string
  /** By class, in the order of ids that Hugging Face's data sets have; undefined for scores. */
  readonly labels: readonly string[] | undefined
  /** As files write them, by class, where they are not the names themselves. */
  readonly written?: readonly string[]
  readonly train: string
  /** Files to measure on, the first one in training too, by what stands before their metrics. */
  readonly dev: Readonly<Record<string, string>>
  readonly tests: readonly GlueTest[]
  /** What GLUE counts; the first chooses the best model. */
  readonly metrics: readonly string[]
}

const PLAIN = { train: 'train.tsv', dev: { '': 'dev.tsv' } } as const
const test = (submission: string): readonly GlueTest[] => [{ file: 'test.tsv', submission }]
const ENTAILED = ['entailment', 'not_entailment'] as const

/** What is known of each task. */
export const GLUE: Readonly<Record<GlueTask, GlueInfo>> = {
  cola: {
    ...PLAIN,
    folder: 'CoLA',
    labels: ['unacceptable', 'acceptable'],
    written: ['0', '1'],
    tests: test('CoLA.tsv'),
    metrics: ['matthews_correlation'],
  },
  sst2: {
    ...PLAIN,
    folder: 'SST-2',
    labels: ['negative', 'positive'],
    written: ['0', '1'],
    tests: test('SST-2.tsv'),
    metrics: ['accuracy'],
  },
  mrpc: {
    ...PLAIN,
    folder: 'MRPC',
    labels: ['not_equivalent', 'equivalent'],
    written: ['0', '1'],
    tests: test('MRPC.tsv'),
    metrics: ['accuracy', 'f1'],
  },
  stsb: { ...PLAIN, folder: 'STS-B', labels: undefined, tests: test('STS-B.tsv'), metrics: ['pearson', 'spearman'] },
  qqp: {
    ...PLAIN,
    folder: 'QQP',
    labels: ['not_duplicate', 'duplicate'],
    written: ['0', '1'],
    tests: test('QQP.tsv'),
    metrics: ['accuracy', 'f1'],
  },
  mnli: {
    folder: 'MNLI',
    labels: ['entailment', 'neutral', 'contradiction'],
    train: 'train.tsv',
    dev: { '': 'dev_matched.tsv', mismatched_: 'dev_mismatched.tsv' },
    tests: [
      { file: 'test_matched.tsv', submission: 'MNLI-m.tsv' },
      { file: 'test_mismatched.tsv', submission: 'MNLI-mm.tsv' },
      { file: 'diagnostic.tsv', submission: 'AX.tsv', optional: true },
    ],
    metrics: ['accuracy'],
  },
  qnli: { ...PLAIN, folder: 'QNLI', labels: ENTAILED, tests: test('QNLI.tsv'), metrics: ['accuracy'] },
  rte: { ...PLAIN, folder: 'RTE', labels: ENTAILED, tests: test('RTE.tsv'), metrics: ['accuracy'] },
  wnli: {
    ...PLAIN,
    folder: 'WNLI',
    labels: ['not_entailment', 'entailment'],
    written: ['0', '1'],
    tests: test('WNLI.tsv'),
    metrics: ['accuracy'],
  },
}

/** Columns of train and dev files, and of test files. The last column, -1, is what is at the end in train and dev files of different widths. */
const COLUMNS: Readonly<Record<GlueTask, readonly [labelled: Columns, test: Columns]>> = {
  cola: [
    { header: false, texts: [3], label: 1 },
    { header: true, texts: [1] },
  ],
  sst2: [
    { header: true, texts: [0], label: 1 },
    { header: true, texts: [1] },
  ],
  mrpc: [
    { header: true, texts: [3, 4], label: 0 },
    { header: true, texts: [3, 4] },
  ],
  stsb: [
    { header: true, texts: [7, 8], label: -1 },
    { header: true, texts: [7, 8] },
  ],
  qqp: [
    { header: true, texts: [3, 4], label: 5 },
    { header: true, texts: [1, 2] },
  ],
  mnli: [
    { header: true, texts: [8, 9], label: -1 },
    { header: true, texts: [8, 9] },
  ],
  qnli: [
    { header: true, texts: [1, 2], label: -1 },
    { header: true, texts: [1, 2] },
  ],
  rte: [
    { header: true, texts: [1, 2], label: -1 },
    { header: true, texts: [1, 2] },
  ],
  wnli: [
    { header: true, texts: [1, 2], label: -1 },
    { header: true, texts: [1, 2] },
  ],
}

/** Names in a header that must stand above the first text: they tell a file of another layout. */
const HEADERS = /^(sentence|sentence1|question|question1|#1 string|premise)$/i

/** The table's entry, or an error that names the nearest. */
export function glueTask(name: string): GlueInfo {
  return GLUE[oneOf('task', name, GLUE_TASKS)]
}

/**
 * Texts and labels of a file of a GLUE task. Rows of QQP that lack columns are left out, as everyone leaves them out.
 *
 *     const examples = await readGlue('mnli', createReadStream('MNLI/train.tsv'), 'train.tsv')
 *     const train_dataset = textFeatures(examples, tokenizer, { labels: glueLabels('mnli') })
 *
 * @param part `test`: a file without labels
 * @param onSkip told of each row of QQP that is left out
 */
export async function readGlue(
  task: GlueTask,
  input: DataInput,
  name: string,
  part: 'labelled' | 'test' = 'labelled',
  onSkip?: (place: string) => void,
): Promise<Example[]> {
  glueTask(task)
  // AX, MNLI's diagnostic set, has columns of its own.
  const columns = name.endsWith('diagnostic.tsv') ? { header: true, texts: [1, 2] } : COLUMNS[task][part === 'test' ? 1 : 0]
  const { header, texts, label } = columns
  const least = Math.max(...texts, label ?? 0) + 1
  const examples: Example[] = []
  let width: number | undefined
  for await (const { place, cells } of readRows(input, 'tsv', name)) {
    const row = cells as readonly string[]
    const first = width === undefined
    width ??= row.length
    if (first && header !== isHeader(row, texts[0]!)) throw otherLayout(task, place, header, row)
    if (first && header) continue
    // Labels in the last column are at the end of a whole row alone, and a tab more moves texts.
    if (label === -1 ? row.length !== width : row.length < least) {
      if (task === 'qqp') {
        onSkip?.(place)
        continue
      }
      throw new BertletError(
        'invalid_file',
        `${place}: expected ${label === -1 ? width : least} columns, apart by tabs, as ${GLUE[task].folder} has, got ${row.length}: ${JSON.stringify(row.join('\t').slice(0, 80))}`,
        'Is it the file of another task, or was it cut off?',
      )
    }
    const [text, pair] = texts.map((column) => row[column]!)
    examples.push({
      place,
      text: text!,
      ...(pair !== undefined && { pair }),
      label: label === undefined ? undefined : row.at(label)!.trim(),
    })
  }
  if (examples.length > 0) return examples
  throw new BertletError('invalid_file', `${name}: expected the texts of ${GLUE[task].folder}, got none`, 'Download it again')
}

const isHeader = (row: readonly string[], column: number): boolean => HEADERS.test(row[column]?.trim() ?? '')

function otherLayout(task: GlueTask, place: string, header: boolean, row: readonly string[]): BertletError {
  const wanted = header ? `the header of ${GLUE[task].folder}, with its first text in column ${COLUMNS[task][0].texts[0]}` : 'no header'
  return new BertletError(
    'invalid_file',
    `${place}: expected ${wanted}, got ${JSON.stringify(row.join('\t').slice(0, 80))}`,
    'A file of another layout is read by the task text-classification, which names columns',
  )
}

/** The task's classes in the order of a model's head: what counts is the model's id2label. */
function orderOf(task: GlueTask, order: readonly string[] | undefined): readonly string[] | undefined {
  const { labels } = glueTask(task)
  if (labels === undefined || order === undefined) return labels
  if (order.length === labels.length && labels.every((name) => order.includes(name))) return order
  throw expected(`labels of ${task}`, `the classes ${labels.join(', ')}, in any order`, new Words(order.join(', ')))
}

/**
 * What a task's labels mean.
 *
 * @param order names by class of a model that has another order; by default Hugging Face's data sets'
 */
export function glueLabels(task: GlueTask, order?: readonly string[]): Labelling {
  const { labels, written = labels } = glueTask(task)
  const names = orderOf(task, order)
  if (names === undefined) return SCORES
  const { of } = labelling(names)
  const ids = new Map(written!.map((word, i) => [word, names.indexOf(labels![i]!)]))
  return { names, of: (example) => ids.get(String(example.label)) ?? of(example) }
}

/** What GLUE counts of a task, for compute_metrics. */
export function glueMetrics(task: GlueTask, order?: readonly string[]): ComputeMetrics {
  const { labels, metrics } = glueTask(task)
  const names = orderOf(task, order)
  const counted = (values: Readonly<Record<string, number>>): Record<string, number> =>
    Object.fromEntries(metrics.map((name) => [name, values[name]!]))
  if (labels === undefined) return async (prediction) => counted(await regressionMetrics(prediction))
  // F1 is that of the task's class 1, whatever its number in the model.
  const ours = names!.map((name) => labels.indexOf(name))
  return ({ predictions, label_ids }) => {
    const found = argmax((predictions as Tensor).data, labels.length).map((id) => ours[id]!)
    const wanted = Array.from((label_ids as Tensor).data, (id) => ours[Number(id)]!)
    return counted(classMetrics(found, wanted, labels.length))
  }
}

/**
 * The text of a file to hand in: `index<TAB>prediction`. Scores of STS-B are within 0..5 and have three digits.
 *
 * @param scores [N, labels], or [N, 1] of scores
 */
export function glueSubmission(task: GlueTask, scores: ArrayLike<number>, order?: readonly string[]): string {
  const { labels, written = labels } = glueTask(task)
  const names = orderOf(task, order)
  const lines =
    names === undefined
      ? Array.from(scores, (score) => Math.min(5, Math.max(0, score)).toFixed(3))
      : argmax(scores, names.length).map((id) => written![labels!.indexOf(names[id]!)]!)
  return ['index\tprediction', ...lines.map((line, i) => `${i}\t${line}`), ''].join('\n')
}
