// Commands that run a pipeline over texts: one table with every task, from which the commands, their options and their output are made.
import { Option, type Command } from 'commander'
import type { Task } from '../index.node.ts'
import {
  adapterOption,
  inputOptions,
  jsonOption,
  modelOptions,
  outputOption,
  wholeFrom,
  type InputOptions,
  type ModelOptions,
  type OutputOptions,
} from './options.ts'

/** What was asked for, by the option's name. */
export interface TaskOptions extends ModelOptions, InputOptions, OutputOptions {
  readonly adapter?: string
  readonly lines?: boolean
  readonly [name: string]: unknown
}

interface Verb {
  readonly name: string
  readonly task: Task
  readonly description: string
  readonly options: readonly Option[]
}

/** A verb whose result is a line, or some rows, for each text. */
export interface TaskCommand extends Verb {
  /** What comes before the texts: a question, a query. */
  readonly first?: readonly [name: string, description: string]
  /** Whether all texts are one call, not one each. */
  readonly together?: boolean
  /** Whether a file is one text unless `--lines` says otherwise. */
  readonly whole?: boolean
  /** The pipeline's arguments for texts, its options last. */
  args(texts: readonly string[], first: string, options: TaskOptions): readonly unknown[]
  /** Widths of the table's columns for people; the text comes first. */
  readonly columns: Readonly<Record<string, number>>
  /** What a result puts into them. */
  row(item: Readonly<Record<string, unknown>>): readonly unknown[]
}

/** A verb that writes its results in a way of its own. */
interface OwnCommand extends Verb {
  readonly json: string
  load(): Promise<(texts: readonly string[], options: never, signal: AbortSignal) => Promise<void>>
}

const topK = (count: number | undefined): Option =>
  new Option('--top-k <n>', count === undefined ? 'how many, the best first (default: all)' : 'how many, the best first')
    .argParser(wholeFrom(1))
    .default(count)
const maxLength = new Option('--max-length <n>', 'cut texts to this many tokens (default: what the model takes)').argParser(wholeFrom(2))

/** The library's names for the options that were given. */
function given(options: TaskOptions, names: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(names).flatMap(([ours, theirs]) => (options[ours] === undefined ? [] : [[theirs, options[ours]]])),
  )
}
const LENGTH = { maxLength: 'max_length' } as const
const TOP = { topK: 'top_k', ...LENGTH } as const
const PROMPTS = [
  new Option('--prompt <text>', 'a text that is put before each'),
  new Option('--prompt-name <name>', "the model's own of this name, such as query"),
]
const POOLING = new Option('--pooling <pooling>', "how the vectors of tokens become one; auto: as the model's files say, else the mean")
  .choices(['auto', 'mean', 'cls'])
  .default('auto')
const commas = (value: string): string[] => value.split(',').map((word) => word.trim())

export const TASK_COMMANDS: readonly (TaskCommand | OwnCommand)[] = [
  {
    name: 'embed',
    task: 'feature-extraction',
    description: 'a vector for every text',
    options: [
      POOLING,
      ...PROMPTS,
      new Option('--no-normalize', 'leave the lengths of vectors as they are (default: length 1)'),
      maxLength,
      new Option('--batch-size <n>', 'most texts that are computed together').argParser(wholeFrom(1)).default(64),
      new Option('--format <format>', 'jsonl, npy or table (default: table on a terminal, npy when --output ends so, else jsonl)').choices([
        'jsonl',
        'npy',
        'table',
      ]),
      new Option('--precision <digits>', 'significant digits of numbers in JSONL; 9 give the same float32 back')
        .argParser(wholeFrom(1, 9))
        .default(9),
      new Option('--no-text', 'leave texts and fields out of JSONL'),
    ],
    json: 'the same as --format jsonl',
    load: async () => (await import('./embed.ts')).embed,
  },
  {
    name: 'similarity',
    task: 'sentence-similarity',
    description: 'the cosine of every pair of texts',
    options: [POOLING, ...PROMPTS, maxLength],
    json: 'print JSON for a program',
    load: async () => (await import('./similarity.ts')).similarity,
  },
  {
    name: 'classify',
    task: 'text-classification',
    description: 'labels of every text',
    options: [topK(1), maxLength],
    args: (texts, _, options) => [texts, given(options, TOP)],
    columns: { text: 60, label: 24, score: 8 },
    row: ({ label, score }) => [label, score],
  },
  {
    name: 'ner',
    task: 'token-classification',
    description: 'names and other entities in every text, and where they stand',
    options: [
      new Option('--aggregation-strategy <name>', 'how tokens become entities')
        .choices(['simple', 'first', 'average', 'max', 'none'])
        .default('simple'),
      maxLength,
    ],
    args: (texts, _, options) => [texts, given(options, { aggregationStrategy: 'aggregation_strategy', ...LENGTH })],
    columns: { text: 40, entity: 12, word: 30, start: 8, end: 8, score: 8 },
    row: ({ entity_group, entity, word, start, end, score }) => [entity_group ?? entity, word, start, end, score],
  },
  {
    name: 'fill-mask',
    task: 'fill-mask',
    description: 'words for every [MASK]',
    options: [topK(5), new Option('--targets <words>', 'only these words, apart by commas').argParser(commas), maxLength],
    args: (texts, _, options) => [texts, given(options, { targets: 'targets', ...TOP })],
    columns: { text: 50, word: 20, score: 8 },
    row: ({ token_str, score }) => [token_str, score],
  },
  {
    name: 'ask',
    task: 'question-answering',
    description: 'the answer to a question in every text',
    first: ['question', 'what is asked'],
    whole: true,
    options: [
      topK(1),
      new Option('--handle-impossible-answer', 'say when there is none'),
      new Option('--lines', 'every line of --file or standard input is a text (default: all of it is one)'),
    ],
    args: (texts, question, options) => [
      texts.map(() => question),
      texts,
      given(options, { topK: 'top_k', handleImpossibleAnswer: 'handle_impossible_answer' }),
    ],
    columns: { text: 50, answer: 40, start: 8, end: 8, score: 8 },
    row: ({ answer, start, end, score }) => [answer, start, end, score],
  },
  {
    name: 'zero-shot',
    task: 'zero-shot-classification',
    description: 'which labels of your own fit every text',
    options: [
      new Option('--labels <names>', 'the labels, apart by commas').makeOptionMandatory(),
      new Option('--multi-label', 'score each label by itself'),
      new Option('--hypothesis-template <text>', 'the sentence that a label is put into, at {}'),
      maxLength,
    ],
    args: (texts, _, options) => [
      texts,
      options.labels,
      given(options, { multiLabel: 'multi_label', hypothesisTemplate: 'hypothesis_template', ...LENGTH }),
    ],
    columns: { text: 60, label: 24, score: 8 },
    row: ({ label, score }) => [label, score],
  },
  {
    name: 'rank',
    task: 'text-ranking',
    description: 'the texts by how well they answer a query',
    first: ['query', 'what is looked for'],
    together: true,
    options: [topK(undefined), maxLength],
    args: (texts, query, options) => [query, texts, { ...given(options, TOP), return_documents: true }],
    columns: { query: 30, document: 8, text: 60, score: 8 },
    row: ({ corpus_id, text, score }) => [corpus_id, text, score],
  },
  {
    name: 'next-sentence',
    task: 'next-sentence-prediction',
    description: 'whether every text follows another',
    first: ['before', 'the text that they may follow'],
    options: [maxLength],
    args: (texts, before, options) => [texts.map((text_pair) => ({ text: before, text_pair })), given(options, LENGTH)],
    columns: { text: 60, is_next: 10, score: 8 },
    row: ({ is_next, score }) => [is_next, score],
  },
  {
    name: 'choose',
    task: 'multiple-choice',
    description: 'the likeliest of all texts to follow another',
    first: ['before', 'the text that they may follow'],
    together: true,
    options: [maxLength],
    args: (choices, before, options) => [{ text: before, choices }, given(options, LENGTH)],
    columns: { text: 50, choice: 8, answer: 40, score: 8 },
    row: ({ choice, answer, scores }) => [choice, answer, (scores as number[])[choice as number]],
  },
]

/** Adds every task to the program. */
export function taskCommands(command: (name: string, description: string) => Command, signal: AbortSignal): void {
  for (const entry of TASK_COMMANDS) {
    const verb = command(entry.name, entry.description)
    const [first, json] =
      'load' in entry
        ? [undefined, entry.json]
        : [entry.first, 'print JSONL on a terminal too (default: a table on a terminal, else JSONL)']
    if (first) verb.argument(`<${first[0]}>`, first[1])
    const lines = 'whole' in entry ? '--file or standard input' : '--file or standard input, one text a line'
    verb.argument('[texts...]', `the texts; without them, ${lines}`)
    adapterOption(modelOptions(inputOptions(verb)))
    if (!('load' in entry))
      verb.options.find(({ long }) => long === '--model')!.description = 'a folder, npm package, address or hub id, trained for this task'
    for (const option of entry.options) verb.addOption(option)
    outputOption(jsonOption(verb, json))
    verb.action(async (...args: unknown[]) => {
      const [before, texts, options] = (first ? args : ['', ...args]) as [string, string[], TaskOptions]
      if ('load' in entry) await (await entry.load())(texts, options as never, signal)
      else await (await import('./task.ts')).runTask(entry, before, texts, options, signal)
    })
  }
}
