import type { Dims, Tensor as Symbolic } from '../graph/tensor.ts'
import { dimValue } from '../graph/tensor.ts'
import type { Inputs } from '../engine/engine.ts'
import type { Chunk, PackedBatch } from './batch.ts'
import { INPUTS } from './bert.ts'
import type { Selection } from './selection.ts'
import { Tensor } from './tensor.ts'

/** What a chunk's plan reads. */
export function chunkInputs(batch: PackedBatch, chunk: Chunk, selection: Selection | undefined): Inputs {
  const { firstSequence, lastSequence, firstToken, lastToken } = chunk
  const offsets = batch.offsets.slice(firstSequence, lastSequence + 1).map((at) => at - firstToken)
  const ids = batch.ids.subarray(firstToken, lastToken)
  const width = batch.embeds && batch.embeds.length / batch.ids.length
  return {
    [INPUTS.ids]: batch.embeds ? ids.map((at) => at - firstToken) : ids,
    ...(batch.embeds && { [INPUTS.embeds]: batch.embeds.subarray(firstToken * width!, lastToken * width!) }),
    ...(selection && {
      [INPUTS.selected]: selection.tokens.slice(chunk.firstSelected, chunk.lastSelected).map((at) => at - firstToken),
    }),
    [INPUTS.types]: batch.types.subarray(firstToken, lastToken),
    [INPUTS.positions]: batch.positions.subarray(firstToken, lastToken),
    [INPUTS.offsets]: offsets,
    [INPUTS.first]: offsets.subarray(0, -1),
  }
}

/** Token values [T][width], sequence values [B][width], those of selected tokens [R][width], or maps [seq][heads][len][len]. */
type Kind = 'tokens' | 'sequences' | 'selected' | 'maps'

const MARK: Dims = { tokens: 1, sequences: 2, longest: 3, squares: 4, selected: 5 }
const KINDS: Readonly<Record<number, Kind>> = { [MARK.tokens]: 'tokens', [MARK.sequences]: 'sequences', [MARK.selected]: 'selected' }

/** Gathers one output over the chunks of a call into the caller's shape; masked places stay 0. */
export class Collector {
  readonly tensor: Tensor
  private readonly kind: Kind
  private readonly width: number

  constructor(
    output: Symbolic,
    private readonly batch: PackedBatch,
    selection: Selection | undefined,
  ) {
    const { rows, columns } = batch
    const first = output.shape[0]!
    this.kind = first >= 0 ? 'maps' : KINDS[dimValue(first, MARK)]!
    this.width = this.kind === 'maps' ? first : output.shape.at(-1)!
    const dims = {
      maps: [rows, this.width, columns, columns],
      tokens: [rows, columns, this.width],
      selected: [selection?.tokens.length ?? 0, this.width],
      sequences: [rows, this.width],
    }[this.kind]
    this.tensor = new Tensor(new Float32Array(dims.reduce((product, n) => product * n, 1)), dims)
  }

  add(values: Float32Array, chunk: Chunk): void {
    if (this.kind === 'maps') this.addMaps(values, chunk)
    else if (this.kind === 'tokens') this.addTokens(values, chunk)
    else this.tensor.data.set(values, (this.kind === 'selected' ? chunk.firstSelected : chunk.firstSequence) * this.width)
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
