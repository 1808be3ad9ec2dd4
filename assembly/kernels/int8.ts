// C = act(A B + bias) with A in 7 bits and B in 8: sums of integers, which are exact, so every build and engine has the same ones. A block of
// rows meets a group of panels; raw sums wait in scratch, where they become numbers while they are still in L1 (rows of C may alias there).
//
// Relaxed SIMD multiplies four pairs of bytes a lane as they lie. Without it both sides are widened to 16 bits in scratch first, once for
// many products: then a step is a multiplication and an addition for two pairs a lane, and plain loads.
import { Activation } from '../abi'
import { dim, mode, operand } from '../record'
import { dot4 } from '../simd'
import { next } from '../threads'
import { blockScratch, exchange, finishRows } from './gemm'
import { padded, panelBytes, PANEL_HEAD, ROW_HEAD } from './quantize'

/** Rows of a block, in whole tiles: a text of 128 tokens reads the weights once. */
export const ROWS: i32 = ASC_FEATURE_RELAXED_SIMD ? 132 : 128
/** Panels of a group: a block is widened once for so many. */
export const GROUP: i32 = ASC_FEATURE_RELAXED_SIMD ? 4 : 8
/** Columns of a piece: of a panel it stays in L1. */
const DEPTH: i32 = ASC_FEATURE_RELAXED_SIMD ? 1536 : 768

// In scratch: the raw sums of a group, and what is widened.
export const SUMS_BYTES: usize = <usize>ROWS * 32
// @ts-ignore: decorator
@inline
function wideRows(): usize {
  return biasTail() + 64
}
// @ts-ignore: decorator
@inline
function widePanel(): usize {
  return wideRows() + <usize>ROWS * <usize>DEPTH * 2
}

/** 8 floats: the bias of a panel that is not whole. */
// @ts-ignore: decorator
@inline
export function biasTail(): usize {
  return blockScratch() + <usize>GROUP * SUMS_BYTES
}

export function gemmInt8(r: usize): void {
  const m = dim(r, 0)
  const n = dim(r, 1)
  const k = padded(dim(r, 2))
  const bw = dim(r, 3)
  const a = operand(r, 0)
  const b = operand(r, 1)
  const bias = operand(r, 2)
  const c = operand(r, 3)
  const kind = mode(r) & Activation.Mask
  const rowBytes = ROW_HEAD + <usize>k
  const panels = (n + 7) >> 3
  const groups = (panels + GROUP - 1) / GROUP
  const units = groups * ((m + ROWS - 1) / ROWS)
  const rowStride = (<usize>bw) << 2

  for (let unit = next(); unit < units; unit = next()) {
    const m0 = (unit / groups) * ROWS
    const rows = min(ROWS, m - m0)
    const p0 = (unit % groups) * GROUP
    const p1 = min(panels, p0 + GROUP)
    const block = a + <usize>m0 * rowBytes
    for (let k0 = 0; k0 < k; k0 += DEPTH) {
      const kc = min(DEPTH, k - k0)
      let rowsAt = block + ROW_HEAD + <usize>k0
      let lda = rowBytes
      if (!ASC_FEATURE_RELAXED_SIMD) {
        widenRows(rowsAt, lda, rows, kc, wideRows())
        rowsAt = wideRows()
        lda = (<usize>kc) << 1
      }
      for (let p = p0; p < p1; p++) {
        const head = b + <usize>p * panelBytes(k)
        let panel = head + PANEL_HEAD + ((<usize>k0) << 3)
        if (!ASC_FEATURE_RELAXED_SIMD) {
          widen(panel, kc, widePanel())
          panel = widePanel()
        }
        // Where one piece is all, one panel's sums are done before the next one's begin.
        const sums = blockScratch() + (k > DEPTH ? <usize>(p - p0) * SUMS_BYTES : 0)
        if (k0 == 0) memory.fill(sums, 0, (<usize>rows) << 5)
        tiles(rowsAt, lda, rows, panel, kc, sums, p + 2 < panels ? panel + panelBytes(k) : 0)
        if (k0 + kc < k) continue
        const n0 = p << 3
        const from = biasOf(bias, n0, min(8, n - n0))
        const to = c + <usize>m0 * rowStride
        if (kind == Activation.None && isWhole(n0, n, bw))
          dequantize(sums, block, rowBytes, rows, head, from, placeOf(to, n0, m, bw), rowStride)
        else {
          dequantize(sums, block, rowBytes, rows, head, from, sums, 32)
          deliver(sums, rows, n0, n, 0, kind, to, m, bw)
        }
      }
    }
  }
}

/** 8 floats: the bias from column n0 on, zeros beyond `columns` and where there is none. */
function biasOf(bias: usize, n0: i32, columns: i32): usize {
  const from = bias + ((<usize>n0) << 2)
  if (bias && columns == 8) return from
  memory.fill(biasTail(), 0, 32)
  if (bias) memory.copy(biasTail(), from, (<usize>columns) << 2)
  return biasTail()
}

/** Whether the 8 columns from n0 on lie side by side in C. */
// @ts-ignore: decorator
@inline
function isWhole(n0: i32, n: i32, bw: i32): bool {
  return n0 + 8 <= n && (n0 % bw) + 8 <= bw
}

/** Where column n0 of C's row `to` lies. */
// @ts-ignore: decorator
@inline
function placeOf(to: usize, n0: i32, m: i32, bw: i32): usize {
  return to + ((<usize>(n0 / bw) * <usize>m * <usize>bw + <usize>(n0 % bw)) << 2)
}

/** Numbers of a panel [rows][8], with bias and activation, to C: `to` is its first row's. */
export function deliver(sums: usize, rows: i32, n0: i32, n: i32, bias: usize, kind: i32, to: usize, m: i32, bw: i32): void {
  const rowStride = (<usize>bw) << 2
  const columns = min(8, n - n0)
  const from = bias ? biasOf(bias, n0, columns) : 0
  if (isWhole(n0, n, bw)) return finishRows(sums, 32, rows, 1, from, kind, placeOf(to, n0, m, bw), rowStride)
  finishRows(sums, 32, rows, 1, from, kind, sums, 32)
  exchange(sums, rows, to, bw, (<usize>m * <usize>bw) << 2, rowStride, n0, columns, true)
}

/** Raw sums of a panel [rows][8] to numbers at `to`: scale * (step * sum + least * the sum of the channel's integers) + bias[8]. */
function dequantize(sums: usize, a: usize, rowBytes: usize, rows: i32, head: usize, bias: usize, to: usize, stride: usize): void {
  const scale0 = v128.load(head)
  const scale1 = v128.load(head, 16)
  const total0 = v128.load(head, 32)
  const total1 = v128.load(head, 48)
  const bias0 = v128.load(bias)
  const bias1 = v128.load(bias, 16)
  for (const end = sums + ((<usize>rows) << 5); sums < end; sums += 32, a += rowBytes, to += stride) {
    const step = v128.load32_splat(a)
    const least = v128.load32_splat(a, 4)
    const x = f32x4.add(f32x4.mul(step, f32x4.convert_i32x4_s(v128.load(sums))), f32x4.mul(least, total0))
    const y = f32x4.add(f32x4.mul(step, f32x4.convert_i32x4_s(v128.load(sums, 16))), f32x4.mul(least, total1))
    v128.store(to, f32x4.add(f32x4.mul(x, scale0), bias0))
    v128.store(to, f32x4.add(f32x4.mul(y, scale1), bias1), 16)
  }
}

/** Rows of u7 to rows of i16, one behind the other. kc is a multiple of 4. */
export function widenRows(a: usize, lda: usize, rows: i32, kc: i32, to: usize): void {
  for (let i = 0; i < rows; i++, a += lda) {
    let p = a
    for (const end = a + <usize>(kc & ~7); p < end; p += 8, to += 16) v128.store(to, v128.load_ext<u8>(p))
    if (kc & 4) {
      v128.store64_lane(to, i16x8.extend_low_i8x16_u(v128.load32_zero(p)), 0)
      to += 8
    }
  }
}

/** A piece of a panel, [kc/4][8][4] of s8, to [kc/2][8][2] of i16. */
export function widen(panel: usize, kc: i32, to: usize): void {
  for (const end = panel + ((<usize>kc) << 3); panel < end; panel += 32, to += 64) {
    const a = v128.load_ext<i8>(panel)
    const b = v128.load_ext<i8>(panel, 8)
    const d = v128.load_ext<i8>(panel, 16)
    const e = v128.load_ext<i8>(panel, 24)
    v128.store(to, v128.shuffle<i32>(a, b, 0, 2, 4, 6))
    v128.store(to, v128.shuffle<i32>(d, e, 0, 2, 4, 6), 16)
    v128.store(to, v128.shuffle<i32>(a, b, 1, 3, 5, 7), 32)
    v128.store(to, v128.shuffle<i32>(d, e, 1, 3, 5, 7), 48)
  }
}

/** C += A panel, from top to bottom; a last tile that is not whole computes its last row several times. `ahead`: the panel to come, with another behind it, or 0. */
export function tiles(a: usize, lda: usize, rows: i32, panel: usize, kc: i32, c: usize, ahead: usize = 0): void {
  const bottom = rows - 1
  // Of the panel to come, what a round of each tile asks for.
  const share: usize = ahead ? 64 / <usize>((rows + 5) / 6) + 1 : 0
  if (!ahead) ahead = panel
  for (let i = 0; i <= bottom; i += ASC_FEATURE_RELAXED_SIMD ? 6 : 4) {
    const p = a + <usize>i * lda
    const q = c + ((<usize>i) << 5)
    const r1 = <usize>min(1, bottom - i)
    const r2 = <usize>min(2, bottom - i)
    const r3 = <usize>min(3, bottom - i)
    if (ASC_FEATURE_RELAXED_SIMD) {
      const r4 = <usize>min(4, bottom - i)
      const r5 = <usize>min(5, bottom - i)
      bytes6(p, p + r1 * lda, p + r2 * lda, p + r3 * lda, p + r4 * lda, p + r5 * lda, panel, kc, q, r1, r2, r3, r4, r5, ahead, share)
      ahead += <usize>((kc + 7) >> 3) * share
    } else words4(p, p + r1 * lda, p + r2 * lda, p + r3 * lda, panel, kc, q, r1, r2, r3)
  }
}

/**
 * 6 x 8: 2 loads of B, 6 splats of A for 12 products of four pairs a lane. Twice a round, or the round's own adding and testing would be a fifth.
 * A round also reads a byte of the panel to come, which is far and which no instruction of wasm prefetches.
 */
// @ts-ignore: decorator
@inline
function bytes6(
  a0: usize,
  a1: usize,
  a2: usize,
  a3: usize,
  a4: usize,
  a5: usize,
  b: usize,
  kc: i32,
  c: usize,
  r1: usize,
  r2: usize,
  r3: usize,
  r4: usize,
  r5: usize,
  ahead: usize,
  share: usize,
): void {
  const c1 = c + (r1 << 5)
  const c2 = c + (r2 << 5)
  const c3 = c + (r3 << 5)
  const c4 = c + (r4 << 5)
  const c5 = c + (r5 << 5)
  let x00 = v128.load(c)
  let x01 = v128.load(c, 16)
  let x10 = v128.load(c1)
  let x11 = v128.load(c1, 16)
  let x20 = v128.load(c2)
  let x21 = v128.load(c2, 16)
  let x30 = v128.load(c3)
  let x31 = v128.load(c3, 16)
  let x40 = v128.load(c4)
  let x41 = v128.load(c4, 16)
  let x50 = v128.load(c5)
  let x51 = v128.load(c5, 16)
  // Two rounds' steps in one, less the first where they are odd.
  const end = b + ((<usize>kc) << 3)
  let skip: usize = ((<usize>kc) >> 2) & 1
  b -= skip << 5
  a0 -= skip << 2
  a1 -= skip << 2
  a2 -= skip << 2
  a3 -= skip << 2
  a4 -= skip << 2
  a5 -= skip << 2
  let seen: i32 = 0
  do {
    if (skip <= 0) {
      const b0 = v128.load(b)
      const b1 = v128.load(b, 16)
      let s = v128.load32_splat(a0)
      x00 = dot4(b0, s, x00)
      x01 = dot4(b1, s, x01)
      s = v128.load32_splat(a1)
      x10 = dot4(b0, s, x10)
      x11 = dot4(b1, s, x11)
      s = v128.load32_splat(a2)
      x20 = dot4(b0, s, x20)
      x21 = dot4(b1, s, x21)
      s = v128.load32_splat(a3)
      x30 = dot4(b0, s, x30)
      x31 = dot4(b1, s, x31)
      s = v128.load32_splat(a4)
      x40 = dot4(b0, s, x40)
      x41 = dot4(b1, s, x41)
      s = v128.load32_splat(a5)
      x50 = dot4(b0, s, x50)
      x51 = dot4(b1, s, x51)
    }
    skip = 0
    {
      const b0 = v128.load(b, 32)
      const b1 = v128.load(b, 48)
      let s = v128.load32_splat(a0, 4)
      x00 = dot4(b0, s, x00)
      x01 = dot4(b1, s, x01)
      s = v128.load32_splat(a1, 4)
      x10 = dot4(b0, s, x10)
      x11 = dot4(b1, s, x11)
      s = v128.load32_splat(a2, 4)
      x20 = dot4(b0, s, x20)
      x21 = dot4(b1, s, x21)
      s = v128.load32_splat(a3, 4)
      x30 = dot4(b0, s, x30)
      x31 = dot4(b1, s, x31)
      s = v128.load32_splat(a4, 4)
      x40 = dot4(b0, s, x40)
      x41 = dot4(b1, s, x41)
      s = v128.load32_splat(a5, 4)
      x50 = dot4(b0, s, x50)
      x51 = dot4(b1, s, x51)
    }
    a0 += 8
    a1 += 8
    a2 += 8
    a3 += 8
    a4 += 8
    a5 += 8
    b += 64
    seen |= load<u8>(ahead)
    ahead += share
  } while (b < end)
  // It never is: without a use, compilers would drop the bytes.
  c += usize(seen == i32.MAX_VALUE)
  v128.store(c, x00)
  v128.store(c, x01, 16)
  v128.store(c1, x10)
  v128.store(c1, x11, 16)
  v128.store(c2, x20)
  v128.store(c2, x21, 16)
  v128.store(c3, x30)
  v128.store(c3, x31, 16)
  v128.store(c4, x40)
  v128.store(c4, x41, 16)
  v128.store(c5, x50)
  v128.store(c5, x51, 16)
}

/** c + a0 b0 + a1 b1 in each lane of 32 bits. */
// @ts-ignore: decorator
@inline
function dot2(a: v128, b: v128, c: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(a, b))
}

/** 4 x 8, four pairs of columns a round; tests and order of the rows as in gemm's tile, for the same reasons. */
// @ts-ignore: decorator
@inline
function words4(a0: usize, a1: usize, a2: usize, a3: usize, b: usize, kc: i32, c: usize, r1: usize, r2: usize, r3: usize): void {
  const c1 = c + (r1 << 5)
  const c2 = c + (r2 << 5)
  const c3 = c + (r3 << 5)
  let x00 = v128.load(c)
  let x01 = v128.load(c, 16)
  let x10 = v128.load(c1)
  let x11 = v128.load(c1, 16)
  let x20 = v128.load(c2)
  let x21 = v128.load(c2, 16)
  let x30 = v128.load(c3)
  let x31 = v128.load(c3, 16)
  const end = b + ((<usize>kc) << 4)
  let skip: usize = ((<usize>kc) & 4) >> 1
  b -= skip << 5
  a0 -= skip << 2
  a1 -= skip << 2
  a2 -= skip << 2
  a3 -= skip << 2
  do {
    if (skip <= 0) {
      const b0 = v128.load(b)
      const b1 = v128.load(b, 16)
      let s = v128.load32_splat(a3)
      x30 = dot2(s, b0, x30)
      x31 = dot2(s, b1, x31)
      s = v128.load32_splat(a2)
      x20 = dot2(s, b0, x20)
      x21 = dot2(s, b1, x21)
      s = v128.load32_splat(a1)
      x10 = dot2(s, b0, x10)
      x11 = dot2(s, b1, x11)
      s = v128.load32_splat(a0)
      x00 = dot2(s, b0, x00)
      x01 = dot2(s, b1, x01)
    }
    if (skip <= 1) {
      const b0 = v128.load(b, 32)
      const b1 = v128.load(b, 48)
      let s = v128.load32_splat(a3, 4)
      x30 = dot2(s, b0, x30)
      x31 = dot2(s, b1, x31)
      s = v128.load32_splat(a2, 4)
      x20 = dot2(s, b0, x20)
      x21 = dot2(s, b1, x21)
      s = v128.load32_splat(a1, 4)
      x10 = dot2(s, b0, x10)
      x11 = dot2(s, b1, x11)
      s = v128.load32_splat(a0, 4)
      x00 = dot2(s, b0, x00)
      x01 = dot2(s, b1, x01)
    }
    if (skip <= 2) {
      const b0 = v128.load(b, 64)
      const b1 = v128.load(b, 80)
      let s = v128.load32_splat(a3, 8)
      x30 = dot2(s, b0, x30)
      x31 = dot2(s, b1, x31)
      s = v128.load32_splat(a2, 8)
      x20 = dot2(s, b0, x20)
      x21 = dot2(s, b1, x21)
      s = v128.load32_splat(a1, 8)
      x10 = dot2(s, b0, x10)
      x11 = dot2(s, b1, x11)
      s = v128.load32_splat(a0, 8)
      x00 = dot2(s, b0, x00)
      x01 = dot2(s, b1, x01)
    }
    if (skip <= 3) {
      const b0 = v128.load(b, 96)
      const b1 = v128.load(b, 112)
      let s = v128.load32_splat(a0, 12)
      x00 = dot2(s, b0, x00)
      x01 = dot2(s, b1, x01)
      s = v128.load32_splat(a1, 12)
      x10 = dot2(s, b0, x10)
      x11 = dot2(s, b1, x11)
      s = v128.load32_splat(a2, 12)
      x20 = dot2(s, b0, x20)
      x21 = dot2(s, b1, x21)
      s = v128.load32_splat(a3, 12)
      x30 = dot2(s, b0, x30)
      x31 = dot2(s, b1, x31)
    }
    skip = 0
    a0 += 16
    a1 += 16
    a2 += 16
    a3 += 16
    b += 128
  } while (b < end)
  v128.store(c, x00)
  v128.store(c, x01, 16)
  v128.store(c1, x10)
  v128.store(c1, x11, 16)
  v128.store(c2, x20)
  v128.store(c2, x21, 16)
  v128.store(c3, x30)
  v128.store(c3, x31, 16)
}
