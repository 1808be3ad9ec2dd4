// An index as two files: index.safetensors, the vectors, and index.jsonl, a line for each with its id and metadata.
import { BertletError, expected, show, Words } from '../errors.ts'
import { depthOf, isObject, MAX_DEPTH, parseObject, type JsonObject } from '../json.ts'
import { openSource, type ModelSource } from '../models/source.ts'
import { checksum } from '../training/checksums.ts'
import { readHeader, type Header, type TensorInfo } from '../weights/safetensors.ts'
import { writeSafetensors, type TensorToWrite } from '../weights/write-safetensors.ts'
import type { Sink } from '../weights/sink.ts'
import type { ByteReader, Source } from '../weights/source.ts'

export const VECTORS = 'index.safetensors'
export const ENTRIES = 'index.jsonl'
/** Raised when what the files hold changes. */
const VERSION = '1'
const AGAIN = 'Make the index again, as bertlet index does with --rebuild'
/** Bytes of entries that are read, and made, at a time: a text of all could be longer than an engine lets one be. Checksums want a multiple of 4. */
const BLOCK = 1 << 20

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
  const blocks = [...blocksOf(entries)]
  await sink.write(ENTRIES, blocks)
  const size = blocks.reduce((sum, { length }) => sum + length, 0)
  const sum = blocks.reduce((before, block) => checksum(block, before), size)
  const own = { bertlet_index: VERSION, entries: String(entries.length), entries_checksum: String(sum) }
  await sink.write(VECTORS, writeSafetensors(tensors, { format: 'pt', ...own, ...fields }))
}

/** The lines of entries. */
function* blocksOf(entries: readonly Entry[]): Generator<Uint8Array> {
  const encoder = new TextEncoder()
  let [block, used] = [new Uint8Array(BLOCK), 0]
  for (const entry of entries) {
    const line = encoder.encode(`${JSON.stringify(entry)}\n`)
    for (let from = 0; from < line.length;) {
      const part = line.subarray(from, from + BLOCK - used)
      block.set(part, used)
      from += part.length
      used += part.length
      if (used < BLOCK) continue
      yield block
      ;[block, used] = [new Uint8Array(BLOCK), 0]
    }
  }
  yield block.subarray(0, used)
}

/** What is wrong with metadata that a line of a file could not hold; undefined: nothing. */
export function unwritable(metadata: object): string | undefined {
  try {
    // Within the line's own object.
    return depthOf(JSON.stringify(metadata)) < MAX_DEPTH ? undefined : `more than ${MAX_DEPTH - 1} levels`
  } catch (error) {
    return (error as Error).message.split('\n')[0]
  }
}

/** Checks both files but for the vectors themselves. The reader is the caller's to close. */
export async function openIndex(from: ModelSource, signal?: AbortSignal): Promise<OpenIndex> {
  const { source, reader } = await openVectors(from, signal)
  const file = `${source.name}/${VECTORS}`
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

/** A name that leads nowhere is told as one of an index, not of a model. */
async function openVectors(
  from: ModelSource,
  signal: AbortSignal | undefined,
): Promise<{ source: Source; reader: ByteReader | undefined }> {
  try {
    const source = openSource(from)
    return { source, reader: await source.open(VECTORS, { signal }) }
  } catch (cause) {
    const { code, message } = cause as BertletError
    if (code !== 'not_found' && code !== 'network') throw cause
    const fix = `An index is a folder of ${VECTORS} and ${ENTRIES}, as save() and bertlet index write it: give its path`
    throw new BertletError(code, `index ${show(from)}: ${message.split(/\. (?=[A-Z])/)[0]}`, fix, { cause })
  }
}

async function readEntries(source: Source, count: number, sum: string | undefined, signal: AbortSignal | undefined): Promise<Entry[]> {
  const file = `${source.name}/${ENTRIES}`
  const reader = await source.open(ENTRIES, { signal })
  if (reader === undefined) throw bad(file, `the ids of ${VECTORS}`, new Words('no such file'))
  const entries: Entry[] = []
  const add = (line: string): void => void entries.push(entryOf(line, `${file}:${entries.length + 1}`))
  let found = reader.size
  try {
    const decoder = new TextDecoder()
    let rest = ''
    for (let at = 0; at < reader.size; at += BLOCK) {
      const bytes = await reader.read(at, Math.min(at + BLOCK, reader.size))
      found = checksum(bytes, found)
      const lines = decoder.decode(bytes, { stream: true }).split('\n')
      lines[0] = rest + lines[0]!
      rest = lines.pop()!
      lines.forEach(add)
    }
    rest += decoder.decode()
    if (rest !== '') add(rest)
  } finally {
    await reader.close()
  }
  if (entries.length !== count) throw bad(file, `${count} lines, as ${VECTORS} has vectors`, entries.length)
  if (String(found) !== sum) throw bad(file, `the file that was saved with ${VECTORS}`, new Words('another one, or a changed one'))
  return entries
}

function entryOf(line: string, subject: string): Entry {
  const { id, metadata } = parseObject(line, subject)
  if ((typeof id !== 'string' && typeof id !== 'number') || (metadata !== undefined && !isObject(metadata)))
    throw bad(subject, 'an id, and metadata that is an object', new Words(line.slice(0, 60)))
  return { id, ...(metadata !== undefined && { metadata }) }
}

/** A tensor of an index, by its name, dtype and shape. */
export function tensorOf({ header, file }: OpenIndex, name: string, dtype: string, shape: readonly number[]): TensorInfo {
  const tensor = header.tensors.get(name)
  if (tensor === undefined) throw bad(file, `a tensor ${show(name)}`, new Words('none'))
  if (tensor.dtype === dtype && tensor.shape.join() === shape.join()) return tensor
  const got = new Words(`${tensor.dtype} [${tensor.shape.join(', ')}]`)
  throw bad(`${file}: tensor ${show(name)}`, `${dtype} [${shape.join(', ')}]`, got)
}

/** Tensors whose rows belong together, the first one's name in front. */
export interface Stored {
  readonly file: string
  readonly reader: ByteReader
  readonly tensors: readonly TensorInfo[]
  /** A checksum for each row, which files of the first versions have not. */
  readonly sums: TensorInfo | undefined
}

/** Where the checksums of a tensor's rows are. */
export const sumsName = (tensor: string): string => `${tensor}_checksums`

/** Checksums of rows over what each has in all parts. */
export function rowSums(rows: number, parts: readonly Uint8Array[]): Uint32Array<ArrayBuffer> {
  const sizes = parts.map(({ length }) => length / rows)
  const whole = sizes.reduce((sum, size) => sum + size, 0)
  return Uint32Array.from({ length: rows }, (_, row) =>
    parts.reduce((sum, part, i) => checksum(part.subarray(row * sizes[i]!, (row + 1) * sizes[i]!), sum), whole),
  )
}

/** The bytes of rows row0.. of every tensor, in buffers of their own, as they were saved. */
export async function readStored({ file, reader, tensors, sums }: Stored, row0: number, rows: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const found = await Promise.all(tensors.map((each) => readRows(reader, each, row0, rows)))
  const known = sums && new Uint32Array((await readRows(reader, sums, row0, rows)).buffer)
  const odd = known
    ? rowSums(rows, found).findIndex((sum, i) => sum !== known[i])
    : found.findIndex((bytes, i) => tensors[i]!.dtype === 'F32' && !new Float32Array(bytes.buffer).every(Number.isFinite))
  if (odd < 0) return found
  const name = show(tensors[0]!.name)
  if (known) throw bad(`${file}: tensor ${name}`, `row ${row0 + odd} as it was saved`, new Words('other bytes: the file was damaged'))
  throw bad(`${file}: tensor ${show(tensors[odd]!.name)}`, 'finite numbers', new Words('others'))
}

async function readRows(
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
