// Labelled texts of a file: which columns they are in, and what their labels mean.
import { BertletError, expected, nearest, show, Words } from '../errors.ts'
import { formatOf, rows, type Row, type TableFormat } from './dataset-rows.ts'

/** Which columns, by name or by number from 0. */
export interface ColumnOptions {
  readonly text?: string
  readonly textPair?: string
  readonly label?: string
  /** Whether the first row names the columns; found out when not said. */
  readonly header?: boolean
  readonly format?: TableFormat
  /** Leave out rows that lack a column, instead of an error. */
  readonly skipShort?: boolean
}

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

/** Reads all examples of a file. With `labelled`, a row without label is an error. */
export async function readExamples(file: string, options: ColumnOptions, labelled: boolean, signal: AbortSignal): Promise<Examples> {
  const format = formatOf(file, options.format)
  let columns: Columns | undefined
  let [names, skipped, header]: [readonly string[], number, boolean] = [[], 0, false]
  const examples: Example[] = []
  for await (const row of rows(file, format, signal)) {
    if (columns === undefined) {
      header = format !== 'jsonl' && isHeader(row.cells as readonly string[], options)
      names = format === 'jsonl' ? Object.keys(row.cells) : header ? (row.cells as readonly string[]).map((name) => name.trim()) : []
      const width = format === 'jsonl' ? 0 : (row.cells as readonly string[]).length
      columns = resolve(options, { names, width, format, place: row.place, labelled })
      if (header) continue
    }
    if (format !== 'jsonl' && isShort(row, columns)) {
      if (!options.skipShort) throw tooShort(row, columns, names)
      skipped++
      continue
    }
    examples.push(example(row, columns, labelled))
  }
  if (examples.length === 0)
    throw new BertletError(
      'invalid_file',
      `${file}: expected labelled texts, got no row${header ? ' but a header' : ''}`,
      'Give one a line',
    )
  const called = (column: string | number): string =>
    typeof column === 'number' ? `column ${column}${names[column] === undefined ? '' : ` "${names[column]}"`}` : `field "${column}"`
  const parts = [`text of ${called(columns!.text)}`]
  if (columns!.pair !== undefined) parts.push(`second text of ${called(columns!.pair)}`)
  if (columns!.label !== undefined) parts.push(`label of ${called(columns!.label)}`)
  if (format !== 'jsonl') parts.push(header ? 'the first row is a header' : 'no header')
  if (skipped > 0) parts.push(`${skipped} short rows left out`)
  return { examples, read: parts.join(', '), skipped }
}

function isHeader(cells: readonly string[], { header, text, textPair, label }: ColumnOptions): boolean {
  if (header !== undefined) return header
  const known = [...TEXTS, ...LABELS, text, textPair, label].filter((name) => name !== undefined && !/^\d+$/.test(name))
  return cells.some((cell) => known.includes(cell.trim()))
}

interface Found {
  readonly names: readonly string[]
  readonly width: number
  readonly format: TableFormat
  readonly place: string
  readonly labelled: boolean
}

function resolve(options: ColumnOptions, found: Found): Columns {
  const { names, width, format, place, labelled } = found
  const asked = (option: string, name: string): string | number => {
    if (format === 'jsonl') return name
    if (/^\d+$/.test(name) && !names.includes(name)) {
      if (Number(name) < width) return Number(name)
      throw expected(place, `column ${name} for ${option}`, new Words(`columns 0 to ${width - 1}`), undefined, 'invalid_file')
    }
    const at = names.indexOf(name)
    if (at >= 0) return at
    const near = nearest(name, names)
    if (names.length > 0)
      throw expected(
        place,
        `a column named ${show(name)} for ${option}`,
        new Words(names.map(show).join(', ')),
        near && `Did you mean ${near}?`,
        'invalid_file',
      )
    throw expected(
      place,
      `a header with ${show(name)} for ${option}`,
      new Words('no header'),
      `Name a column by its number, 0 to ${width - 1}`,
      'invalid_file',
    )
  }
  const usual = (list: readonly string[]): string | number | undefined => {
    const name = list.find((one) => names.includes(one))
    return name === undefined ? undefined : format === 'jsonl' ? name : names.indexOf(name)
  }
  const missing = (option: string, what: string, list: readonly string[]): BertletError =>
    expected(place, `${what} in one of ${list.join(', ')}`, new Words(names.map(show).join(', ')), `Name it with ${option}`, 'invalid_file')

  const text = options.text === undefined ? (usual(TEXTS) ?? (names.length === 0 ? 0 : undefined)) : asked('--text', options.text)
  if (text === undefined) throw missing('--text', 'a text', TEXTS)
  const pairs = options.text === undefined ? (PAIRS[typeof text === 'number' ? (names[text] ?? '') : text] ?? []) : []
  const pair = options.textPair === undefined ? usual(pairs) : asked('--text-pair', options.textPair)
  // Without a header the label is the last column.
  const last = names.length === 0 && format !== 'jsonl' && width > 1 ? width - 1 : undefined
  const label = options.label === undefined ? (usual(LABELS) ?? last) : asked('--label', options.label)
  if (labelled && label === undefined) {
    if (names.length > 0) throw missing('--label', 'a label', LABELS)
    throw expected(
      place,
      'a text and a label',
      new Words('one column'),
      format === 'tsv' ? 'Put a tab between them; a file with commas is read with --format csv' : 'Put a comma between them',
      'invalid_file',
    )
  }
  return { text, pair, label: label === text ? undefined : label }
}

/** The columns that a row must have. */
const needed = ({ text, pair, label }: Columns): number[] => [text, pair, label].filter((column) => typeof column === 'number')

const isShort = ({ cells }: Row, columns: Columns): boolean => Math.max(...needed(columns)) >= (cells as readonly string[]).length

function tooShort({ place, cells }: Row, columns: Columns, names: readonly string[]): BertletError {
  const most = Math.max(...needed(columns))
  const count = (cells as readonly string[]).length
  return expected(
    place,
    `${most + 1} columns or more${names.length > most ? `, up to ${show(names[most])}` : ''}`,
    new Words(String(count)),
    'Mend the row, or pass --skip-short to leave such rows out',
    'invalid_file',
  )
}

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
