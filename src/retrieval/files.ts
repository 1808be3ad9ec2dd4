// An index as two files: index.safetensors, the vectors, and index.jsonl, a line for each with its id and metadata.
import type { BertletError } from '../errors.ts'
import { expected, show, Words } from '../errors.ts'
import { isObject, parseObject, type JsonObject } from '../json.ts'
import { checksum } from '../training/checksums.ts'
import { readHeader, type Header, type TensorInfo } from '../weights/safetensors.ts'
import { writeSafetensors, type TensorToWrite } from '../weights/write-safetensors.ts'
import type { Sink } from '../weights/sink.ts'
import type { ByteReader, Source } from '../weights/source.ts'

export const VECTORS = 'index.safetensors'
export const ENTRIES = 'index.jsonl'
/** Raised when what the files hold changes. */
const VERSION = '1'
const AGAIN = 'Make the index again'

export interface Entry {
  readonly id: string | number
  readonly metadata?: JsonObject
}

export interface OpenIndex {
  readonly entries: readonly Entry[]
  readonly header: Header
  readonly reader: ByteReader
  readonly file: string
}

/** `fields` are kept as they are given, beside the format's own. */
export async function writeIndex(
  sink: Sink,
  entries: readonly Entry[],
  tensors: readonly TensorToWrite[],
  fields: Readonly<Record<string, string>>,
): Promise<void> {
  const lines = new TextEncoder().encode(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  await sink.write(ENTRIES, [lines])
  const own = { bertlet_index: VERSION, entries: String(entries.length), entries_checksum: String(checksum(lines)) }
  await sink.write(VECTORS, writeSafetensors(tensors, { format: 'pt', ...own, ...fields }))
}

/** Checks both files but for the vectors themselves. The reader is the caller's to close. */
export async function openIndex(source: Source, signal?: AbortSignal): Promise<OpenIndex> {
  const file = `${source.name}/${VECTORS}`
  const reader = await source.open(VECTORS, { signal })
  if (reader === undefined)
    throw expected(source.name, `an index: ${VECTORS} and ${ENTRIES}`, new Words(`no ${VECTORS}`), 'Make one with save()', 'not_found')
  try {
    const header = await readHeader(reader, file)
    const { bertlet_index: version, entries: count, entries_checksum: sum } = header.metadata
    if (version === undefined) {
      const found = [...header.tensors.keys()].slice(0, 3).map(show).join(', ') || 'none'
      throw bad(file, 'an index of bertlet', new Words(`another safetensors file, whose tensors are ${found}`))
    }
    if (version !== VERSION) throw bad(`${file}: bertlet_index`, `version ${VERSION}`, version, 'It is of another bertlet: make it again')
    return { entries: await readEntries(source, Number(count), sum, signal), header, reader, file }
  } catch (error) {
    await reader.close()
    throw error
  }
}

async function readEntries(source: Source, count: number, sum: string | undefined, signal: AbortSignal | undefined): Promise<Entry[]> {
  const file = `${source.name}/${ENTRIES}`
  const reader = await source.open(ENTRIES, { signal })
  if (reader === undefined) throw bad(file, `the ids of ${VECTORS}`, new Words('no such file'))
  let bytes: Uint8Array
  try {
    bytes = await reader.read(0, reader.size)
  } finally {
    await reader.close()
  }
  const lines = new TextDecoder().decode(bytes).split('\n')
  if (lines.at(-1) === '') lines.pop()
  const entries = lines.map((line, i): Entry => {
    const subject = `${file}:${i + 1}`
    const { id, metadata } = parseObject(line, subject)
    if ((typeof id !== 'string' && typeof id !== 'number') || (metadata !== undefined && !isObject(metadata)))
      throw bad(subject, 'an id, and metadata that is an object', new Words(line.slice(0, 60)))
    return { id, ...(metadata !== undefined && { metadata }) }
  })
  if (entries.length !== count) throw bad(file, `${count} lines, as ${VECTORS} has vectors`, entries.length)
  if (String(checksum(bytes)) !== sum)
    throw bad(file, `the file that was saved with ${VECTORS}`, new Words('another one, or a changed one'))
  return entries
}

/** A tensor of an index, by its name, dtype and shape. */
export function tensorOf({ header, file }: OpenIndex, name: string, dtype: string, shape: readonly number[]): TensorInfo {
  const tensor = header.tensors.get(name)
  if (tensor === undefined) throw bad(file, `a tensor ${show(name)}`, new Words('none'))
  if (tensor.dtype === dtype && tensor.shape.join() === shape.join()) return tensor
  const got = new Words(`${tensor.dtype} [${tensor.shape.join(', ')}]`)
  throw bad(`${file}: tensor ${show(name)}`, `${dtype} [${shape.join(', ')}]`, got)
}

/** The bytes of rows row0.. of a tensor, in a buffer of their own. */
export async function readRows(
  reader: ByteReader,
  { start, end, shape }: TensorInfo,
  row0: number,
  rows: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const size = shape[0] === 0 ? 0 : (end - start) / shape[0]!
  const bytes = new Uint8Array(rows * size)
  await reader.read(start + row0 * size, start + (row0 + rows) * size, bytes)
  return bytes
}

export const bad = (subject: string, wanted: string, got: unknown, fix = AGAIN): BertletError =>
  expected(subject, wanted, got, fix, 'invalid_file')
