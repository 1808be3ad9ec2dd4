// Vectors to the tensors of a file, and back: into memory, or left where they are when they are too many.
import type { TensorToWrite } from '../weights/write-safetensors.ts'
import { Bits } from './bits.ts'
import { readStored, rowSums, sumsName, tensorOf, type OpenIndex, type Stored } from './files.ts'
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
  const sums = (name: string, parts: (row: number) => readonly ArrayBufferView[]): TensorToWrite => ({
    ...{ name: sumsName(name), dtype: 'U32', shape: [live.length] },
    data: () => pieces((row) => raw(rowSums(1, parts(row).map(raw))), 4),
  })
  if (vectors?.held === 'float32')
    tensors.push(
      {
        ...{ name: 'embeddings', dtype: 'F32', shape: [live.length, width] },
        data: () => pieces((row) => raw(vectors.read(row, 1)), 4 * width),
      },
      sums('embeddings', (row) => [vectors.read(row, 1)]),
    )
  if (vectors?.held === 'int8')
    tensors.push(
      {
        ...{ name: 'embeddings', dtype: 'I8', shape: [live.length, width] },
        data: () => pieces((row) => raw(vectors.readInt8(row, 1).integers), width),
      },
      { name: 'scales', dtype: 'F32', shape: [live.length], data: () => pieces((row) => raw(vectors.readInt8(row, 1).scales), 4) },
      sums('embeddings', (row) => {
        const { integers, scales } = vectors.readInt8(row, 1)
        return [integers, scales]
      }),
    )
  if (bits)
    tensors.push(
      {
        ...{ name: 'bits', dtype: 'U8', shape: [live.length, bits.rowBytes] },
        data: () => pieces((row) => bits.bytes(row, 1), bits.rowBytes),
      },
      sums('bits', (row) => [bits.bytes(row, 1)]),
    )
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
  const rows = opened.entries.length
  let bits: Bits | undefined
  if (precision === 'binary') {
    bits = new Bits(width)
    const stored = storedOf(opened, [tensorOf(opened, 'bits', 'U8', [rows, bits.rowBytes])])
    await inPieces(rows, signal, async (row, count) => bits!.appendBytes((await readStored(stored, row, count))[0]!))
  }
  const held = precision === 'binary' ? rescore : precision
  if (held === false) return { vectors: undefined, bits }
  const embeddings = tensorOf(opened, 'embeddings', held === 'int8' ? 'I8' : 'F32', [rows, width])
  const stored = storedOf(opened, [embeddings, ...(held === 'int8' ? [tensorOf(opened, 'scales', 'F32', [rows])] : [])])
  if (rows * bytesOf(held, width) > max_memory) return { vectors: await Streamed.create(stored, threads), bits }
  const panels = await Panels.create(width, held, threads)
  panels.reserve(rows)
  await inPieces(rows, signal, async (row, count) => {
    const [values, scales] = await readStored(stored, row, count)
    if (scales) panels.writeInt8(row, { integers: new Int8Array(values!.buffer), scales: new Float32Array(scales.buffer) })
    else panels.write(row, new Float32Array(values!.buffer))
  })
  return { vectors: panels, bits }
}

function storedOf(opened: OpenIndex, tensors: Stored['tensors']): Stored {
  const { file, reader, header, entries } = opened
  const name = sumsName(tensors[0]!.name)
  return { file, reader, tensors, sums: header.tensors.has(name) ? tensorOf(opened, name, 'U32', [entries.length]) : undefined }
}

async function inPieces(rows: number, signal: AbortSignal | undefined, work: (row: number, count: number) => Promise<void>): Promise<void> {
  for (let row = 0; row < rows; row += PIECE) {
    signal?.throwIfAborted()
    await work(row, Math.min(PIECE, rows - row))
  }
}
