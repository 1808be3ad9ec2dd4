// Texts in columns, as sentence-transformers' data sets have them: two with a score, or an anchor, what is near it and what is not. Their order counts.
import { BertletError, checkOptions, expected, show, Words } from '../errors.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import type { SentenceFeature } from '../training/sentence-data.ts'
import { byNumber, checkWidth, columnOf, shown, type Found } from './examples.ts'
import type { DataInput } from './input.ts'
import { formatOf, hasNames, readRows, type Row, type TableFormat } from './rows.ts'
import { truncated, type TextFeatureOptions } from './text-features.ts'

export interface TextColumnOptions {
  /** Names, or numbers from 0, of the texts in order; by default all columns but the score's, of JSONL and Parquet all fields that are texts. */
  readonly columns?: readonly string[]
  /** Of the score: label, labels, score or scores by default; without a header the last column where the first row has a number there. */
  readonly label?: string
  /** Whether the first row names the columns; found out when not said. */
  readonly header?: boolean
  /** By the file's name when not said. */
  readonly format?: TableFormat
  /** What an option is called in messages; as here by default. */
  readonly called?: (option: string) => string
}

const OPTIONS: readonly (keyof TextColumnOptions)[] = ['columns', 'label', 'header', 'format', 'called']

/** A row: its texts in order, and the score of a pair that has one. */
export interface TextRow {
  readonly place: string
  readonly texts: readonly string[]
  readonly score?: number
}

export interface TextRows {
  readonly rows: readonly TextRow[]
  /** What was taken for what, in words. */
  readonly read: string
}

const SCORES = ['label', 'labels', 'score', 'scores']
const TEXTS = /^(anchor|positive|negative(_\d+)?|query|answer|question|premise|hypothesis|text|sentence)[ _]?[\dA-Ca-c]?$/i

const isNumber = (cell: unknown): boolean =>
  typeof cell === 'number' ? Number.isFinite(cell) : typeof cell === 'string' && cell.trim() !== '' && Number.isFinite(Number(cell))

/**
 * Rows of two texts or more, of TSV, CSV, JSONL or Parquet.
 *
 *     const { rows } = await readTextColumns(createReadStream('pairs.tsv'), 'pairs.tsv')
 *     const train_dataset = sentenceFeatures(rows, tokenizer)
 *     new Trainer({ model, loss: 'CoSENTLoss', train_dataset })
 *
 * @param name the file's: it tells the format, and messages show it
 */
export async function readTextColumns(input: DataInput, name: string, options: TextColumnOptions = {}): Promise<TextRows> {
  checkOptions('readTextColumns', options, OPTIONS)
  const format = formatOf(name, options.format)
  const free = byNumber(options.label) && options.columns?.every(byNumber)
  const rows: TextRow[] = []
  let read: Reading | undefined
  for await (const row of readRows(input, format, name)) {
    if (read === undefined) {
      read = reading(row, format, options)
      if (read.header) continue
    }
    if (!hasNames(format) && !free) checkWidth(row, read.width, format, read.header)
    rows.push(textRow(row, read))
  }
  if (read === undefined || rows.length === 0)
    throw new BertletError('invalid_file', `${name}: expected rows of two texts or more, got none`, 'Give a pair a line')
  const of = (column: string | number): string =>
    typeof column === 'number' ? `column ${column}${read.names[column] === undefined ? '' : ` "${read.names[column]}"`}` : `"${column}"`
  const score = read.score === undefined ? '' : `, score of ${of(read.score)}`
  return { rows, read: `texts of ${read.texts.map(of).join(', ')}${score}` }
}

interface Reading {
  readonly header: boolean
  readonly names: readonly string[]
  readonly width: number
  readonly texts: readonly (string | number)[]
  readonly score: string | number | undefined
}

/** Which columns, by the first row. */
function reading(row: Row, format: TableFormat, options: TextColumnOptions): Reading {
  const { called = (option: string) => option } = options
  const fields = hasNames(format)
  const cells = (fields ? Object.values(row.cells) : row.cells) as readonly unknown[]
  const known = [...(options.columns ?? []), options.label].filter((name) => name !== undefined && !byNumber(name))
  const isName = (cell: unknown): boolean =>
    (typeof cell === 'string' && [known, SCORES].some((list) => list.includes(cell.trim()))) || TEXTS.test(String(cell).trim())
  const header = !fields && (options.header ?? cells.some(isName))
  const names = fields ? Object.keys(row.cells) : header ? cells.map((cell) => String(cell).trim()) : []
  const found: Omit<Found, 'labelled'> = { names, width: cells.length, format, place: row.place, called, row: shown(row) }
  const usual = names.find((name) => SCORES.includes(name))
  const last = names.length === 0 && cells.length > 2 && isNumber(cells.at(-1)) ? cells.length - 1 : undefined
  const score =
    options.label !== undefined
      ? columnOf(found, 'label', options.label)
      : usual === undefined
        ? last
        : fields
          ? usual
          : names.indexOf(usual)
  const all = fields ? names.filter((_, i) => typeof cells[i] === 'string') : cells.map((_, i) => i)
  const texts = options.columns?.map((name) => columnOf(found, 'columns', name)) ?? all.filter((column) => column !== score)
  if (texts.length < 2) {
    const fix = fields || format === 'csv' ? `Name them with ${called('columns')}` : 'Put a tab between them'
    throw expected(row.place, 'two texts or more', new Words(found.row), fix, 'invalid_file')
  }
  return { header, names, width: cells.length, texts, score }
}

function textRow(row: Row, { texts, score }: Reading): TextRow {
  const { place } = row
  const cells = row.cells as Readonly<Record<string | number, unknown>>
  const textOf = (column: string | number): string => {
    const text = Object.hasOwn(cells, column) ? cells[column] : undefined
    if (typeof text === 'string' && text.trim() !== '') return text
    const where = typeof column === 'number' ? `column ${column}` : `field ${show(column)}`
    throw expected(`${place}: ${where}`, 'a text', text ?? new Words(`none: ${shown(row)}`), undefined, 'invalid_file')
  }
  if (score === undefined) return { place, texts: texts.map(textOf) }
  const number = Object.hasOwn(cells, score) ? cells[score] : undefined
  if (!isNumber(number))
    throw expected(`${place}: score`, 'a number', number ?? new Words(`none: ${shown(row)}`), undefined, 'invalid_file')
  return { place, texts: texts.map(textOf), score: Number(number) }
}

/** A feature for every row: `text0`, `text1`, ... and `score`. */
export function sentenceFeatures(
  rows: readonly TextRow[],
  tokenizer: Tokenizer,
  { max_length, signal }: Omit<TextFeatureOptions, 'labels'> = {},
): SentenceFeature[] {
  const cut = truncated(tokenizer, max_length)
  return rows.map(({ texts, score }) => {
    signal?.throwIfAborted()
    const { input_ids } = tokenizer(texts, cut)
    const columns = texts.map((_, i) => [`text${i}`, Int32Array.from(input_ids[i]!)] as const)
    return { ...Object.fromEntries(columns), ...(score !== undefined && { score }) }
  })
}
