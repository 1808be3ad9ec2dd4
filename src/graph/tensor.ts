import { Slot, TableMode } from '../../assembly/abi.ts'

/** A dimension: a constant when >= 0, otherwise ~slot, filled per chunk. The plan's records hold it as it is. */
export type Dim = number

export const TOKENS: Dim = ~Slot.Tokens
export const SEQUENCES: Dim = ~Slot.Sequences
export const LONGEST: Dim = ~Slot.Longest
export const SQUARES: Dim = ~Slot.Squares
export const SELECTED: Dim = ~Slot.Selected
export const OFFSETS: Dim = ~Slot.Offsets

/** What the slots hold: for one chunk, or as upper bounds when memory is planned. */
export interface Dims {
  readonly tokens: number
  readonly sequences: number
  readonly longest: number
  /** Sum of squared lengths. */
  readonly squares: number
  /** Selected rows. */
  readonly selected: number
}

/**
 * How a tensor lies in memory:
 * - rows: row-major;
 * - heads: [heads][T][d], what attention reads;
 * - panel: a matrix [N][K] as [N/8][K][8], rows padded to 8 with zeros;
 * - panel8: a matrix in 8 bits by rows, and rows7: activations in 7 (assembly/kernels/quantize.ts);
 * - panel4: a matrix in 4 bits by groups of 32 columns (assembly/kernels/int4.ts).
 */
export type Layout = 'rows' | 'heads' | 'panel' | 'panel8' | 'panel4' | 'rows7'

/**
 * - input: in the arena, written by the host before the plan runs;
 * - value: in the arena, alive from its first writer to its last reader;
 * - parameter: a weight of the store;
 * - state: of the store too, and kept from run to run: gradients, moments, totals.
 */
export type Kind = 'input' | 'value' | 'parameter' | 'state'

export interface Tensor {
  readonly id: number
  readonly name: string
  readonly kind: Kind
  readonly dtype: 'f32' | 'i32'
  readonly shape: readonly Dim[]
  readonly layout: Layout
}

export function dimValue(dim: Dim, dims: Dims): number {
  if (dim >= 0) return dim
  switch (~dim as Slot) {
    case Slot.Tokens:
      return dims.tokens
    case Slot.Sequences:
      return dims.sequences
    case Slot.Longest:
      return dims.longest
    case Slot.Squares:
      return dims.squares
    case Slot.Selected:
      return dims.selected
    case Slot.Offsets:
      return dims.sequences + 1
    default:
      throw new Error(`no dimension slot ${~dim}`)
  }
}

/** 4-byte words that a tensor takes. */
export function words(tensor: Pick<Tensor, 'shape' | 'layout'>, dims: Dims): number {
  const sizes = tensor.shape.map((dim) => dimValue(dim, dims))
  if (tensor.layout === 'panel8') return panel8Words(sizes[0]!, sizes[1]!)
  if (tensor.layout === 'panel4') return panel4Words(sizes[0]!, sizes[1]!)
  if (tensor.layout === 'rows7') return rows7Words(sizes[0]!, sizes[1]!)
  if (tensor.layout === 'panel') sizes[0] = Math.ceil(sizes[0]! / 8) * 8
  return sizes.reduce((product, size) => product * size, 1)
}

/** Words of a matrix [N][K] in 8 bits: for each 8 rows their scales and sums, then the integers, K padded to 4. */
export function panel8Words(n: number, k: number): number {
  return Math.ceil(n / 8) * (16 + 8 * Math.ceil(k / 4))
}

/** Columns of a matrix in 4 bits that share a scale. */
export const SPAN = 32

/** Words of a matrix [N][K] in 4 bits: for each 8 rows their totals, then by groups of columns scales and integers. */
export function panel4Words(n: number, k: number): number {
  return Math.ceil(n / 8) * (8 + (k / SPAN) * (8 + SPAN))
}

/** Words of rows in 7 bits: for each its step and its least value, then the integers, K padded to 4. */
export function rows7Words(rows: number, k: number): number {
  return rows * (2 + Math.ceil(k / 4))
}

export const width = (x: Tensor): number => x.shape[x.shape.length - 1]!

/** Rows of a [rows][width] tensor. */
export const rows = (x: Tensor): Dim => x.shape[0]!

/** Elements of a tensor as the two dims of an elementwise record. */
export const elements = (x: Tensor): readonly [Dim, Dim] => {
  const [n, m = 1, ...rest] = x.shape as [Dim, Dim?]
  if (rest.length > 0) throw new Error('elementwise ops take tensors of one or two dimensions')
  return [n, m]
}

/** How a table that is looked up lies. */
export const tableMode = ({ layout }: Tensor): TableMode =>
  layout === 'panel' ? TableMode.Panel : layout === 'panel8' ? TableMode.Panel8 : TableMode.Rows
