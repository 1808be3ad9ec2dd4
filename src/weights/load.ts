import { BertletError, Words, expected } from '../errors.ts'
import { closeWeights, openWeights, type WeightsFile } from './checkpoint.ts'
import { matchNames, type WantedName } from './names.ts'
import type { TensorInfo } from './safetensors.ts'
import { progressed, type Tell } from './progress.ts'
import type { Source } from './source.ts'

export type FloatDtype = 'F32' | 'F16' | 'BF16'

/** Takes the tensors' rows, in the order of the file. Nothing is called before every tensor has been checked. */
export interface WeightSink {
  /** Memory of the sink's own to read into, asked for once: rows() then gets views of it. Valid until loadTensors() settles. */
  staging?(bytes: number): Uint8Array
  /** Rows [row0, row0 + rows) of a tensor, a vector being one row, little-endian; the bytes are lent for the call. */
  rows(name: string, dtype: FloatDtype, row0: number, rows: number, bytes: Uint8Array): void
}

export interface WantedTensor extends WantedName {
  readonly shape: readonly number[]
  /** Why it has that shape, for messages. */
  readonly why?: string
}

export interface TensorLoadOptions {
  readonly signal?: AbortSignal | undefined
  readonly progress?: Tell | undefined
  /** What the file may put before the trunk's names; `bert.` by default. */
  readonly prefix?: string | undefined
  /** Report missing tensors instead of refusing the file; rows() is not called for them. */
  readonly allowMissing?: boolean | undefined
}

export interface Report {
  readonly files: string[]
  /** The wanted tensors' bytes in the files. */
  readonly bytes: number
  readonly dtypes: FloatDtype[]
  /** Tensors of the files that nobody asked for, by the files' names. */
  readonly unexpected: string[]
  /** Wanted and not in the files, by our names. */
  readonly missing: string[]
}

/** Bytes that are read at once; two such windows exist, so that one is read while the other is converted. */
const WINDOW = 1 << 20
/** Views of a window start at multiples of the widest element. */
const ALIGN = 4

/** A wanted tensor and where it lies. */
interface Found extends TensorInfo {
  readonly from: WeightsFile
}

/** Whole rows of one tensor. */
interface Piece {
  readonly name: string
  readonly dtype: FloatDtype
  readonly row0: number
  readonly rows: number
  readonly start: number
  readonly end: number
}

/** Pieces that follow each other in one file. */
interface Window {
  readonly from: WeightsFile
  readonly pieces: Piece[]
  readonly start: number
  end: number
}

/** Streams the wanted tensors of a source into a sink. Everything is checked before the sink is called; memory is that of two windows. */
export async function loadTensors(
  source: Source,
  wanted: readonly WantedTensor[],
  sink: WeightSink,
  { signal, progress, prefix, allowMissing = false }: TensorLoadOptions = {},
): Promise<Report> {
  signal?.throwIfAborted()
  const files = await openWeights(source, { signal })
  try {
    const tensors = files.flatMap((from) => [...from.header.tensors.values()].map((info): Found => ({ ...info, from })))
    const { found, missing, unexpected } = matchNames(tensors, wanted, prefix)
    if (missing.length > 0 && !allowMissing) throw missingTensors(source, missing, found.size)
    checkFit(wanted, found)
    await stream(windowsOf(files, found), sink, signal, source.name, progress)
    return {
      files: files.map(({ file }) => file),
      bytes: [...found.values()].reduce((sum, { start, end }) => sum + end - start, 0),
      dtypes: [...new Set([...found.values()].map(({ dtype }) => dtype as FloatDtype))],
      unexpected,
      missing,
    }
  } finally {
    await closeWeights(files)
  }
}

function missingTensors(source: Source, missing: readonly string[], found: number): BertletError {
  const more = missing.length > 10 ? ` and ${missing.length - 10} more` : ''
  return new BertletError(
    'invalid_file',
    `${source.name}: expected ${found + missing.length} tensors, ${missing.length} missing: ${missing.slice(0, 10).join(', ')}${more}`,
    'Use weights of this architecture and the config.json that belongs to them; to start a new head, load with { initialize_missing: true }',
  )
}

function checkFit(wanted: readonly WantedTensor[], found: ReadonlyMap<string, Found>): void {
  for (const { name, shape, why = 'as config.json says' } of wanted) {
    const tensor = found.get(name)
    if (tensor === undefined) continue
    const subject = `${tensor.from.file}: tensor ${tensor.name}`
    if (!isFloat(tensor.dtype)) {
      throw expected(
        subject,
        'dtype F32, F16 or BF16',
        new Words(tensor.dtype),
        'Export the checkpoint with one of these dtypes',
        'invalid_file',
      )
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
      const got = new Words(`[${tensor.shape.join(', ')}]`)
      throw expected(
        subject,
        `shape [${shape.join(', ')}], ${why}`,
        got,
        'Use the config.json that belongs to these weights',
        'invalid_file',
      )
    }
  }
}

function isFloat(dtype: string): dtype is FloatDtype {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16'
}

/** Cuts the tensors into windows, file after file, by offset. */
function windowsOf(files: readonly WeightsFile[], found: ReadonlyMap<string, Found>): Window[] {
  const windows: Window[] = []
  const placed = [...found].sort(([, a], [, b]) => files.indexOf(a.from) - files.indexOf(b.from) || a.start - b.start)
  for (const [name, tensor] of placed) {
    for (const piece of piecesOf(name, tensor)) {
      const last = windows.at(-1)
      const joins = last?.from === tensor.from && last.end === piece.start && piece.end - last.start <= WINDOW
      if (joins && (piece.start - last.start) % ALIGN === 0) {
        last.pieces.push(piece)
        last.end = piece.end
      } else windows.push({ from: tensor.from, pieces: [piece], start: piece.start, end: piece.end })
    }
  }
  return windows
}

function* piecesOf(name: string, { dtype, shape, start, end }: Found): Generator<Piece> {
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1)
  const rowBytes = (end - start) / rows
  const step = Math.max(1, Math.floor(WINDOW / rowBytes))
  for (let row0 = 0; row0 < rows; row0 += step) {
    const count = Math.min(step, rows - row0)
    const at = start + row0 * rowBytes
    yield { name, dtype: dtype as FloatDtype, row0, rows: count, start: at, end: at + count * rowBytes }
  }
}

async function stream(
  windows: readonly Window[],
  sink: WeightSink,
  signal: AbortSignal | undefined,
  name: string,
  progress: Tell | undefined,
): Promise<void> {
  const half = Math.ceil(Math.max(0, ...windows.map(({ start, end }) => end - start)) / 16) * 16
  const memory = sink.staging?.(2 * half) ?? new Uint8Array(2 * half)
  const read = async (i: number): Promise<Uint8Array | undefined> => {
    if (windows[i] === undefined) return undefined
    const { from, start, end } = windows[i]
    const at = (i % 2) * half
    return from.reader.read(start, end, memory.subarray(at, at + end - start))
  }
  let pending = read(0)
  try {
    for (const [i, { from, pieces, start, end }] of windows.entries()) {
      const { file, reader } = from
      const tell = reader.told ? undefined : progress
      if (windows[i - 1]?.from !== from) for (const status of ['initiate', 'download'] as const) tell?.({ status, name, file })
      const bytes = (await pending)!
      signal?.throwIfAborted()
      pending = read(i + 1)
      for (const piece of pieces)
        sink.rows(piece.name, piece.dtype, piece.row0, piece.rows, bytes.subarray(piece.start - start, piece.end - start))
      const isLast = windows[i + 1]?.from !== from
      tell?.(progressed(name, file, isLast ? reader.size : end, reader.size))
      if (isLast) tell?.({ status: 'done', name, file })
    }
  } finally {
    // The memory goes back to its owner: nothing may still write to it.
    await pending.catch(() => undefined)
  }
}
