// What files are read from, on every platform.
import { expected } from '../errors.ts'

/** A file that can be read from any place: Parquet's table of contents is at its end. The library's own file readers are such. */
export interface RandomAccess {
  /** Bytes of the whole file. */
  readonly size: number
  read(start: number, end: number): Promise<Uint8Array>
}

/**
 * Bytes of a file: a stream such as `fs.createReadStream(path)` or `response.body`, a Blob or File, bytes in memory, text, or what can be read
 * from any place.
 */
export type DataInput = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | Blob | Uint8Array | string | RandomAccess

const isRandom = (input: DataInput): input is RandomAccess =>
  typeof (input as RandomAccess)?.read === 'function' && 'size' in (input as object)

/** Pieces that are read at a time from what can be read from any place. */
const PIECE = 1 << 20

/** The bytes in order. */
export async function* streamOf(input: DataInput, name: string): AsyncGenerator<Uint8Array> {
  if (typeof input === 'string') yield new TextEncoder().encode(input)
  else if (input instanceof Uint8Array) yield input
  else if (isRandom(input)) for (let at = 0; at < input.size; at += PIECE) yield await input.read(at, Math.min(at + PIECE, input.size))
  else if (typeof (input as Blob)?.stream === 'function') yield* chunksOf((input as Blob).stream())
  else if (typeof (input as ReadableStream)?.getReader === 'function') yield* chunksOf(input as ReadableStream<Uint8Array>)
  else if (typeof (input as AsyncIterable<Uint8Array>)?.[Symbol.asyncIterator] === 'function') yield* input as AsyncIterable<Uint8Array>
  else throw expected(name, 'bytes: a stream, a Blob, a Uint8Array or a text', input)
}

/** Not every browser iterates streams. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** For what must be read from any place; a stream is collected. */
export async function randomAccess(input: DataInput, name: string): Promise<RandomAccess> {
  if (isRandom(input)) return input
  if (typeof Blob !== 'undefined' && input instanceof Blob)
    return { size: input.size, read: async (start, end) => new Uint8Array(await input.slice(start, end).arrayBuffer()) }
  const bytes = await bytesOf(input, name)
  return { size: bytes.length, read: async (start, end) => bytes.subarray(start, end) }
}

/** All bytes. */
export async function bytesOf(input: DataInput, name: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of streamOf(input, name)) parts.push(part)
  if (parts.length === 1) return parts[0]!
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
