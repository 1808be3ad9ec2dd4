// What a plan's records have to do for given dims, and how many threads are worth waking for it. Told from the records alone, so that a call
// always runs on as many; the bits do not depend on it.
import { AttentionMode, Op, Plan as Layout } from '../../assembly/abi.ts'
import type { Plan } from './plan.ts'
import { dimValue, type Dims } from './tensor.ts'

/** One record's work. */
export interface Work {
  readonly op: Op
  /** Multiplications and additions; of records that only move or map numbers, as many as take the same time. */
  readonly operations: number
  /** Threads share it in so many, one after the other: as the kernels cut it, or fewer. */
  readonly pieces: number
}

/** Operations that a thread does in a microsecond. */
const SPEED = 20_000
/** Microseconds that more threads than one cost: to wake, and for each of them to meet after a record. Tests of threads on tiny models make them nothing. */
export const COSTS = { wake: 100, meeting: 3 }
/** Of an element of a record without products. */
const MAPPED = 8

/** Records first..last-1 of a plan. */
export function workOf(plan: Plan, dims: Dims, first = 0, last = plan.records): Work[] {
  return Array.from({ length: last - first }, (_, i) => {
    const at = Layout.Slots + (first + i) * Layout.Words
    const op = plan.words[at + Layout.Op]! as Op
    const values = Array.from({ length: Layout.MaxDims }, (_, d) => dimValue(plan.words[at + Layout.Dims + d]!, dims))
    return { op, ...workOfOp(op, plan.words[at + Layout.Mode]!, values as [number, number, number, number], dims) }
  })
}

function workOfOp(op: Op, mode: number, [a, b, c, d]: [number, number, number, number], dims: Dims): Omit<Work, 'op'> {
  switch (op) {
    case Op.Gemm:
    case Op.GemmInt8:
      // Blocks of rows by blocks of columns, of which int8 has the larger.
      return { operations: 2 * a * b * c, pieces: Math.ceil(a / 128) * Math.ceil(b / (op === Op.Gemm ? 32 : 64)) }
    case Op.Bmm:
      return { operations: 2 * a * b * dims.squares, pieces: a * dims.sequences }
    case Op.Attention:
      // One query takes the time of eight.
      if (mode === AttentionMode.One) return { operations: 32 * a * b * c, pieces: a * d }
      // Heads by blocks of queries: one long sequence has as many as many short ones.
      return { operations: 4 * a * b * dims.squares, pieces: a * Math.max(d, Math.ceil(c / 64)) }
    case Op.AttentionGrad:
      return { operations: 10 * a * b * dims.squares, pieces: a * d }
    default:
      return { operations: MAPPED * a * Math.max(b, 1), pieces: Math.ceil(a / 4) }
  }
}

/** As many of `most` threads as are quickest for it; the fewer where it makes no difference. */
export function worthwhile(work: readonly Work[], most: number): number {
  let [best, least] = [1, Infinity]
  for (let threads = 1; threads <= most; threads++) {
    let time = threads === 1 ? 0 : COSTS.wake + COSTS.meeting * threads * work.length
    for (const { operations, pieces } of work) time += (operations / SPEED) * (Math.ceil(pieces / threads) / Math.max(pieces, 1))
    if (time < least) [best, least] = [threads, time]
  }
  return best
}
