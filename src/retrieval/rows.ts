// Vectors as callers have them, checked and copied.
import { expected, Words } from '../errors.ts'
import type { Tensor } from '../models/tensor.ts'

/** One vector, several, or a tensor of dims [rows, width]. */
export type Vectors = Float32Array | readonly number[] | readonly (Float32Array | readonly number[])[] | Tensor | Dimensioned

interface Dimensioned {
  readonly data: ArrayLike<number>
  readonly dims: readonly number[]
}

export interface Rows {
  readonly data: Float32Array<ArrayBuffer>
  readonly rows: number
  readonly width: number
  /** It was one vector and no list of them. */
  readonly one: boolean
}

export type Metric = 'cosine' | 'dot'

/** @param width what the vectors must have, where that is known. */
export function rowsOf(name: string, value: Vectors, width?: number): Rows {
  const { data, dims } = shaped(name, value)
  const [rows, own] = [dims.length === 2 ? dims[0]! : 1, dims.at(-1)!]
  if (width !== undefined && own !== width) {
    const fix = 'An index takes vectors of one model: embed with the one that it was made with'
    throw expected(name, `vectors of ${width} numbers`, new Words(`vectors of ${own}`), fix)
  }
  const odd = data.findIndex((x) => !Number.isFinite(x))
  if (odd >= 0) throw expected(`${name}[${Math.floor(odd / own)}][${odd % own}]`, 'a finite number', data[odd])
  return { data, rows, width: own, one: dims.length === 1 }
}

function shaped(name: string, value: unknown): { data: Float32Array<ArrayBuffer>; dims: readonly number[] } {
  const wanted = 'a vector, an array of vectors, or { data, dims } of [rows, width]'
  if (value instanceof Float32Array) return { data: value.slice(), dims: [value.length] }
  if (Array.isArray(value)) {
    if (value.length > 0 && value.every((x) => typeof x === 'number')) return { data: Float32Array.from(value), dims: [value.length] }
    const list = value as readonly ArrayLike<number>[]
    const width = list[0]?.length ?? 0
    if (!(width > 0) || typeof list[0] === 'string') throw expected(name, wanted, value)
    const data = new Float32Array(list.length * width)
    for (const [i, row] of list.entries()) {
      if (row?.length !== width) throw expected(`${name}[${i}]`, `${width} numbers, as the first has`, row?.length ?? row)
      data.set(row, i * width)
    }
    return { data, dims: [list.length, width] }
  }
  const { data, dims } = (value ?? {}) as Partial<Dimensioned>
  const whole = data !== undefined && Array.isArray(dims) && (dims.length === 1 || dims.length === 2)
  if (!whole || dims.at(-1) === 0) throw expected(name, wanted, dims === undefined ? value : new Words(`dims [${dims.join(', ')}]`))
  const size = (dims as readonly number[]).reduce((product, n) => product * n, 1)
  if (size !== data.length) throw expected(name, `${size} values for dims [${dims.join(', ')}]`, data.length)
  return { data: Float32Array.from(data), dims }
}

/** Makes rows of length 1, in place; what is shorter than 1e-12 is divided by that. */
export function toUnit({ data, rows, width }: Rows): void {
  for (let i = 0; i < rows; i++) {
    let squares = 0
    for (let k = i * width; k < (i + 1) * width; k++) squares += data[k]! * data[k]!
    const length = Math.max(Math.sqrt(squares), 1e-12)
    for (let k = i * width; k < (i + 1) * width; k++) data[k]! /= length
  }
}
