import { expected, wholeOf, Words } from '../errors.ts'
import type { PackedBatch } from './batch.ts'

/**
 * Places asked for by `logits_positions`: for each row of the batch, columns of the caller's rectangle. The result names packed tokens,
 * in the caller's order, row after row.
 */
export interface Selection {
  /** B+1 starts into `tokens`. */
  readonly offsets: Int32Array
  /** Packed tokens. */
  readonly tokens: Int32Array
}

export function selectPositions(positions: readonly ArrayLike<number>[], batch: PackedBatch): Selection {
  const name = 'logits_positions'
  const { rows, columns, column } = batch
  const offsets = new Int32Array(rows + 1)
  const tokens: number[] = []
  if (!Array.isArray(positions) || positions.length !== rows) {
    throw expected(name, `an array of columns for each of the ${rows} rows`, positions, 'For example [[4, 7], [2]]; a row may be empty')
  }
  for (const [row, list] of (positions as readonly (ArrayLike<number> | null)[]).entries()) {
    if (list === null || typeof list !== 'object' || typeof list.length !== 'number')
      throw expected(`${name}[${row}]`, 'an array of columns', list)
    const [start, end] = [batch.offsets[row]!, batch.offsets[row + 1]!]
    for (let i = 0; i < list.length; i++) {
      const wanted = list[i]!
      const place = `${name}[${row}][${i}]`
      wholeOf(place, wanted, 0, columns - 1, ', a column')
      const token = column.subarray(start, end).indexOf(wanted)
      if (token < 0) throw expected(place, 'a position that attention_mask keeps', wanted, 'Masked positions have no logits')
      tokens.push(start + token)
    }
    offsets[row + 1] = tokens.length
  }
  if (tokens.length === 0)
    throw expected(name, 'at least one position', new Words('none'), 'Leave it out to have the logits of every position')
  return { offsets, tokens: Int32Array.from(tokens) }
}
