// Fused attention, 8 queries at a time: no score is stored beyond a strip [length][8].
//
//   Q panel [d][8]      S strip [length][8]        O^T [d][8]
//   S[j] = K[j] . Q     softmax down the columns   O += V[j] * S[j], divided and stored by rows
//
// The 8 queries are the lanes of two vectors, so the softmax needs no horizontal operation. Training keeps each query's largest score and
// 1 / the sum of its exponentials, from which the backward pass has every probability again.
import { AttentionMode } from '../abi'
import { exp } from '../math'
import { countUp, drawMasks, enterMasks, headStream, keptScale, mask0, mask1, mask2, mask3, mask4, mask5, mask6, mask7 } from '../masks'
import { dim, float, mode, operand, scratch } from '../record'
import { fma, highHalves, lowHalves, storeTail, zipHigh, zipLow } from '../simd'
import { next } from '../threads'
import { scalePanel, tiles } from './gemm'
import { packColumns } from './pack'

/** Queries of a unit of work. */
const BLOCK: i32 = 64

/** Scratch of a rank: (longest + 2 d) * 8 floats. */
export function attention(r: usize): void {
  const heads = dim(r, 0)
  const d = dim(r, 1)
  const t = dim(r, 2)
  const sequences = dim(r, 3)
  const q = operand(r, 0)
  const k = operand(r, 1)
  const v = operand(r, 2)
  const out = operand(r, 3)
  const offsets = operand(r, 4)
  const stats = operand(r, 5)
  const examples = operand(r, 6)
  const scale = float(r, 0)
  const one = mode(r) == AttentionMode.One
  if (examples) enterMasks(operand(r, 7), float(r, 1))
  const row = (<usize>d) << 2 // bytes of a row of q, k, v
  const stride = (<usize>(heads * d)) << 2 // bytes of a row of out

  // Units are numbered through all sequences: (sequence, head, block of queries). The cursor only moves forward.
  let sequence = 0
  let before = 0
  for (let unit = next(); ; unit = next()) {
    let start = 0
    let length = 0
    let queries = 0
    let blocks = 0
    for (; sequence < sequences; sequence++) {
      start = load<i32>(offsets + ((<usize>sequence) << 2))
      length = load<i32>(offsets + ((<usize>sequence) << 2), 4) - start
      assert(length > 0)
      queries = one ? 1 : length
      blocks = (queries + BLOCK - 1) / BLOCK
      if (unit < before + heads * blocks) break
      before += heads * blocks
    }
    if (sequence == sequences) return
    const head = (unit - before) / blocks
    const first = ((unit - before) % blocks) * BLOCK
    const last = min(queries, first + BLOCK)
    const at = <usize>(head * t + start) * row
    const from = q + (one ? <usize>(head * sequences + sequence) * row : at)
    const to = out + <usize>(one ? sequence : start) * stride + <usize>head * row
    const example = examples ? load<u32>(examples + ((<usize>sequence) << 2)) : 0
    const stream = headStream(dim(r, 5), head)
    for (let i = first; i < last; i += 8) {
      const rows = min(8, last - i)
      eight(from + <usize>i * row, rows, k + at, length, d, scale)
      if (stats) {
        const place = stats + ((<usize>(head * t + start + i)) << 2)
        keep(place, high0, high1, rows)
        keep(place + ((<usize>(heads * t)) << 2), by0, by1, rows)
      }
      if (examples) drop(length, d, i, example, stream)
      mix(v + at, length, d, rows, to + <usize>i * stride, stride)
    }
  }
}

// What eight() finds for its queries: the largest score, and what the exponentials are multiplied by in the end.
let high0: v128 = f32x4.splat(0)
let high1: v128 = f32x4.splat(0)
let by0: v128 = f32x4.splat(0)
let by1: v128 = f32x4.splat(0)

/** Exponentials of the scores of `rows` queries (1..8) over a whole sequence, in the strip. */
function eight(q: usize, rows: i32, k: usize, length: i32, d: i32, scale: f32): void {
  const row = (<usize>d) << 2
  const panel = scratch() // [d][8], scaled queries
  const result = panel + ((<usize>d) << 5) // [d][8]
  const strip = result + ((<usize>d) << 5) // [length][8]
  // Lanes beyond the last query are zeros; they are not stored.
  packColumns(q, row, rows, d, panel)
  scalePanel(panel, d, scale)
  tiles(k, row, length, panel, d, strip, 32, true)

  // The largest of each column.
  const end = strip + ((<usize>length) << 5)
  let most0 = v128.load(strip)
  let most1 = v128.load(strip, 16)
  for (let p = strip + 32; p < end; p += 32) {
    most0 = f32x4.pmax(v128.load(p), most0)
    most1 = f32x4.pmax(v128.load(p, 16), most1)
  }

  // exp and the sums.
  let sum0 = f32x4.splat(0)
  let sum1 = sum0
  for (let p = strip; p < end; p += 32) {
    const e0 = exp(f32x4.sub(v128.load(p), most0))
    const e1 = exp(f32x4.sub(v128.load(p, 16), most1))
    v128.store(p, e0)
    v128.store(p, e1, 16)
    sum0 = f32x4.add(sum0, e0)
    sum1 = f32x4.add(sum1, e1)
  }
  const one = f32x4.splat(1)
  high0 = most0
  high1 = most1
  by0 = f32x4.div(one, sum0)
  by1 = f32x4.div(one, sum1)
}

/** Stores what belongs to `rows` queries. */
function keep(to: usize, low: v128, high: v128, rows: i32): void {
  if (rows >= 4) v128.store(to, low)
  else storeTail(to, low, rows)
  if (rows == 8) v128.store(to, high, 16)
  else if (rows > 4) storeTail(to + 16, high, rows - 4)
}

/** Drops probabilities of the queries first..first+7, four keys at a time. */
function drop(length: i32, d: i32, first: i32, example: u32, stream: u32): void {
  const scale = f32x4.splat(keptScale)
  by0 = f32x4.mul(by0, scale)
  by1 = f32x4.mul(by1, scale)
  let p = scratch() + ((<usize>d) << 6)
  for (let j = 0; j < length; j += 4) {
    const quarter = i32x4.splat(j >> 2)
    drawMasks(quarter, countUp(first), quarter, countUp(first + 4), example, stream)
    dropFour(p, length - j, mask0, mask1, mask2, mask3)
    dropFour(p + 16, length - j, mask4, mask5, mask6, mask7)
    p += 128
  }
}

// @ts-ignore: decorator
@inline
function dropFour(p: usize, keys: i32, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(p, v128.and(v128.load(p), a))
  if (keys > 1) v128.store(p, v128.and(v128.load(p, 32), b), 32)
  if (keys > 2) v128.store(p, v128.and(v128.load(p, 64), c), 64)
  if (keys > 3) v128.store(p, v128.and(v128.load(p, 96), d), 96)
}

/** O^T = V^T P, four columns of V at a time, from the strip to rows. */
function mix(v: usize, length: i32, d: i32, rows: i32, out: usize, stride: usize): void {
  const row = (<usize>d) << 2
  const result = scratch() + ((<usize>d) << 5)
  const strip = result + ((<usize>d) << 5)
  const end = strip + ((<usize>length) << 5)
  const low = by0
  const high = by1
  let column = 0
  for (; column + 4 <= d; column += 4) {
    let o00 = f32x4.splat(0),
      o01 = o00,
      o10 = o00,
      o11 = o00,
      o20 = o00,
      o21 = o00,
      o30 = o00,
      o31 = o00
    let value = v + ((<usize>column) << 2)
    for (let p = strip; p < end; p += 32, value += row) {
      const p0 = v128.load(p)
      const p1 = v128.load(p, 16)
      let x = v128.load32_splat(value)
      o00 = fma(x, p0, o00)
      o01 = fma(x, p1, o01)
      x = v128.load32_splat(value, 4)
      o10 = fma(x, p0, o10)
      o11 = fma(x, p1, o11)
      x = v128.load32_splat(value, 8)
      o20 = fma(x, p0, o20)
      o21 = fma(x, p1, o21)
      x = v128.load32_splat(value, 12)
      o30 = fma(x, p0, o30)
      o31 = fma(x, p1, o31)
    }
    const to = out + ((<usize>column) << 2)
    store4(to, stride, rows, f32x4.mul(o00, low), f32x4.mul(o10, low), f32x4.mul(o20, low), f32x4.mul(o30, low))
    if (rows > 4) {
      store4(to + 4 * stride, stride, rows - 4, f32x4.mul(o01, high), f32x4.mul(o11, high), f32x4.mul(o21, high), f32x4.mul(o31, high))
    }
  }
  for (; column < d; column++) {
    let o0 = f32x4.splat(0)
    let o1 = o0
    let value = v + ((<usize>column) << 2)
    for (let p = strip; p < end; p += 32, value += row) {
      const x = v128.load32_splat(value)
      o0 = fma(x, v128.load(p), o0)
      o1 = fma(x, v128.load(p, 16), o1)
    }
    v128.store(result, f32x4.mul(o0, low))
    v128.store(result, f32x4.mul(o1, high), 16)
    for (let i: usize = 0; i < <usize>rows; i++) store<f32>(out + i * stride + ((<usize>column) << 2), load<f32>(result + (i << 2)))
  }
}

/** Four columns (vectors over queries) to up to four rows of four. */
// @ts-ignore: decorator
@inline
function store4(to: usize, stride: usize, rows: i32, a: v128, b: v128, c: v128, e: v128): void {
  const ab = zipLow(a, b)
  const ce = zipLow(c, e)
  v128.store(to, lowHalves(ab, ce))
  if (rows > 1) v128.store(to + stride, highHalves(ab, ce))
  const ab2 = zipHigh(a, b)
  const ce2 = zipHigh(c, e)
  if (rows > 2) v128.store(to + 2 * stride, lowHalves(ab2, ce2))
  if (rows > 3) v128.store(to + 3 * stride, highHalves(ab2, ce2))
}
