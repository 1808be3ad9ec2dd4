// Options of labelled tasks, one table: which there are, and which tasks take them.
import { InvalidArgumentError, Option, type Command } from 'commander'
import { expected, oneOf, Words } from '../errors.ts'
import { wholeFrom } from './options.ts'

export const GLUE_NAMES = ['cola', 'sst2', 'mrpc', 'stsb', 'qqp', 'mnli', 'qnli', 'rte', 'wnli'] as const
export const TASK_NAMES = [
  'text-classification',
  'question-answering',
  'token-classification',
  'multiple-choice',
  'sentence-similarity',
  ...GLUE_NAMES,
] as const
export type TaskName = (typeof TASK_NAMES)[number]

/** Losses on sentence embeddings: whether pairs have scores, and how many texts a row has. */
export const SENTENCE_LOSSES = {
  CoSENTLoss: { scored: true, texts: [2, 2] },
  CosineSimilarityLoss: { scored: true, texts: [2, 2] },
  MultipleNegativesRankingLoss: { scored: false, texts: [2, Infinity] },
  TripletLoss: { scored: false, texts: [3, 3] },
} as const

/** What the options below are called in code. */
export interface LabelledOptions {
  readonly text?: string
  readonly textPair?: string
  readonly label?: string
  readonly header?: boolean
  readonly format?: 'tsv' | 'csv' | 'jsonl' | 'parquet'
  readonly skipShort?: boolean
  readonly regression?: boolean
  readonly labels?: string
  readonly maxLength?: number
  readonly docStride?: number
  readonly maxQueryLength?: number
  readonly nBestSize?: number
  readonly maxAnswerLength?: number
  readonly version2WithNegative?: boolean
  readonly nullScoreDiffThreshold?: number
  readonly words?: string
  readonly tags?: string
  readonly labelAllTokens?: boolean
  readonly stride?: number
  readonly scheme?: 'IOB2' | 'IOBES'
  readonly columns?: string
  readonly pooling?: 'mean' | 'cls'
  readonly loss?: keyof typeof SENTENCE_LOSSES
}

interface Entry {
  readonly flags: string
  readonly description: string
  readonly tasks: readonly TaskName[]
  readonly parse?: (value: string) => unknown
  readonly choices?: readonly string[]
}

const TEXT = ['text-classification'] as const
const QA = ['question-answering'] as const
const TAGS = ['token-classification'] as const
const PAIRS = ['sentence-similarity'] as const
const TABLES = [...TEXT, ...PAIRS]
const ALL = TASK_NAMES
const FORMATS = ['tsv', 'csv', 'jsonl', 'parquet'] as const

const anyNumber = (value: string): number => {
  const n = Number(value)
  if (value.trim() !== '' && Number.isFinite(n)) return n
  throw new InvalidArgumentError('It takes a number.')
}

/** In the order of help. */
const TABLE: readonly Entry[] = [
  {
    flags: '--text <column>',
    description: 'name, or number from 0, of the text (default: text, sentence, sentence1, question or premise; else column 0)',
    tasks: TEXT,
  },
  {
    flags: '--text-pair <column>',
    description: 'of the second text of a pair (default: sentence2, ... beside sentence1, ...; else none)',
    tasks: TEXT,
  },
  {
    flags: '--label <column>',
    description: 'of the label (default: label, labels, score or gold_label; without a header the last column)',
    tasks: TABLES,
  },
  { flags: '--header', description: 'the first row names the columns (default: when one of its cells is a name above)', tasks: TABLES },
  { flags: '--no-header', description: 'the first row is an example', tasks: TABLES },
  {
    flags: '--format <format>',
    description: 'default: by the name of the file',
    tasks: [...TABLES, ...QA, ...TAGS, 'multiple-choice'],
    choices: FORMATS,
  },
  { flags: '--skip-short', description: 'leave rows out that lack a column (default: an error)', tasks: TEXT },
  {
    flags: '--max-length <n>',
    description: 'cut texts to this many tokens, or into windows of as many (default: what the model takes; question-answering: 384)',
    tasks: ALL,
    parse: wholeFrom(2),
  },
  {
    flags: '--doc-stride <n>',
    description: 'question-answering: tokens that windows share (default: 128)',
    tasks: QA,
    parse: wholeFrom(0),
  },
  {
    flags: '--max-query-length <n>',
    description: 'question-answering: longer questions are cut (default: 64)',
    tasks: QA,
    parse: wholeFrom(1),
  },
  {
    flags: '--n-best-size <n>',
    description: 'question-answering: answers that are looked at (default: 20)',
    tasks: QA,
    parse: wholeFrom(1),
  },
  {
    flags: '--max-answer-length <n>',
    description: 'question-answering: most tokens of an answer (default: 30)',
    tasks: QA,
    parse: wholeFrom(1),
  },
  {
    flags: '--version-2-with-negative',
    description: 'question-answering: some questions have no answer, as in SQuAD v2.0',
    tasks: QA,
  },
  {
    flags: '--null-score-diff-threshold <n>',
    description: 'question-answering: how much better no answer must be (default: 0)',
    tasks: QA,
    parse: anyNumber,
  },
  {
    flags: '--words <column>',
    description: 'token-classification: column or field of the word (default: 0; tokens or words)',
    tasks: TAGS,
  },
  { flags: '--tags <column>', description: 'token-classification: of the tag (default: the last; tags, ner_tags or labels)', tasks: TAGS },
  {
    flags: '--label-all-tokens',
    description: 'token-classification: all pieces of a word learn its tag (default: the first)',
    tasks: TAGS,
  },
  {
    flags: '--stride <n>',
    description: 'token-classification: tokens that the rows of a long sentence share (default: a quarter)',
    tasks: TAGS,
    parse: wholeFrom(0),
  },
  {
    flags: '--scheme <name>',
    description: 'token-classification: count entities strictly by it (default: as conlleval)',
    tasks: TAGS,
    choices: ['IOB2', 'IOBES'],
  },
  {
    flags: '--columns <columns>',
    description:
      'sentence-similarity: of the texts in order, apart by commas: two with a score, or anchor, positive and negatives (default: all)',
    tasks: PAIRS,
  },
  {
    flags: '--pooling <how>',
    description: "sentence-similarity: of a text's rows to its vector (default: as the model's files say, else mean)",
    tasks: PAIRS,
    choices: ['mean', 'cls'],
  },
]

/** Of training alone. */
const TRAINING: readonly Entry[] = [
  {
    flags: '--labels <names>',
    description: 'names of the classes 0, 1, ..., apart by commas (default: names sorted, whole numbers as they are)',
    tasks: ['text-classification', 'token-classification'],
  },
  { flags: '--regression', description: 'labels are scores', tasks: TEXT },
  {
    flags: '--loss <name>',
    description:
      'sentence-similarity: by the names of sentence-transformers (default: CoSENTLoss of pairs with scores, else MultipleNegativesRankingLoss)',
    tasks: PAIRS,
    choices: Object.keys(SENTENCE_LOSSES),
  },
]

export function labelledOptions(command: Command, training: boolean): Command {
  for (const { flags, description, parse, choices } of [...TABLE, ...(training ? TRAINING : [])]) {
    const option = new Option(flags, description)
    if (parse) option.argParser(parse)
    if (choices) option.choices(choices)
    command.addOption(option)
  }
  return command
}

/** An option of another task is not passed over in silence. */
export function checkTaskOptions(command: Command, task: TaskName): void {
  for (const { flags, tasks } of [...TABLE, ...TRAINING]) {
    const option = new Option(flags)
    const name = option.attributeName()
    if (tasks.includes(task) || command.getOptionValueSource(name) !== 'cli') continue
    throw expected(option.long!, `the task ${tasks.join(', or ')}`, new Words(task), 'Leave it out, or name that task first')
  }
}

const OF_LORA = ['loraR', 'loraAlpha', 'loraDropout', 'targetModules']
/** A head that is solved takes no steps, and tuning by pairs has settings of its own. */
const OF_STEPS = [
  ...['numTrainEpochs', 'perDeviceTrainBatchSize', 'learningRate', 'maxSteps', 'gradientAccumulationSteps', 'warmupRatio', 'weightDecay'],
  ...['maxGradNorm', 'lrSchedulerType', 'gradientCheckpointing', 'maxMemory', 'loggingSteps', 'evalSteps', 'saveTotalLimit', 'maxMinutes'],
  ...['resume', 'layerLrDecay', 'saveSteps', 'loadBestModelAtEnd', 'metricForBestModel', 'earlyStoppingPatience'],
]

/** Nor is one of another way to train. */
export function checkKindOptions(command: Command): void {
  const { adapter, fewShot } = command.opts<{ adapter?: string; fewShot?: boolean }>()
  const refuse = (names: readonly string[], wanted: string, got: string): void => {
    const odd = command.options.find((option) => {
      const name = option.attributeName()
      return names.includes(name) && command.getOptionValueSource(name) === 'cli'
    })
    if (odd) throw expected(odd.long!, wanted, new Words(got), 'Leave it out')
  }
  if (adapter === undefined) refuse(OF_LORA, '--adapter lora', 'none')
  if (fewShot) refuse(OF_STEPS, 'training by steps', '--few-shot')
}

/** `[task] <...files>`: a first word that is a task's name is one. */
export function splitTask(words: readonly string[], files: readonly string[]): { task: TaskName | undefined; files: readonly string[] } {
  const [first] = words
  const named = TASK_NAMES.find((name) => name === first)
  if (named === undefined && words.length > files.length) oneOf('task', first, TASK_NAMES)
  const rest = named !== undefined ? words.slice(1) : words
  if (rest.length === files.length) return { task: named, files: rest }
  throw expected(
    'arguments',
    `${files.map((name) => `<${name}>`).join(' ')}${named === undefined ? '' : ` after the task ${named}`}`,
    new Words(rest.length === 0 ? 'none' : rest.join(' ')),
    named !== undefined ? `A file of that name is ./${named}` : undefined,
  )
}
