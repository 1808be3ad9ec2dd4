import { expected } from '../errors.ts'

export type TensorData = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Int8Array<ArrayBuffer> | Uint8Array<ArrayBuffer>

/** A result: values in an ordinary buffer, row-major, and their dimensions. */
export class Tensor<T extends TensorData = Float32Array<ArrayBuffer>> {
  constructor(
    readonly data: T,
    readonly dims: readonly number[],
  ) {
    const size = dims.reduce((product, n) => product * n, 1)
    if (size !== data.length) throw expected('Tensor', `${size} values for dims [${dims.join(', ')}]`, data.length)
  }

  get type(): 'float32' | 'int32' | 'int8' | 'uint8' {
    const { data } = this
    if (data instanceof Float32Array) return 'float32'
    return data instanceof Int32Array ? 'int32' : data instanceof Int8Array ? 'int8' : 'uint8'
  }

  get size(): number {
    return this.data.length
  }

  /** Nested arrays of numbers, as deep as there are dimensions. */
  tolist(): NestedNumbers {
    const list = (start: number, depth: number): NestedNumbers => {
      if (depth === this.dims.length) return this.data[start]!
      const step = this.dims.slice(depth + 1).reduce((product, n) => product * n, 1)
      return Array.from({ length: this.dims[depth]! }, (_, i) => list(start + i * step, depth + 1))
    }
    return list(0, 0)
  }
}

export type NestedNumbers = number | NestedNumbers[]
