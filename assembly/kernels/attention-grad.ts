// The backward pass of fused attention, one head of one sequence a unit: 64 queries by 128 keys at a time, nothing stored beyond such a block.
//
//   S = K Q^T             P = exp(S - largest) / sum     the forward's very bits, from the statistics it kept
//   G = V dO^T            D = dO . O of each query
//   P~ = P kept / (1-p)   dS = P (G kept / (1-p) - D)
//   dV += P~ dO           dK += dS Q                     dQ += dS^T K
//
// Each sum runs over queries or keys in ascending order; partial sums wait in the result. All five products are gemm's micro-kernel.
import { exp } from '../math'
import { headOf, length, restart, seek, sequence } from '../maps'
import { countUp, drawMasks, enterMasks, headStream, keptScale, mask0, mask1, mask2, mask3, mask4, mask5, mask6, mask7 } from '../masks'
import { dim, float, operand } from '../record'
import { fma, loadTail, sumLanes } from '../simd'
import { next } from '../threads'
import { product } from './bmm'
import { blockScratch, PAD } from './gemm'
import { packTranspose } from './pack'

const QUERIES: i32 = 64
const KEYS: i32 = 128
/** Bytes of a block's row: a key's scores with all queries. */
const ROW: usize = <usize>QUERIES * 4 + PAD
const BLOCK: usize = <usize>KEYS * ROW
const TURNED: usize = <usize>QUERIES * (<usize>KEYS * 4 + PAD)

// Within gemm's scratch: S, later P~ | G, later dS | dS^T | largest, 1 / sum and D of the queries.
// @ts-ignore: decorator
@inline
function queryStats(): usize {
  return blockScratch() + 2 * BLOCK + TURNED
}

export function attentionGrad(r: usize): void {
  const heads = dim(r, 0)
  const d = dim(r, 1)
  const t = dim(r, 2)
  const offsets = operand(r, 5)
  const stats = operand(r, 6)
  const examples = operand(r, 7)
  const dq = operand(r, 9)
  const dk = operand(r, 10)
  const dv = operand(r, 11)
  const scale = float(r, 0)
  const row = (<usize>d) << 2
  const wide = (<usize>(heads * d)) << 2 // bytes of a row of out and of the gradients
  const plane = (<usize>(heads * t)) << 2 // bytes of one kind of statistics
  if (examples) enterMasks(operand(r, 8), float(r, 1))

  const scores = blockScratch() // [keys][queries]
  const slopes = scores + BLOCK
  const turned = slopes + BLOCK
  restart()
  for (let unit = next(); seek(unit, heads, dim(r, 3), offsets); unit = next()) {
    const head = headOf(unit)
    const start = load<i32>(offsets + ((<usize>sequence) << 2))
    const example = examples ? load<u32>(examples + ((<usize>sequence) << 2)) : 0
    const stream = headStream(dim(r, 5), head)
    const first = <usize>(head * t + start)
    const narrow = first * row
    const at = <usize>start * wide + <usize>head * row
    for (let q0 = 0; q0 < length; q0 += QUERIES) {
      const queries = min(QUERIES, length - q0)
      const q = operand(r, 0) + narrow + <usize>q0 * row
      const mine = at + <usize>q0 * wide
      const dout = operand(r, 4) + mine
      takeStats(stats + ((first + <usize>q0) << 2), plane, operand(r, 3) + mine, dout, wide, queries, d)
      for (let k0 = 0; k0 < length; k0 += KEYS) {
        const keys = min(KEYS, length - k0)
        const k = operand(r, 1) + narrow + <usize>k0 * row
        const v = operand(r, 2) + narrow + <usize>k0 * row
        const theirs = at + <usize>k0 * wide
        product(k, row, keys, d, q, row, true, queries, scale, scores, ROW, true)
        product(v, row, keys, d, dout, wide, true, queries, 1, slopes, ROW, true)
        if (examples) slope(true, scores, slopes, keys, queries, k0, q0, example, stream)
        else slope(false, scores, slopes, keys, queries, k0, q0, example, stream)
        if (dv) product(scores, ROW, keys, queries, dout, wide, false, d, 1, dv + theirs, wide, q0 == 0)
        if (dk) product(slopes, ROW, keys, queries, q, row, false, d, scale, dk + theirs, wide, q0 == 0)
        if (dq) {
          const lda = ((<usize>keys) << 2) + PAD
          packTranspose(slopes, ROW, queries, keys, turned, lda)
          product(turned, lda, queries, keys, k, row, false, d, scale, dq + mine, wide, k0 == 0)
        }
      }
    }
  }
}

/** Copies what the forward kept of some queries, and adds D. Entries beyond the last query are zero. */
function takeStats(stats: usize, plane: usize, out: usize, dout: usize, wide: usize, queries: i32, d: i32): void {
  const to = queryStats()
  const bytes = (<usize>queries) << 2
  memory.fill(to, 0, 3 * ((<usize>QUERIES) << 2))
  memory.copy(to, stats, bytes)
  memory.copy(to + ((<usize>QUERIES) << 2), stats + plane, bytes)
  const sums = to + ((<usize>QUERIES) << 3)
  const whole = (<usize>(d & ~3)) << 2
  for (let i: usize = 0; i < <usize>queries; i++, out += wide, dout += wide) {
    let sum = f32x4.splat(0)
    for (let j: usize = 0; j < whole; j += 16) sum = fma(v128.load(dout + j), v128.load(out + j), sum)
    if (d & 3) sum = fma(loadTail(dout + whole, d & 3), loadTail(out + whole, d & 3), sum)
    store<f32>(sums + (i << 2), sumLanes(sum))
  }
}

/** S to P~ and G to dS, four keys of eight queries at a time. Lanes beyond the last query hold what nobody reads. */
// @ts-ignore: decorator
@inline
function slope(drops: bool, scores: usize, slopes: usize, keys: i32, queries: i32, k0: i32, q0: i32, example: u32, stream: u32): void {
  for (let j = 0; j < keys; j += 4) {
    const quarter = i32x4.splat((k0 + j) >> 2)
    for (let i = 0; i < queries; i += 8) {
      const at = <usize>j * ROW + ((<usize>i) << 2)
      const stats = queryStats() + ((<usize>i) << 2)
      if (drops) drawMasks(quarter, countUp(q0 + i), quarter, countUp(q0 + i + 4), example, stream)
      slopesOf(drops, scores + at, slopes + at, keys - j, stats, mask0, mask1, mask2, mask3)
      slopesOf(drops, scores + at + 16, slopes + at + 16, keys - j, stats + 16, mask4, mask5, mask6, mask7)
    }
  }
}

function slopesOf(drops: bool, s: usize, g: usize, keys: i32, stats: usize, a: v128, b: v128, c: v128, d: v128): void {
  slopeOf(drops, s, g, a, stats)
  if (keys > 1) slopeOf(drops, s + ROW, g + ROW, b, stats)
  if (keys > 2) slopeOf(drops, s + 2 * ROW, g + 2 * ROW, c, stats)
  if (keys > 3) slopeOf(drops, s + 3 * ROW, g + 3 * ROW, d, stats)
}

// @ts-ignore: decorator
@inline
function slopeOf(drops: bool, s: usize, g: usize, mask: v128, stats: usize): void {
  const p = f32x4.mul(exp(f32x4.sub(v128.load(s), v128.load(stats))), v128.load(stats + ((<usize>QUERIES) << 2)))
  const d = v128.load(stats + ((<usize>QUERIES) << 3))
  if (drops) {
    const kept = v128.and(mask, f32x4.splat(keptScale))
    v128.store(s, f32x4.mul(p, kept))
    v128.store(g, f32x4.mul(p, f32x4.sub(f32x4.mul(v128.load(g), kept), d)))
  } else {
    v128.store(s, p)
    v128.store(g, f32x4.mul(p, f32x4.sub(v128.load(g), d)))
  }
}
