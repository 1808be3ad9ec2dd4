// Commands that run a pipeline over texts: one table, from which the commands, their options and their output are made.
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
  readonly [name: string]: unknown
}

export interface TaskCommand {
  readonly name: string
  readonly task: Task
  readonly description: string
  /** What comes before the texts: a question, a query. */
  readonly first?: readonly [name: string, description: string]
  /** Whether all texts are one call, not one each. */
  readonly together?: boolean
  readonly options: readonly Option[]
  /** The pipeline's arguments for texts, its options last. */
  args(texts: readonly string[], first: string, options: TaskOptions): readonly unknown[]
  /** Widths of the table's columns for people; the text comes first. */
  readonly columns: Readonly<Record<string, number>>
  /** What a result puts into them. */
  row(item: Readonly<Record<string, unknown>>): readonly unknown[]
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
const commas = (value: string): string[] => value.split(',').map((word) => word.trim())

export const TASK_COMMANDS: readonly TaskCommand[] = [
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
    options: [topK(1), new Option('--handle-impossible-answer', 'say when there is none')],
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
]

/** Adds every task to the program. */
export function taskCommands(command: (name: string, description: string) => Command, signal: AbortSignal): void {
  for (const entry of TASK_COMMANDS) {
    const verb = command(entry.name, entry.description)
    if (entry.first) verb.argument(`<${entry.first[0]}>`, entry.first[1])
    verb.argument('[texts...]', 'the texts; without them, --file or standard input, one text a line')
    adapterOption(modelOptions(inputOptions(verb)))
    verb.options.find(({ long }) => long === '--model')!.description = 'a folder, npm package, address or hub id, trained for this task'
    for (const option of entry.options) verb.addOption(option)
    outputOption(jsonOption(verb, 'print JSONL on a terminal too (default: a table on a terminal, else JSONL)'))
    verb.action(async (...args: unknown[]) => {
      const [first, texts, options] = entry.first ? args : ['', ...args]
      await (await import('./task.ts')).runTask(entry, first as string, texts as string[], options as TaskOptions, signal)
    })
  }
}
