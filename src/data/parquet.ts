// Rows of Parquet by hyparquet, a row group at a time. Loaded when such a file is read.
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { BertletError } from '../errors.ts'
import { randomAccess, type DataInput } from './input.ts'
import type { Row } from './rows.ts'

/** Rows that are in memory at a time: a row group is read in parts of no more. */
const PART = 1 << 14

export async function* parquetRows(input: DataInput, name: string): AsyncGenerator<Row> {
  const { size, read } = await access(input, name)
  const file = {
    byteLength: size,
    slice: async (start: number, end = size) => Uint8Array.from(await read(start, end)).buffer,
  }
  try {
    const metadata = await parquetMetadataAsync(file)
    const columns = parquetSchema(metadata).children.map(({ element }) => element.name)
    let row = 0
    for (const { num_rows } of metadata.row_groups) {
      const end = row + Number(num_rows)
      while (row < end) {
        const rowEnd = Math.min(end, row + PART)
        for (const cells of await parquetReadObjects({ file, metadata, columns, rowStart: row, rowEnd })) {
          yield { place: `${name}, row ${row}`, cells: plain(cells) as Record<string, unknown> }
          row++
        }
      }
    }
  } catch (cause) {
    if (cause instanceof BertletError) throw cause
    const said = (cause as Error).message
    throw new BertletError(
      'invalid_file',
      `${name}: expected Parquet, uncompressed or by Snappy, got something else: ${said}`,
      'Write it again with compression="snappy", or as JSONL',
      { cause },
    )
  }
}

async function access(
  input: DataInput,
  name: string,
): Promise<{ size: number; read: (start: number, end: number) => Promise<Uint8Array> }> {
  const random = await randomAccess(input, name)
  return {
    size: random.size,
    async read(start, end) {
      const bytes = await random.read(start, end)
      if (bytes.length === end - start) return bytes
      throw new BertletError('invalid_file', `${name}: expected ${end - start} bytes at ${start}, got ${bytes.length}`, 'It ends too early')
    },
  }
}

/** Whole numbers of 64 bits as numbers, where they are exact. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(plain)
  if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
  return value
}
