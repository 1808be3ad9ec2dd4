import type { Dims, Tensor as Symbolic } from '../graph/tensor.ts'
import { dimValue } from '../graph/tensor.ts'
import type { Chunk, PackedBatch } from './batch.ts'
import { INPUTS } from './bert.ts'
import { Tensor } from './tensor.ts'

/** What a chunk's plan reads. */
export function chunkInputs(batch: PackedBatch, { firstSequence, lastSequence, firstToken, lastToken }: Chunk): Record<string, Int32Array> {
  const offsets = batch.offsets.slice(firstSequence, lastSequence + 1).map((at) => at - firstToken)
  return {
    [INPUTS.ids]: batch.ids.subarray(firstToken, lastToken),
    [INPUTS.types]: batch.types.subarray(firstToken, lastToken),
    [INPUTS.positions]: batch.positions.subarray(firstToken, lastToken),
    [INPUTS.offsets]: offsets,
    [INPUTS.first]: offsets.subarray(0, -1),
  }
}

/** Token values [T][width], sequence values [B][width], or maps [seq][heads][len][len]. */
type Kind = 'tokens' | 'sequences' | 'maps'

const MARK: Dims = { tokens: 1, sequences: 2, longest: 3, squares: 4, selected: 2 }

/** Gathers one output over the chunks of a call into the caller's shape; masked places stay 0. */
export class Collector {
  readonly tensor: Tensor
  private readonly kind: Kind
  private readonly width: number

  constructor(
    output: Symbolic,
    private readonly batch: PackedBatch,
  ) {
    const { rows, columns } = batch
    const first = output.shape[0]!
    this.kind = first >= 0 ? 'maps' : dimValue(first, MARK) === MARK.tokens ? 'tokens' : 'sequences'
    this.width = this.kind === 'maps' ? first : output.shape.at(-1)!
    const dims =
      this.kind === 'maps'
        ? [rows, this.width, columns, columns]
        : this.kind === 'tokens'
          ? [rows, columns, this.width]
          : [rows, this.width]
    this.tensor = new Tensor(new Float32Array(dims.reduce((product, n) => product * n, 1)), dims)
  }

  add(values: Float32Array, chunk: Chunk): void {
    if (this.kind === 'maps') this.addMaps(values, chunk)
    else if (this.kind === 'tokens') this.addTokens(values, chunk)
    else this.tensor.data.set(values, chunk.firstSequence * this.width)
  }

  private addTokens(values: Float32Array, chunk: Chunk): void {
    const { offsets, column, columns } = this.batch
    const { width } = this
    for (let s = chunk.firstSequence; s < chunk.lastSequence; s++) {
      for (let t = offsets[s]!; t < offsets[s + 1]!;) {
        // Neighbouring columns go over in one copy.
        let end = t + 1
        while (end < offsets[s + 1]! && column[end] === column[end - 1]! + 1) end++
        const from = (t - chunk.firstToken) * width
        this.tensor.data.set(values.subarray(from, from + (end - t) * width), (s * columns + column[t]!) * width)
        t = end
      }
    }
  }

  private addMaps(values: Float32Array, chunk: Chunk): void {
    const { offsets, column, columns } = this.batch
    const { data } = this.tensor
    let at = 0
    for (let s = chunk.firstSequence; s < chunk.lastSequence; s++) {
      const [start, end] = [offsets[s]!, offsets[s + 1]!]
      for (let head = 0; head < this.width; head++) {
        const base = (s * this.width + head) * columns
        for (let i = start; i < end; i++) {
          const row = (base + column[i]!) * columns
          for (let j = start; j < end; j++) data[row + column[j]!] = values[at++]!
        }
      }
    }
  }
}
