// What a case is, and what the tables of cases share.
import { Activation, type Op } from '../../../assembly/abi.ts'
import { random } from '../random.ts'
import type { Numbers } from '../reference.ts'

/** 2^-24: half the distance of two floats around 1. */
export const EPS = 2 ** -24

export interface Operand {
  /** What it holds before the record runs. */
  readonly initial: Float32Array | Int32Array
  /** What it must hold afterwards, and how far it may be off; absent when it is only read. */
  readonly expected?: { readonly values: Numbers; readonly tolerance: Numbers | number }
}

export interface OpCase {
  readonly name: string
  readonly op: Op
  readonly mode: number
  readonly dims: readonly number[]
  /** null: absent. */
  readonly operands: readonly (Operand | null)[]
  readonly floats: readonly number[]
}

let next = random(1)
export const seeded = (seed: number): void => void (next = random(seed))
/** Values of about unit scale, as f32. */
export const floats = (n: number, scale = 1, shift = 0): Float32Array =>
  Float32Array.from({ length: n }, () => (next() * 2 - 1) * scale * 1.7 + shift)
export const ints = (n: number, limit: number): Int32Array => Int32Array.from({ length: n }, () => Math.floor(next() * limit))
export const read = (initial: Float32Array | Int32Array): Operand => ({ initial })
/** An output that was never written: NaN, so that reading it shows. */
export const fresh = (n: number): Float32Array => new Float32Array(n).fill(NaN)
export const written = (values: Numbers, tolerance: Numbers | number): Operand => ({
  initial: fresh(values.length),
  expected: { values, tolerance },
})
/** An output that is added to. */
export const added = (values: Numbers, tolerance: number): Operand => {
  const initial = floats(values.length)
  return { initial, expected: { values: initial.map((x, i) => x + values[i]!), tolerance: tolerance + 2 * EPS } }
}
export const map = (x: Numbers, f: (value: number, i: number) => number): Float64Array => Float64Array.from(x, f)
export const most = (x: Numbers): number => Float64Array.from(x).reduce((a, b) => Math.max(a, Math.abs(b)), 0)

/** A [N][K] as its panel [N/8][K][8]. */
export function toPanel(x: Numbers, n: number, k: number): Float32Array {
  const panel = new Float32Array(Math.ceil(n / 8) * 8 * k)
  for (let row = 0; row < n; row++) for (let j = 0; j < k; j++) panel[(Math.floor(row / 8) * k + j) * 8 + (row % 8)] = x[row * k + j]!
  return panel
}

/** C [M][N] in blocks [N/BW][M][BW]; the rest of a partial block is what the kernel leaves: not compared, see below. */
export function toBlocks(c: Numbers, m: number, n: number, bw: number, rest: number): Float64Array {
  const blocks = new Float64Array(Math.ceil(n / bw) * m * bw).fill(rest)
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) blocks[Math.floor(j / bw) * m * bw + i * bw + (j % bw)] = c[i * n + j]!
  return blocks
}

export const ACTIVATIONS: Record<string, Activation> = {
  none: Activation.None,
  gelu: Activation.Gelu,
  gelu_tanh: Activation.GeluTanh,
  quick_gelu: Activation.QuickGelu,
  relu: Activation.Relu,
  silu: Activation.Silu,
  tanh: Activation.Tanh,
}
/** Slopes stay below 1.13; the functions themselves are good to 8 eps of max(1, |x|): see assembly/math.ts. */
export const activationError = (x: number): number => 8 * EPS * Math.max(1, Math.abs(x))

/** Lengths of the sequences of one chunk. */
export const LENGTHS: readonly (readonly number[])[] = [[1], [7, 1, 12], [130, 3], [20, 9]]
export const SIZES: readonly (readonly [heads: number, d: number])[] = [
  [3, 10],
  [1, 13],
  [2, 8],
  [1, 128],
]

export function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1)
  lengths.forEach((length, i) => (offsets[i + 1] = offsets[i]! + length))
  return offsets
}
