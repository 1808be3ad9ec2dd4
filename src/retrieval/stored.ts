// Vectors to the tensors of a file, and back: into memory, or left where they are when they are too many.
import { show, Words } from '../errors.ts'
import type { TensorToWrite } from '../weights/write-safetensors.ts'
import { Bits } from './bits.ts'
import { bad, readRows, tensorOf, type OpenIndex } from './files.ts'
import type { Settings } from './options.ts'
import { bytesOf, Panels } from './panels.ts'
import { Streamed } from './streamed.ts'

/** Rows that go to a file, or come from one, at a time. */
const PIECE = 4096

/** Of the rows that are `live`, in order. */
export function tensorsOf(vectors: Panels | undefined, bits: Bits | undefined, live: readonly number[]): TensorToWrite[] {
  const width = vectors?.width ?? 0
  const pieces = function* (bytes: (row: number) => Uint8Array, size: number): Generator<Uint8Array> {
    for (let at = 0; at < live.length; at += PIECE) {
      const some = live.slice(at, at + PIECE)
      const all = new Uint8Array(some.length * size)
      some.forEach((row, i) => all.set(bytes(row), i * size))
      yield all
    }
  }
  const raw = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)
  const tensors: TensorToWrite[] = []
  if (vectors?.held === 'float32')
    tensors.push({
      ...{ name: 'embeddings', dtype: 'F32', shape: [live.length, width] },
      data: () => pieces((row) => raw(vectors.read(row, 1)), 4 * width),
    })
  if (vectors?.held === 'int8')
    tensors.push(
      {
        ...{ name: 'embeddings', dtype: 'I8', shape: [live.length, width] },
        data: () => pieces((row) => raw(vectors.readInt8(row, 1).integers), width),
      },
      { name: 'scales', dtype: 'F32', shape: [live.length], data: () => pieces((row) => raw(vectors.readInt8(row, 1).scales), 4) },
    )
  if (bits)
    tensors.push({
      ...{ name: 'bits', dtype: 'U8', shape: [live.length, bits.rowBytes] },
      data: () => pieces((row) => bits.bytes(row, 1), bits.rowBytes),
    })
  return tensors
}

/** Vectors of more than `max_memory` bytes stay in the file. */
export async function readVectors(
  opened: OpenIndex,
  width: number,
  { precision, rescore, threads }: Settings,
  max_memory: number,
  signal: AbortSignal | undefined,
): Promise<{ vectors: Panels | Streamed | undefined; bits: Bits | undefined }> {
  const { entries, reader, file } = opened
  const rows = entries.length
  let bits: Bits | undefined
  if (precision === 'binary') {
    bits = new Bits(width)
    const tensor = tensorOf(opened, 'bits', 'U8', [rows, bits.rowBytes])
    await inPieces(rows, signal, async (row, count) => bits!.appendBytes(await readRows(reader, tensor, row, count)))
  }
  const held = precision === 'binary' ? rescore : precision
  if (held === false) return { vectors: undefined, bits }
  const embeddings = tensorOf(opened, 'embeddings', held === 'int8' ? 'I8' : 'F32', [rows, width])
  const scales = held === 'int8' ? tensorOf(opened, 'scales', 'F32', [rows]) : undefined
  if (rows * bytesOf(held, width) > max_memory) {
    return { vectors: await Streamed.create(reader, { embeddings, ...(scales && { scales }) }, threads), bits }
  }
  const panels = await Panels.create(width, held, threads)
  panels.reserve(rows)
  await inPieces(rows, signal, async (row, count) => {
    const values = await readRows(reader, embeddings, row, count)
    const floats = scales ? new Float32Array((await readRows(reader, scales, row, count)).buffer) : new Float32Array(values.buffer)
    if (!floats.every(Number.isFinite))
      throw bad(`${file}: tensor ${show(scales ? 'scales' : 'embeddings')}`, 'finite numbers', new Words('others'))
    if (scales) panels.writeInt8(row, { integers: new Int8Array(values.buffer), scales: floats })
    else panels.write(row, floats)
  })
  return { vectors: panels, bits }
}

async function inPieces(rows: number, signal: AbortSignal | undefined, work: (row: number, count: number) => Promise<void>): Promise<void> {
  for (let row = 0; row < rows; row += PIECE) {
    signal?.throwIfAborted()
    await work(row, Math.min(PIECE, rows - row))
  }
}
