// Labelled texts of a file: which columns they are in, and what their labels mean.
import { BertletError, checkOptions, expected, nearest, show, Words } from '../errors.ts'
import type { DataInput } from './input.ts'
import { formatOf, hasNames, readRows, type Row, type TableFormat } from './rows.ts'

/** Which columns, by name or by number from 0. */
export interface ColumnOptions {
  /** text, sentence, sentence1, question, question1 or premise by default; without a header column 0. */
  readonly text?: string
  /** By default sentence2 beside sentence1, sentence beside question, question2 beside question1, hypothesis beside premise; else none. */
  readonly text_pair?: string
  /** label, labels, score, gold_label or is_duplicate by default; without a header the last column. */
  readonly label?: string
  /** Whether the first row names the columns; found out when not said. */
  readonly header?: boolean
  /** By the file's name when not said. */
  readonly format?: TableFormat
  /** Leave out rows that lack a column, instead of an error. */
  readonly skip_short?: boolean
  /** Whether a row without label is an error; true by default. */
  readonly labelled?: boolean
  /** What an option is called in messages; as here by default. */
  readonly called?: (option: string) => string
}

const OPTIONS: readonly (keyof ColumnOptions)[] = ['text', 'text_pair', 'label', 'header', 'format', 'skip_short', 'labelled', 'called']

/** A text, or a pair, and its label as it is written; `label` is undefined when labels are not wanted and not there. */
export interface Example {
  readonly place: string
  readonly text: string
  readonly pair?: string
  readonly label: string | number | undefined
}

/** Names that are looked for when none are given; a header is a first row that has one of them, or a name that was given. */
const TEXTS = ['text', 'sentence', 'sentence1', 'question', 'question1', 'premise']
const PAIRS: Readonly<Record<string, readonly string[]>> = {
  sentence1: ['sentence2'],
  question: ['sentence'],
  question1: ['question2'],
  premise: ['hypothesis'],
}
const LABELS = ['label', 'labels', 'score', 'gold_label', 'is_duplicate']

interface Columns {
  readonly text: string | number
  readonly pair: string | number | undefined
  readonly label: string | number | undefined
}

export interface Examples {
  readonly examples: readonly Example[]
  /** What was taken for what, in words. */
  readonly read: string
  readonly skipped: number
}

/**
 * Labelled texts, or pairs, of TSV, CSV, JSONL or Parquet.
 *
 *     const { examples } = await readExamples(createReadStream('train.tsv'), 'train.tsv')
 *     const labels = classesOf(examples)
 *     const train_dataset = textFeatures(examples, tokenizer, { labels })
 *
 * @param name the file's: it tells the format, and messages show it
 */
export async function readExamples(input: DataInput, name: string, options: ColumnOptions = {}): Promise<Examples> {
  checkOptions('readExamples', options, OPTIONS)
  const { labelled = true, called: optionName = (option: string) => option } = options
  const format = formatOf(name, options.format)
  let columns: Columns | undefined
  let [names, skipped, header, width]: [readonly string[], number, boolean, number] = [[], 0, false, 0]
  const free = byNumber(options.text) && (!labelled || byNumber(options.label))
  const examples: Example[] = []
  for await (const row of readRows(input, format, name)) {
    if (columns === undefined) {
      header = !hasNames(format) && isHeader(row.cells as readonly string[], options)
      names = hasNames(format) ? Object.keys(row.cells) : header ? (row.cells as readonly string[]).map((each) => each.trim()) : []
      width = hasNames(format) ? 0 : (row.cells as readonly string[]).length
      columns = resolve(options, { names, width, format, place: row.place, labelled, called: optionName, row: shown(row) })
      if (header) continue
    }
    if (!hasNames(format) && !free) checkWidth(row, width, format, header)
    if (!hasNames(format) && isShort(row, columns)) {
      if (!options.skip_short) throw tooShort(row, columns, names, optionName('skip_short'))
      skipped++
      continue
    }
    examples.push(example(row, columns, labelled))
  }
  if (examples.length === 0)
    throw new BertletError(
      'invalid_file',
      `${name}: expected labelled texts, got no row${header ? ' but a header' : ''}`,
      'Give one a line',
    )
  const called = (column: string | number): string =>
    typeof column === 'number' ? `column ${column}${names[column] === undefined ? '' : ` "${names[column]}"`}` : `field "${column}"`
  const parts = [`text of ${called(columns!.text)}`]
  if (columns!.pair !== undefined) parts.push(`second text of ${called(columns!.pair)}`)
  if (columns!.label !== undefined) parts.push(`label of ${called(columns!.label)}`)
  if (!hasNames(format)) parts.push(header ? 'the first row is a header' : 'no header')
  if (skipped > 0) parts.push(`${skipped} short rows left out`)
  return { examples, read: parts.join(', '), skipped }
}

function isHeader(cells: readonly string[], { header, text, text_pair, label }: ColumnOptions): boolean {
  if (header !== undefined) return header
  const known = [...TEXTS, ...LABELS, text, text_pair, label].filter((name) => name !== undefined && !byNumber(name))
  return cells.some((cell) => known.includes(cell.trim()))
}

/** What a file's first row tells. */
export interface Found {
  readonly names: readonly string[]
  readonly width: number
  readonly format: TableFormat
  readonly place: string
  readonly labelled: boolean
  readonly called: (option: string) => string
  /** The first row, for messages. */
  readonly row: string
}

export const byNumber = (column: string | undefined): boolean => column !== undefined && /^\d+$/.test(column)

/** The column that an option names, by name or by number from 0. */
export function columnOf(
  { names, width, format, place, called, row }: Omit<Found, 'labelled'>,
  option: string,
  name: string,
): string | number {
  if (hasNames(format)) return name
  if (byNumber(name) && !names.includes(name)) {
    if (Number(name) < width) return Number(name)
    throw expected(place, `column ${name} for ${called(option)}`, new Words(`columns 0 to ${width - 1}: ${row}`), undefined, 'invalid_file')
  }
  const at = names.indexOf(name)
  if (at >= 0) return at
  const near = nearest(name, names)
  if (names.length > 0)
    throw expected(
      place,
      `a column named ${show(name)} for ${called(option)}`,
      new Words(names.map(show).join(', ')),
      near && `Did you mean ${near}?`,
      'invalid_file',
    )
  throw expected(
    place,
    `a header with ${show(name)} for ${called(option)}`,
    new Words(`no header: ${row}`),
    `Name a column by its number, 0 to ${width - 1}`,
    'invalid_file',
  )
}

function resolve(options: ColumnOptions, found: Found): Columns {
  const { names, width, format, place, labelled, called, row } = found
  const asked = (option: string, name: string): string | number => columnOf(found, option, name)
  const usual = (list: readonly string[]): string | number | undefined => {
    const name = list.find((one) => names.includes(one))
    return name === undefined ? undefined : hasNames(format) ? name : names.indexOf(name)
  }
  const missing = (option: string, what: string, list: readonly string[]): BertletError =>
    expected(
      place,
      `${what} in one of ${list.join(', ')}`,
      new Words(names.map(show).join(', ')),
      `Name it with ${called(option)}`,
      'invalid_file',
    )

  const text = options.text === undefined ? (usual(TEXTS) ?? (names.length === 0 ? 0 : undefined)) : asked('text', options.text)
  if (text === undefined) throw missing('text', 'a text', TEXTS)
  const pairs = options.text === undefined ? (PAIRS[typeof text === 'number' ? (names[text] ?? '') : text] ?? []) : []
  const pair = options.text_pair === undefined ? usual(pairs) : asked('text_pair', options.text_pair)
  // Without a header the label is the last column.
  const last = names.length === 0 && !hasNames(format) && width > 1 ? width - 1 : undefined
  const label = options.label === undefined ? (usual(LABELS) ?? last) : asked('label', options.label)
  if (labelled && label === undefined) {
    if (names.length > 0) throw missing('label', 'a label', LABELS)
    throw expected(
      place,
      'a text and a label',
      new Words(`one column: ${row}`),
      format === 'tsv'
        ? 'Put a tab between them; a file with commas is read with ' + `${called('format')} csv`
        : 'Put a comma between them',
      'invalid_file',
    )
  }
  return { text, pair, label: label === text ? undefined : label }
}

/** The columns that a row must have. */
const needed = ({ text, pair, label }: Columns): number[] => [text, pair, label].filter((column) => typeof column === 'number')

const isShort = ({ cells }: Row, columns: Columns): boolean => Math.max(...needed(columns)) >= (cells as readonly string[]).length

function tooShort(row: Row, columns: Columns, names: readonly string[], skip: string): BertletError {
  const most = Math.max(...needed(columns))
  const count = (row.cells as readonly string[]).length
  return expected(
    row.place,
    `${most + 1} columns or more${names.length > most ? `, up to ${show(names[most])}` : ''}`,
    new Words(`${count}: ${shown(row)}`),
    `Mend the row, or pass ${skip} to leave such rows out`,
    'invalid_file',
  )
}

/**
 * A row wider than the first is one whose text has the separator in it: which cell is which nobody knows. Empty cells behind the others do no harm, and
 * where every column that is read was numbered the row may end as it likes.
 */
export function checkWidth({ place, cells }: Row, width: number, format: TableFormat, header: boolean): void {
  const row = cells as readonly string[]
  if (row.length <= width || row.slice(width).every((cell) => cell.trim() === '')) return
  const fix = format === 'csv' ? 'Put texts with commas in quotes' : 'Take the tabs out of its text; a file with commas is read as csv'
  const got = new Words(`${row.length}: ${shown({ place, cells })}`)
  throw expected(place, `${width} columns, as the ${header ? 'header' : 'first row'} has`, got, fix, 'invalid_file')
}

/** A row's cells in a few characters. */
export const shown = ({ cells }: Row): string => show(Array.isArray(cells) ? cells.join('\t') : JSON.stringify(cells))

function example({ place, cells }: Row, { text, pair, label }: Columns, labelled: boolean): Example {
  const read = (column: string | number): unknown => {
    if (typeof column === 'number') return (cells as readonly string[])[column]
    return Object.hasOwn(cells, column) ? (cells as Readonly<Record<string, unknown>>)[column] : undefined
  }
  const textOf = (column: string | number): string => {
    const value = read(column)
    if (typeof value === 'string') return value
    const names = Object.keys(cells).slice(0, 10).join(', ')
    throw expected(`${place}: field ${show(column)}`, 'a text', value, `The object has: ${names || 'no fields'}`, 'invalid_file')
  }
  const labelOf = (column: string | number): string | number | undefined => {
    const value = read(column)
    const trimmed = typeof value === 'string' ? value.trim() : typeof value === 'boolean' ? String(value) : value
    if (typeof trimmed === 'number' || (typeof trimmed === 'string' && trimmed !== '')) return trimmed
    if (!labelled) return undefined
    throw expected(`${place}: label`, 'a name or a number', value === '' ? new Words('nothing') : value, undefined, 'invalid_file')
  }
  return {
    place,
    text: textOf(text),
    ...(pair !== undefined && { pair: textOf(pair) }),
    label: label === undefined ? undefined : labelOf(label),
  }
}
