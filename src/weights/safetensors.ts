// The safetensors format: u64 little-endian header length, JSON header, the tensors' bytes without a gap.
import { BertletError, expected, show, Words } from '../errors.ts'
import { isObject, parseObject } from '../json.ts'
import type { ByteReader } from './source.ts'

/** Bits per element of every dtype that safetensors knows. */
export const BITS = {
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
  F32: 32,
  I32: 32,
  U32: 32,
  F16: 16,
  BF16: 16,
  I16: 16,
  U16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I8: 8,
  U8: 8,
  BOOL: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const

export type Dtype = keyof typeof BITS

export interface TensorInfo {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Absolute byte offsets in the file. */
  readonly start: number
  readonly end: number
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly metadata: Readonly<Record<string, string>>
}

/** The limit of the reference reader, in bytes. */
const MAX_HEADER = 100_000_000
/** Object of tensors, tensor, its shape. */
const HEADER_DEPTH = 3
const AGAIN = 'The file is damaged or still being written: download or export it again'

/** Reads and checks a file's header against its size; no other byte of the file is read. */
export async function readHeader(reader: ByteReader, file: string): Promise<Header> {
  if (reader.size < 10) throw bad(file, 'a safetensors file of at least 10 bytes', new Words(`${reader.size} bytes`))
  const prefix = await reader.read(0, 8)
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
  const most = Math.min(reader.size - 8, MAX_HEADER)
  if (length < 2n || length > BigInt(most)) {
    throw bad(file, `a header of 2 to ${most} bytes`, new Words(`${length} in a file of ${reader.size}`))
  }
  const dataStart = 8 + Number(length)
  const text = decode(await reader.read(8, dataStart), file)
  const { __metadata__: metadata = {}, ...entries } = parseObject(text, `${file}: header`, HEADER_DEPTH)
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    throw bad(`${file}: __metadata__`, 'an object of texts', metadata)
  }
  const tensors = Object.entries(entries).map(([name, entry]) => tensorInfo(file, name, entry, dataStart, reader.size))
  checkCoverage(file, tensors, dataStart, reader.size)
  return { tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata: metadata as Record<string, string> }
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    if (text.startsWith('{')) return text
  } catch (cause) {
    throw new BertletError('invalid_file', `${file}: expected a header in UTF-8, got other bytes`, AGAIN, { cause })
  }
  throw bad(file, 'a header that begins with {', new Words('something else'), 'Only safetensors files can be read: convert the checkpoint')
}

function tensorInfo(file: string, name: string, entry: unknown, dataStart: number, fileSize: number): TensorInfo {
  const subject = `${file}: tensor ${show(name)}`
  // eslint-disable-next-line no-control-regex -- that is what is refused
  if (name === '' || /[\u0000-\u001f]/.test(name)) throw bad(subject, 'a name of printable characters', name)
  if (!isObject(entry)) throw bad(subject, 'an object with dtype, shape and data_offsets', entry)
  const { dtype, shape, data_offsets: offsets } = entry
  if (typeof dtype !== 'string' || !Object.hasOwn(BITS, dtype))
    throw bad(`${subject}: dtype`, `one of ${Object.keys(BITS).join(', ')}`, dtype)
  if (!isSizes(shape)) throw bad(`${subject}: shape`, 'an array of whole numbers, 0 or more', list(shape))
  if (!isSizes(offsets) || offsets.length !== 2) throw bad(`${subject}: data_offsets`, 'two whole numbers, 0 or more', list(offsets))
  const [begin, end] = offsets as [number, number]
  if (begin > end) throw bad(`${subject}: data_offsets`, 'an end at or after the start', list(offsets))
  if (dataStart + end > fileSize) {
    throw bad(`${subject}: data_offsets`, `an end of at most ${fileSize - dataStart}, the bytes after the header`, list(offsets))
  }
  const bytes = byteLength(dtype as Dtype, shape)
  if (Number.isNaN(bytes)) throw bad(`${subject}: shape`, `sizes that make whole bytes of ${dtype}, below 2^53 bits`, list(shape))
  if (bytes !== end - begin) {
    throw bad(`${subject}: data_offsets`, `${bytes} bytes for ${dtype} [${shape.join(', ')}]`, new Words(`${end - begin} bytes`))
  }
  return { name, dtype: dtype as Dtype, shape, start: dataStart + begin, end: dataStart + end }
}

/** The tensors, one after the other, must be all that follows the header. */
function checkCoverage(file: string, tensors: TensorInfo[], dataStart: number, fileSize: number): void {
  tensors.sort((a, b) => a.start - b.start || a.end - b.end)
  let at = dataStart
  let before = 'the header'
  for (const { name, start, end } of tensors) {
    const subject = `${file}: tensor ${show(name)}`
    if (start < at) throw bad(subject, `a start at ${at - dataStart}, the end of ${before}`, new Words(`an overlap, ${start - dataStart}`))
    if (start > at) throw bad(subject, `a start at ${at - dataStart}, the end of ${before}`, new Words(`a hole, ${start - dataStart}`))
    at = end
    before = `tensor ${show(name)}`
  }
  if (at !== fileSize) throw bad(file, `an end at byte ${at}, the end of ${before}`, new Words(`${fileSize} bytes`))
}

/** Bytes of a tensor; NaN when they are no whole, exact number. */
export function byteLength(dtype: Dtype, shape: readonly number[]): number {
  const bits = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, BITS[dtype])
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : NaN
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}

const list = (value: unknown): unknown => (Array.isArray(value) ? new Words(`[${value.slice(0, 8).map(show).join(', ')}]`) : value)

function bad(subject: string, wanted: string, got: unknown, fix = AGAIN): BertletError {
  return expected(subject, wanted, got, fix, 'invalid_file')
}
