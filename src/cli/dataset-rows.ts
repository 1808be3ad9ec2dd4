// Rows of labelled files: TSV as GLUE has it, CSV as RFC 4180, JSON a line.
import path from 'node:path'
import { addAbortSignal } from 'node:stream'
import { BertletError, expected, show, Words } from '../errors.ts'
import { lines, openInput } from './lines.ts'

export const TABLE_FORMATS = ['tsv', 'csv', 'jsonl'] as const
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
}

/** What a file's name says that it is. */
export function formatOf(file: string, asked: TableFormat | undefined): TableFormat {
  const format = asked ?? ENDINGS[path.extname(file).toLowerCase()]
  if (format !== undefined) return format
  throw expected('file', `a name that ends in ${Object.keys(ENDINGS).join(', ')}`, file, 'Or pass --format tsv, csv or jsonl')
}

/** The rows of a file that are not empty. A byte order mark is dropped; lines end in LF or CR LF, the last may lack it. */
export async function* rows(file: string, format: TableFormat, signal: AbortSignal): AsyncGenerator<Row> {
  const name = file === '-' ? 'standard input' : file
  const chunks = utf8(addAbortSignal(signal, await openInput(file)), name)
  if (format === 'csv') {
    yield* csv(chunks, name)
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

/** The same bytes, checked: a file in another encoding must not become a dataset of question marks. */
async function* utf8(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const check = (chunk?: Uint8Array): void => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined })
    } catch (cause) {
      throw new BertletError('invalid_file', `${name}: expected UTF-8, got bytes that are none`, 'Convert it, for example with iconv', {
        cause,
      })
    }
  }
  for await (const chunk of chunks) {
    check(chunk)
    yield chunk
  }
  check()
}

async function* csv(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Row> {
  const { Readable } = await import('node:stream')
  const { CsvError, parse: parser } = await import('csv-parse')
  // The number of cells is checked where they are wanted, with words of our own.
  const records = parser({ bom: true, info: true, relax_column_count: true })
  const source = Readable.from(chunks)
  source.on('error', (error) => records.destroy(error)).pipe(records)
  let line = 1
  try {
    for await (const { record, info } of records as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      const place = `${name}, line ${line}`
      line = info.lines + 1
      if (record.length === 1 && record[0]!.trim() === '') continue
      yield { place, cells: record }
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw new BertletError(
      'invalid_file',
      `${name}, line ${(error as { lines?: number }).lines ?? line}: expected cells as RFC 4180 has them, got something else: ${error.message}`,
      'Quote a cell as a whole and double the quotes in it; a file without quoting is read with --format tsv',
      { cause: error },
    )
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
