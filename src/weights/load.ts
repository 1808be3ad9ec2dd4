import { BertletError, Words, expected } from '../errors.ts'
import { closeWeights, openWeights, type WeightsFile } from './checkpoint.ts'
import { matchNames, type Matched, type WantedName } from './names.ts'
import type { TensorInfo } from './safetensors.ts'
import { progressed, type Tell } from './progress.ts'
import type { Source } from './source.ts'

export type FloatDtype = 'F32' | 'F16' | 'BF16'
/** I8, and I4, two a byte: integers, whose scales come under the name with `_scale` behind it. */
export type RowDtype = FloatDtype | 'I8' | 'I4'

/** What a quantised weight's scales are called. */
export const scaleName = (weight: string): string => `${weight}_scale`

/** What integers of 4 bits are called, eight in each I32; `_shape` tells again what they are. */
export const packedName = (weight: string): string => `${weight}_packed`
export const shapeName = (weight: string): string => `${weight}_shape`

/** Takes the tensors' rows, in the order of the file. Nothing is called before every tensor has been checked. */
export interface WeightSink {
  /** Memory of the sink's own to read into, asked for once: rows() then gets views of it. Valid until loadTensors() settles. */
  staging?(bytes: number): Uint8Array
  /** Rows [row0, row0 + rows) of a tensor, a vector being one row, little-endian; the bytes are lent for the call. */
  rows(name: string, dtype: RowDtype, row0: number, rows: number, bytes: Uint8Array): void
  /** Waited for between windows: who shares a thread may let others have it. */
  rest?(): Promise<void>
  /** Tensors that are read straight to where they belong, groups of eight rows at a time; rows() then gets what lies there. */
  readonly direct?: {
    takes(name: string, dtype: RowDtype): boolean
    /** Where bytes [start, start + bytes) of a tensor belong. */
    place(name: string, start: number, bytes: number): Uint8Array
  }
}

export interface WantedTensor extends WantedName {
  readonly shape: readonly number[]
  /** Why it has that shape, for messages. */
  readonly why?: string
  /** It may be of integers: I8 with a scale for each row or one for all, I4 with scales for as many whole spans of columns each. */
  readonly integers?: 'I8' | 'I4' | undefined
  /** Columns that share a scale, at least. */
  readonly span?: number
}

export interface TensorLoadOptions {
  readonly signal?: AbortSignal | undefined
  readonly progress?: Tell | undefined
  /** What the file may put before the trunk's names; `bert.` by default. */
  readonly prefix?: string | undefined
  /** The one file that has them, where it is not called as a model's. */
  readonly file?: string | undefined
  /** What to do about tensors that are missing or have another shape. */
  readonly fix?: string | undefined
  /** Report missing tensors instead of refusing the file; rows() is not called for them. */
  readonly allowMissing?: boolean | undefined
}

export interface Report {
  readonly files: string[]
  /** The wanted tensors' bytes in the files. */
  readonly bytes: number
  readonly dtypes: RowDtype[]
  /** Tensors of the files that nobody asked for, by the files' names. */
  readonly unexpected: string[]
  /** Wanted and not in the files, by our names. */
  readonly missing: string[]
}

/** Bytes that are read at once; two such windows exist, so that one is read while the other is converted. */
const WINDOW = 1 << 20
/** Bytes that are read into place at once. */
const STRETCH = 4 << 20
/** Reads under way: between two matrices lie vectors. */
const AHEAD = 12
/** Views of a window start at multiples of the widest element. */
const ALIGN = 4

/** A wanted tensor and where it lies. */
interface Found extends Omit<TensorInfo, 'dtype'> {
  readonly dtype: TensorInfo['dtype'] | 'I4'
  readonly from: WeightsFile
}

/** Whole rows of one tensor. */
interface Piece {
  readonly name: string
  readonly dtype: RowDtype
  readonly row0: number
  readonly rows: number
  readonly start: number
  readonly end: number
}

/** Pieces that follow each other in one file. */
interface Window {
  readonly from: WeightsFile
  readonly pieces: Piece[]
  /** Where it is read to when that is a tensor's own place. */
  readonly place?: () => Uint8Array
  readonly start: number
  end: number
}

/** Streams the wanted tensors of a source into a sink. Everything is checked before the sink is called; memory is that of two windows. */
export async function loadTensors(
  source: Source,
  wanted: readonly WantedTensor[],
  sink: WeightSink,
  { signal, progress, prefix, file, fix, allowMissing = false }: TensorLoadOptions = {},
): Promise<Report> {
  signal?.throwIfAborted()
  const files = await openWeights(source, { signal, file })
  try {
    const tensors = unpacked(files.flatMap((from) => [...from.header.tensors.values()].map((info): Found => ({ ...info, from }))))
    const { found, missing, unexpected } = withScales(matchNames(tensors, [...wanted, ...wanted.flatMap(scaleOf)], prefix), tensors, wanted)
    if (missing.length > 0 && !allowMissing) throw missingTensors(source, missing, found.size, fix)
    checkFit(wanted, found, fix)
    await stream(windowsOf(files, found, sink), sink, signal, source.name, progress)
    return {
      files: files.map(({ file }) => file),
      bytes: [...found.values()].reduce((sum, { start, end }) => sum + end - start, 0),
      dtypes: [...new Set([...found.values()].map(({ dtype }) => dtype as RowDtype))],
      unexpected,
      missing,
    }
  } finally {
    await closeWeights(files)
  }
}

const HEADS =
  'Use weights of this architecture and the config.json that belongs to them; to start a new head, load with { initialize_missing: true }'

function missingTensors(source: Source, missing: readonly string[], found: number, fix = HEADS): BertletError {
  const more = missing.length > 10 ? ` and ${missing.length - 10} more` : ''
  return new BertletError(
    'invalid_file',
    `${source.name}: expected ${found + missing.length} tensors, ${missing.length} missing: ${missing.slice(0, 10).join(', ')}${more}`,
    fix,
  )
}

function checkFit(
  wanted: readonly WantedTensor[],
  found: ReadonlyMap<string, Found>,
  fix = 'Use the config.json that belongs to these weights',
): void {
  for (const { name, shape, why = 'as config.json says', integers } of wanted) {
    const tensor = found.get(name)
    if (tensor === undefined) continue
    const subject = subjectOf(tensor)
    if (!isFloat(tensor.dtype) && tensor.dtype !== integers) {
      throw expected(
        subject,
        'dtype F32, F16 or BF16',
        new Words(tensor.dtype),
        tensor.dtype === 'I8' || tensor.dtype === 'I4'
          ? `Load it with dtype int${tensor.dtype.slice(1)}, with the config.json that says how it was quantised`
          : 'Export the checkpoint with one of these dtypes',
        'invalid_file',
      )
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
      const got = new Words(`[${tensor.shape.join(', ')}]`)
      throw expected(subject, `shape [${shape.join(', ')}], ${why}`, got, fix, 'invalid_file')
    }
  }
}

const subjectOf = ({ from, name, dtype }: Found): string => `${from.file}: tensor ${dtype === 'I4' ? packedName(name) : name}`

/** Tensors of packed integers as the tensors that they stand for: eight columns are in each I32. */
export function unpacked<T extends Pick<Found, 'name' | 'dtype' | 'shape'>>(tensors: readonly T[]): T[] {
  const ending = /\.weight_packed$/
  const packed = new Set(tensors.filter(({ name }) => ending.test(name)).map(({ name }) => name.replace(ending, '.weight')))
  return tensors.flatMap((tensor) => {
    const { name, dtype, shape } = tensor
    if (packed.has(name.replace(/_shape$/, ''))) return name.endsWith('_shape') ? [] : [tensor]
    if (!ending.test(name) || dtype !== 'I32') return [tensor]
    return [{ ...tensor, name: name.replace(ending, '.weight'), dtype: 'I4', shape: [...shape.slice(0, -1), shape.at(-1)! * 8] }]
  })
}

/** The scales that a weight may have, looked for beside it. */
function scaleOf({ name, aliases = [], integers }: WantedTensor): WantedName[] {
  return integers ? [{ name: scaleName(name), aliases: aliases.map(scaleName) }] : []
}

/** Keeps the scales of integers, which must fit, and takes others out. */
function withScales(matched: Matched<Found>, tensors: readonly Found[], wanted: readonly WantedTensor[]): Matched<Found> {
  const found = new Map(matched.found)
  const unexpected = [...matched.unexpected]
  for (const { name, shape, integers, span = 1 } of wanted) {
    if (!integers) continue
    const [weight, scale] = [found.get(name), found.get(scaleName(name))]
    if (weight === undefined || isFloat(weight.dtype)) {
      if (scale) unexpected.push(scale.name)
      found.delete(scaleName(name))
      continue
    }
    const subject = `${weight.from.file}: tensor ${scaleName(weight.name)}`
    const [rows, k] = shape as [number, number]
    const several = integers === 'I4' ? `, or [${rows}, ${k / span}] or fewer, each for whole groups of ${span} columns` : ''
    const wish = `[${rows}, 1] or [1], a scale for each row or one for all${several}`
    if (scale === undefined) throw expected(subject, `scales of shape ${wish}`, new Words('no such tensor'), AGAIN, 'invalid_file')
    if (!isFloat(scale.dtype)) throw expected(subject, 'dtype F32, F16 or BF16', new Words(scale.dtype), AGAIN, 'invalid_file')
    const sizes = scale.shape.join(', ')
    const groups = integers === 'I4' && scale.shape.length === 2 && scale.shape[0] === rows ? scale.shape[1]! : 1
    if (!(sizes === `${rows}, ${groups}` && k % (groups * span) === 0) && sizes !== `${rows}, 1` && sizes !== `${rows}` && sizes !== '1') {
      throw expected(subject, `shape ${wish}`, new Words(`[${sizes}]`), AGAIN, 'invalid_file')
    }
    for (const [ending, wish] of [
      ['weight_zero_point', 'no zero points: only symmetric weights are read'],
      ['weight_g_idx', 'no order of groups: only columns in their own order are read'],
    ] as const) {
      const odd = tensors.find((tensor) => tensor.name === weight.name.replace(/weight$/, ending))
      if (odd) throw expected(subjectOf(odd), wish, new Words(odd.dtype), AGAIN, 'unsupported')
    }
  }
  return { found, missing: matched.missing.filter((name) => wanted.some((spec) => spec.name === name)), unexpected }
}

const AGAIN = 'Quantise the float checkpoint with bertlet quantize'

function isFloat(dtype: string): dtype is FloatDtype {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16'
}

/** Cuts the tensors into windows, file after file, by offset. */
function windowsOf(files: readonly WeightsFile[], found: ReadonlyMap<string, Found>, { direct }: WeightSink): Window[] {
  const windows: Window[] = []
  const placed = [...found].sort(([, a], [, b]) => files.indexOf(a.from) - files.indexOf(b.from) || a.start - b.start)
  for (const [name, tensor] of placed) {
    if (direct?.takes(name, tensor.dtype as RowDtype)) {
      for (const piece of piecesOf(name, tensor, STRETCH, 8)) {
        const { start, end } = piece
        const place = (): Uint8Array => direct.place(name, start - tensor.start, end - start)
        windows.push({ from: tensor.from, pieces: [piece], place, start, end })
      }
      continue
    }
    for (const piece of piecesOf(name, tensor, WINDOW)) {
      const last = windows.at(-1)
      const joins = last?.from === tensor.from && last.place === undefined && last.end === piece.start && piece.end - last.start <= WINDOW
      if (joins && (piece.start - last.start) % ALIGN === 0) {
        last.pieces.push(piece)
        last.end = piece.end
      } else windows.push({ from: tensor.from, pieces: [piece], start: piece.start, end: piece.end })
    }
  }
  return windows
}

function* piecesOf(name: string, { dtype, shape, start, end }: Found, most: number, group = 1): Generator<Piece> {
  // A vector is one row, and so are scales.
  const rows = name.endsWith(scaleName('.weight')) ? 1 : shape.slice(0, -1).reduce((product, size) => product * size, 1)
  const rowBytes = (end - start) / rows
  const step = group * Math.max(1, Math.floor(most / rowBytes / group))
  for (let row0 = 0; row0 < rows; row0 += step) {
    const count = Math.min(step, rows - row0)
    const at = start + row0 * rowBytes
    yield { name, dtype: dtype as RowDtype, row0, rows: count, start: at, end: at + count * rowBytes }
  }
}

async function stream(
  windows: readonly Window[],
  sink: WeightSink,
  signal: AbortSignal | undefined,
  name: string,
  progress: Tell | undefined,
): Promise<void> {
  const staged = windows.filter(({ place }) => place === undefined)
  const half = Math.ceil(Math.max(0, ...staged.map(({ start, end }) => end - start)) / 16) * 16
  const memory = sink.staging?.(2 * half) ?? new Uint8Array(2 * half)
  const reads: Promise<Uint8Array>[] = []
  let [taken, filled, emptied] = [0, 0, 0]
  /** In the order of the file: a stream has no other. */
  const readAhead = (): void => {
    for (; reads.length < Math.min(windows.length, taken + AHEAD);) {
      const { from, start, end, place } = windows[reads.length]!
      if (place === undefined && filled - emptied === 2) return
      const at = place === undefined ? (filled++ % 2) * half : 0
      const read = from.reader.read(start, end, place?.() ?? memory.subarray(at, at + end - start))
      // It is told when its turn comes.
      read.catch(() => undefined)
      reads.push(read)
    }
  }
  try {
    for (const [i, { from, pieces, place, start, end }] of windows.entries()) {
      const { file, reader } = from
      const tell = reader.told ? undefined : progress
      if (windows[i - 1]?.from !== from) for (const status of ['initiate', 'download'] as const) tell?.({ status, name, file })
      readAhead()
      const bytes = await reads[i]!
      signal?.throwIfAborted()
      for (const piece of pieces)
        sink.rows(piece.name, piece.dtype, piece.row0, piece.rows, bytes.subarray(piece.start - start, piece.end - start))
      taken++
      if (place === undefined) emptied++
      const isLast = windows[i + 1]?.from !== from
      tell?.(progressed(name, file, isLast ? reader.size : end, reader.size))
      if (isLast) tell?.({ status: 'done', name, file })
      await sink.rest?.()
    }
  } finally {
    // The memory goes back to its owner: nothing may still write to it.
    await Promise.allSettled(reads)
  }
}
