// Rectangles of numbers as callers have them: nested arrays, or values with dims.
import { expected, show, Words } from '../errors.ts'
import type { Tensor } from './tensor.ts'

/** A matrix of whole numbers as callers have it: nested arrays, or values with dims. */
export type Matrix =
  | readonly (readonly (number | bigint)[] | Int32Array | BigInt64Array)[]
  | { readonly data: ArrayLike<number> | BigInt64Array; readonly dims: readonly number[] }
  | Tensor<Int32Array<ArrayBuffer>>

/** Vectors in place of words: values with dims [B, L, H], or nested arrays. */
export type Vectors =
  | readonly (readonly (readonly number[] | Float32Array)[])[]
  | { readonly data: ArrayLike<number>; readonly dims: readonly number[] }
  | Tensor

export interface Rectangle {
  readonly rows: number
  readonly columns: number
  at(row: number, column: number): number
}

/** Dimensions of a value as it was given. */
export function depthOf(value: unknown): number {
  if (Array.isArray(value)) return 1 + depthOf(value[0])
  const dims = isGiven(value) ? (value as { dims?: unknown }).dims : undefined
  return Array.isArray(dims) ? dims.length : ArrayBuffer.isView(value) ? 1 : 0
}

export const isGiven = <T>(value: T): value is NonNullable<T> => value !== undefined && value !== null

export function rectangle(name: string, value: Matrix): Rectangle {
  if (Array.isArray(value)) return nested(name, value as readonly ArrayLike<number | bigint>[])
  const { data, dims } = (value ?? {}) as { data?: ArrayLike<number | bigint>; dims?: readonly number[] }
  if (data === undefined || !Array.isArray(dims)) {
    throw expected(name, 'rows of numbers, or { data, dims }', value, 'For example [[101, 7592, 102]], or what the tokenizer returns')
  }
  const [rows, columns] = dims as [number, number]
  if (dims.length !== 2 || rows * columns !== data.length) {
    throw expected(name, `two dims whose product is the number of values, ${data.length}`, new Words(`[${dims.join(', ')}]`))
  }
  notEmpty(name, rows, columns)
  return { rows, columns, at: (row, column) => Number(data[row * columns + column]) }
}

/** Rows of vectors of `width` finite numbers. */
export interface VectorRectangle {
  readonly rows: number
  readonly columns: number
  copy(row: number, column: number, into: Float32Array): void
}

export function vectors(name: string, value: Vectors, width: number): VectorRectangle {
  const example = `For example { data: new Float32Array(B * L * ${width}), dims: [B, L, ${width}] }`
  let rows: number, columns: number
  let vectorAt: (row: number, column: number) => ArrayLike<number>
  if (Array.isArray(value)) {
    const list = value as readonly (readonly ArrayLike<number>[])[]
    ;[rows, columns] = [list.length, list[0]?.length ?? 0]
    const odd = list.findIndex((row) => row?.length !== columns || row.some((vector) => vector?.length !== width))
    if (odd >= 0)
      throw expected(name, `rows of ${columns} vectors of ${width}, the hidden size`, new Words(`another shape in row ${odd}`), example)
    vectorAt = (row, column) => list[row]![column]!
  } else {
    const { data, dims } = value as { data?: ArrayLike<number>; dims?: readonly number[] }
    const shape = isGiven(dims) ? dims : []
    if (!isGiven(data) || shape.length !== 3 || shape[2] !== width || shape[0]! * shape[1]! * width !== data.length) {
      const got = isGiven(dims) ? new Words(`dims [${shape.join(', ')}] and ${data?.length ?? 'no'} values`) : value
      throw expected(name, `data with dims [B, L, ${width}]`, got, example)
    }
    ;[rows, columns] = shape as [number, number]
    vectorAt = (row, column) => {
      const at = (row * columns + column) * width
      return ArrayBuffer.isView(data) ? (data as Float32Array).subarray(at, at + width) : Array.prototype.slice.call(data, at, at + width)
    }
  }
  notEmpty(name, rows, columns)
  const copy = (row: number, column: number, into: Float32Array): void => {
    into.set(vectorAt(row, column))
    const odd = into.findIndex((x) => !Number.isFinite(x))
    if (odd >= 0) throw expected(`${name}[${row}][${column}][${odd}]`, 'a finite number', into[odd])
  }
  return { rows, columns, copy }
}

function nested(name: string, value: readonly ArrayLike<number | bigint>[]): Rectangle {
  const columns = value[0]?.length
  value.forEach((row, i) => {
    if (row === null || typeof row !== 'object' || typeof row.length !== 'number') {
      throw expected(name, 'an array of rows', new Words(`${show(row)} at ${i}`), 'For one text write [[101, ..., 102]]')
    }
    if (row.length !== columns) {
      throw expected(
        name,
        `rows of one length, ${columns} as the first`,
        new Words(`${row.length} in row ${i}`),
        'Tokenize with { padding: true } and pass its attention_mask: padding costs no time',
      )
    }
  })
  notEmpty(name, value.length, columns ?? 0)
  return { rows: value.length, columns: columns!, at: (row, column) => Number(value[row]![column]) }
}

function notEmpty(name: string, rows: number, columns: number): void {
  if (rows === 0 || columns === 0) throw expected(name, 'at least one row of at least one token', new Words(`[${rows}, ${columns}]`))
}
