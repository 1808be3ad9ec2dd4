// Rows of labelled files: TSV as GLUE has it, CSV as RFC 4180, JSON a line, Parquet.
import { BertletError, expected, show, Words } from '../errors.ts'
import { streamOf, type DataInput } from './input.ts'
import { lines, utf8 } from './lines.ts'

export const TABLE_FORMATS = ['tsv', 'csv', 'jsonl', 'parquet'] as const
export type TableFormat = (typeof TABLE_FORMATS)[number]

/** A row as it stands in its file: cells in order, or the fields of an object. */
export interface Row {
  /** For messages: "train.tsv, line 7". */
  readonly place: string
  readonly cells: readonly string[] | Readonly<Record<string, unknown>>
}

const ENDINGS: Readonly<Record<string, TableFormat>> = {
  '.tsv': 'tsv',
  '.txt': 'tsv',
  '.csv': 'csv',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'jsonl',
  '.parquet': 'parquet',
}

/** What a file's name says that it is. */
export function formatOf(file: string, asked: TableFormat | undefined): TableFormat {
  const format = asked ?? ENDINGS[/\.\w+$/.exec(file)?.[0].toLowerCase() ?? '']
  if (format !== undefined) return format
  throw expected('file', `a name that ends in ${Object.keys(ENDINGS).join(', ')}`, file, `Or say its format: ${TABLE_FORMATS.join(', ')}`)
}

/** Whether rows are objects, whose fields have names. */
export const hasNames = (format: TableFormat): boolean => format === 'jsonl' || format === 'parquet'

/**
 * The rows of a file that are not empty, as they come. A byte order mark is dropped; lines end in LF or CR LF, the last may lack it.
 *
 * @param name the file's, for messages
 * @throws BertletError `invalid_file` that names the line
 */
export async function* readRows(input: DataInput, format: TableFormat, name = 'the file'): AsyncGenerator<Row> {
  if (format === 'parquet') {
    const { parquetRows } = await import('./parquet.ts')
    yield* parquetRows(input, name)
    return
  }
  const chunks = utf8(streamOf(input, name), name)
  if (format === 'csv') {
    const { csvRows } = await import('./csv.ts')
    yield* csvRows(chunks, name)
    return
  }
  let number = 0
  for await (const list of lines(chunks, name)) {
    for (const line of list) {
      number++
      if (line.trim() === '') continue
      const place = `${name}, line ${number}`
      // No quoting of any kind: a lone " is text.
      yield { place, cells: format === 'tsv' ? line.split('\t') : parse(line, place) }
    }
  }
}

function parse(line: string, place: string): Record<string, unknown> {
  let record: unknown
  try {
    record = JSON.parse(line)
  } catch (cause) {
    throw new BertletError('invalid_file', `${place}: expected a JSON object, got ${show(line)}`, 'Write one object a line', { cause })
  }
  if (typeof record === 'object' && record !== null && !Array.isArray(record)) return record as Record<string, unknown>
  throw expected(place, 'a JSON object', record === null ? new Words('null') : record, 'Write one object a line', 'invalid_file')
}
