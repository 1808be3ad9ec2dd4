// Vectors of texts after the encoder: pooling, length 1, and fewer bits.
import { expected } from '../errors.ts'
import { Tensor } from '../models/tensor.ts'

/** Ways to make one vector of a text's tokens, by sentence-transformers' names. */
export const MODES = ['cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken'] as const
export type Mode = (typeof MODES)[number]

/** Of the tokens [skip, length) of `width` numbers each. */
export function pool(mode: Mode, tokens: Float32Array, width: number, skip: number): Float32Array {
  const length = tokens.length / width
  if (mode === 'cls') return tokens.slice(skip * width, (skip + 1) * width)
  if (mode === 'lasttoken') return tokens.slice(-width)
  return Float32Array.from({ length: width }, (_, i) => {
    let [sum, weights, most] = [0, 0, -Infinity]
    for (let t = skip; t < length; t++) {
      const x = tokens[t * width + i]!
      const weight = mode === 'weightedmean' ? t + 1 : 1
      sum += weight * x
      weights += weight
      most = Math.max(most, x)
    }
    return mode === 'max' ? most : sum / (mode === 'mean_sqrt_len_tokens' ? Math.sqrt(weights) : weights)
  })
}

/** Of length 1; what is shorter than 1e-12 is divided by that. */
export function unit(vector: Float32Array): Float32Array {
  let squares = 0
  for (const x of vector) squares += x * x
  const length = Math.max(Math.sqrt(squares), 1e-12)
  return vector.map((x) => x / length)
}

export const PRECISIONS = ['float32', 'int8', 'uint8', 'binary', 'ubinary'] as const
export type EmbeddingPrecision = (typeof PRECISIONS)[number]

/** The least and the largest value of each dimension. */
export type Ranges = readonly [min: ArrayLike<number>, max: ArrayLike<number>]

export function rangesOf({ data, dims }: Tensor): Ranges {
  const width = dims.at(-1)!
  const [min, max] = [new Float32Array(width).fill(Infinity), new Float32Array(width).fill(-Infinity)]
  data.forEach((x, i) => {
    min[i % width] = Math.min(min[i % width]!, x)
    max[i % width] = Math.max(max[i % width]!, x)
  })
  return [min, max]
}

/** Eight bits for each number, from its dimension's range, or one: whether it is above 0. The rules of sentence-transformers. */
export function quantize(
  vectors: Tensor,
  precision: Exclude<EmbeddingPrecision, 'float32'>,
  [min, max]: Ranges,
): Tensor<Int8Array<ArrayBuffer>> | Tensor<Uint8Array<ArrayBuffer>> {
  const { data, dims } = vectors
  const [rows, width] = dims as [number, number]
  const bits = precision === 'binary' || precision === 'ubinary'
  const columns = bits ? Math.ceil(width / 8) : width
  const bytes = new Uint8Array(rows * columns)
  data.forEach((x, i) => {
    const [row, column] = [Math.floor(i / width), i % width]
    if (bits) {
      if (x > 0) bytes[row * columns + (column >> 3)]! |= 128 >> (column & 7)
      return
    }
    const step = Math.fround((max[column]! - min[column]!) / 255) || 1
    bytes[i] = Math.min(255, Math.max(0, Math.floor(Math.fround(Math.fround(x - min[column]!) / step))))
  })
  if (precision === 'uint8' || precision === 'ubinary') return new Tensor(bytes, [rows, columns])
  return new Tensor(
    Int8Array.from(bytes, (x) => x - 128),
    [rows, columns],
  )
}

export function checkRanges(ranges: unknown, width: number): Ranges {
  const fits = Array.isArray(ranges) && ranges.length === 2 && ranges.every((list) => (list as ArrayLike<number> | null)?.length === width)
  if (fits) return ranges as unknown as Ranges
  throw expected('ranges', `[min, max] of ${width} numbers each`, ranges)
}
