// Rows of CSV by csv-parse, in the build that needs no platform. Loaded when such a file is read.
import { CsvError, parse } from 'csv-parse/browser/esm'
import { BertletError } from '../errors.ts'
import type { Row } from './rows.ts'

interface Record {
  readonly record: string[]
  readonly info: { readonly lines: number }
}

export async function* csvRows(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Row> {
  // The number of cells is checked where they are wanted, with words of our own.
  const parser = parse({ bom: true, info: true, relax_column_count: true })
  const [records, decoder] = [[] as Record[], new TextDecoder()]
  let failed: Error | undefined
  let line = 1
  parser.on('data', (record: Record) => records.push(record)).on('error', (error: Error) => (failed = error))
  const drain = function* (): Generator<Row> {
    for (const { record, info } of records.splice(0)) {
      const place = `${name}, line ${line}`
      line = info.lines + 1
      if (record.length === 1 && record[0]!.trim() === '') continue
      yield { place, cells: record }
    }
    if (failed !== undefined) throw wrong(failed, name, line)
  }
  for await (const chunk of chunks) {
    await new Promise<unknown>((done) => parser.write(decoder.decode(chunk, { stream: true }), done))
    yield* drain()
  }
  await new Promise<unknown>((done) => parser.on('end', done).on('error', done).end())
  yield* drain()
}

function wrong(error: Error, name: string, line: number): unknown {
  if (!(error instanceof CsvError)) return error
  return new BertletError(
    'invalid_file',
    `${name}, line ${(error as { lines?: number }).lines ?? line}: expected cells as RFC 4180 has them, got something else: ${error.message}`,
    'Quote a cell as a whole and double the quotes in it; a file without quoting is read as TSV, whatever its name',
    { cause: error },
  )
}
