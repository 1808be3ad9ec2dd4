// C = act(A B + bias). One micro-kernel serves every product: A in rows or packed, B always in panels [K][8].
//
//        panel p                      A [M][K] is cut in blocks of MC rows and KC or DEPTH columns (they stay in L2),
//       +--------+                    a panel in pieces of as many rows (they stay in L1 or near it),
//       |  KC x 8|                    C in tiles of a few rows x 8 (they stay in registers).
//       +--------+
//  +---+  tile rows x 8               Every element of C is ((c + a0 b0) + a1 b1) + ... in ascending k, whatever the tile, the
//  | A |  in registers                block and the rank: partial sums wait in C between the blocks.
//  +---+
import { Activation, GemmMode, GradMode } from '../abi'
import { activate } from '../math'
import { dim, float, mode, operand, scratch } from '../record'
import { fma } from '../simd'
import { next } from '../threads'
import { packColumns, packPanelTransposed, packRowSlices, packTranspose } from './pack'
import { packPanel8Transposed } from './quantize'

/** Rows of a low tile and of a high one. With fused multiply-adds 6 rows fit 15 registers; else a product needs one of its own. */
export const MR: i32 = 4
export const HIGH: i32 = isDefined(FAST) ? 6 : 5
export const NR: i32 = 8
export const KC: i32 = 512
/** Columns of a piece of a panel that is in place: longer, since partial sums in C cost more than loads of the panel from L2. */
const DEPTH: i32 = 768
export const MC: i32 = 128
/** Bytes between the rows of a packed block of A: rows a multiple of 2 KiB apart would alias in L1, at half the speed. */
export const PAD: usize = 64

// A rank's scratch: a packed piece of a panel, a block of C whose columns do not lie together, a packed block of A.
const PANEL_BYTES: usize = <usize>KC * 32
const TILE_BYTES: usize = <usize>MC * 32
/** Bytes of scratch that a rank needs for gemm and bmm. */
export const GEMM_SCRATCH: i32 = <i32>(PANEL_BYTES + TILE_BYTES + 64 + <usize>MC * (<usize>KC * 4 + PAD))

// @ts-ignore: decorator
@inline
export function panelScratch(): usize {
  return scratch()
}

// @ts-ignore: decorator
@inline
export function blockScratch(): usize {
  return scratch() + PANEL_BYTES + TILE_BYTES + 64
}

export function gemm(r: usize): void {
  const m = dim(r, 0)
  const n = dim(r, 1)
  const k = dim(r, 2)
  const bw = dim(r, 3)
  const flags = mode(r)
  const a = operand(r, 0)
  const b = operand(r, 1)
  const bias = operand(r, 2)
  const c = operand(r, 3)
  const scale = float(r, 0)
  const accumulate = (flags & GradMode.Accumulate) != 0
  const columnsA = !isDefined(INFERENCE) && (flags & GemmMode.AColumns) != 0
  const sourceB = flags & GemmMode.BMask
  assert(!(accumulate && scale != 1 && sourceB == GemmMode.BPanel))

  // A unit: some rows by some panels. What is packed is packed once per unit.
  const unitRows = columnsA || sourceB == GemmMode.BPanel ? MC : 4 * MC
  // Weights that come from far, and rows enough that they would wait for them one by one.
  const far = sourceB == GemmMode.BPanel && n * k > 1 << 16 && m >= 8
  const unitPanels = columnsA ? 12 : 4 // 12: as many units for two threads as for four, at widths that are multiples of 384
  const panels = (n + 7) >> 3
  const depth = columnsA || sourceB != GemmMode.BPanel ? KC : DEPTH
  const groups = (panels + unitPanels - 1) / unitPanels
  const units = groups * ((m + unitRows - 1) / unitRows)
  const blockStride = (<usize>m * <usize>bw) << 2
  const rowStride = (<usize>bw) << 2

  for (let unit = next(); unit < units; unit = next()) {
    const m0 = (unit / groups) * unitRows
    const m1 = min(m, m0 + unitRows)
    const p0 = (unit % groups) * unitPanels
    const p1 = min(panels, p0 + unitPanels)
    for (let k0 = 0; k0 < k; k0 += depth) {
      const kc = min(depth, k - k0)
      const last = k0 + kc == k
      if (columnsA)
        packTranspose(a + ((<usize>k0 * <usize>m + <usize>m0) << 2), (<usize>m) << 2, m1 - m0, kc, blockScratch(), ((<usize>kc) << 2) + PAD)
      for (let p = p0; p < p1; p++) {
        const n0 = p << 3
        const columns = min(8, n - n0)
        const panel = panelOf(b, sourceB, n, k, n0, columns, k0, kc, scale)
        const after: f32 = sourceB == GemmMode.BPanel ? scale : 1
        if (far) touch(panel, panel + ((<usize>kc) << 5))
        for (let i = m0; i < m1; i += MC) {
          const from = columnsA ? blockScratch() : a + ((<usize>i * <usize>k + <usize>k0) << 2)
          const lda = columnsA ? ((<usize>kc) << 2) + PAD : (<usize>k) << 2
          const to = c + <usize>i * rowStride
          multiply(from, lda, min(MC, m1 - i), panel, kc, to, bw, blockStride, rowStride, n0, columns, k0 == 0 && !accumulate)
          if (last) finish(to, min(MC, m1 - i), bw, blockStride, rowStride, n0, columns, after, bias, flags & Activation.Mask)
        }
      }
    }
  }
}

/**
 * Brings a piece of a panel to L1 with as many loads in flight as the machine has: in the tile loop they would come one by one,
 * and no instruction of wasm prefetches.
 */
function touch(from: usize, to: usize): void {
  let seen: i32 = 0
  for (; from < to; from += 256) seen |= load<i32>(from) | load<i32>(from, 64) | load<i32>(from, 128) | load<i32>(from, 192)
  store<i32>(scratch() + PANEL_BYTES, seen) // or the loads would be dropped
}

/** The piece k0..k0+kc of the panel of columns n0..n0+7: in place, or packed and scaled in scratch. */
// @ts-ignore: decorator
@inline
function panelOf(b: usize, source: i32, n: i32, k: i32, n0: i32, columns: i32, k0: i32, kc: i32, scale: f32): usize {
  if (source == GemmMode.BPanel) return b + ((<usize>(n0 >> 3) * <usize>k + <usize>k0) << 5)
  const panel = panelScratch()
  // The other sources are those of gradients.
  if (isDefined(INFERENCE) || source == GemmMode.BColumns)
    packColumns(b + ((<usize>n0 * <usize>k + <usize>k0) << 2), (<usize>k) << 2, columns, kc, panel)
  else if (source == GemmMode.BRows) packRowSlices(b + ((<usize>k0 * <usize>n + <usize>n0) << 2), (<usize>n) << 2, columns, kc, panel)
  else if (source == GemmMode.BPanelTransposed) packPanelTransposed(b, n, n0, columns, k0, kc, panel)
  else packPanel8Transposed(b, n, n0, k0, kc, panel)
  if (scale != 1) scalePanel(panel, kc, scale)
  return panel
}

export function scalePanel(panel: usize, kc: i32, scale: f32): void {
  const by = f32x4.splat(scale)
  for (const end = panel + ((<usize>kc) << 5); panel < end; panel += 16) v128.store(panel, f32x4.mul(v128.load(panel), by))
}

// Per instance, so per rank. The bits are the same with either tile.
let useHigh: bool = true

/** Tiles of at most so many rows from now on. */
export function useTile(rows: i32): void {
  useHigh = rows >= HIGH
}

/** One block of work with tiles of at most so many rows, on zeros in the scratch of the last run: for a clock to time. */
export function tryTile(rows: i32): void {
  useTile(rows)
  memory.fill(scratch(), 0, GEMM_SCRATCH)
  for (let i = 0; i < 4; i++) tiles(blockScratch(), <usize>KC * 4 + PAD, MC, panelScratch(), KC, scratch() + PANEL_BYTES, 32, true)
}

/**
 * `rows` rows of C, columns n0..n0+columns-1, = (fresh) or += A panel. Column n of row i of C lies at
 * c + (n / bw) * blockStride + i * rowStride + (n % bw) * 4.
 */
export function multiply(
  a: usize,
  lda: usize,
  rows: i32,
  panel: usize,
  kc: i32,
  c: usize,
  bw: i32,
  blockStride: usize,
  rowStride: usize,
  n0: i32,
  columns: i32,
  fresh: bool,
): void {
  const column = n0 % bw
  if (columns == 8 && column + 8 <= bw) {
    tiles(a, lda, rows, panel, kc, c + <usize>(n0 / bw) * blockStride + ((<usize>column) << 2), rowStride, fresh)
    return
  }
  const tmp = scratch() + PANEL_BYTES
  if (!fresh) exchange(tmp, rows, c, bw, blockStride, rowStride, n0, columns, false)
  tiles(a, lda, rows, panel, kc, tmp, 32, fresh)
  exchange(tmp, rows, c, bw, blockStride, rowStride, n0, columns, true)
}

/** Copies columns of C that do not lie together to tmp [rows][8], or back. */
export function exchange(
  tmp: usize,
  rows: i32,
  c: usize,
  bw: i32,
  blockStride: usize,
  rowStride: usize,
  n0: i32,
  columns: i32,
  back: bool,
): void {
  for (let j = 0; j < columns; j++) {
    const n = n0 + j
    let at = c + <usize>(n / bw) * blockStride + ((<usize>(n % bw)) << 2)
    let t = tmp + ((<usize>j) << 2)
    for (let i = 0; i < rows; i++, at += rowStride, t += 32) {
      if (back) store<f32>(at, load<f32>(t))
      else store<f32>(t, load<f32>(at))
    }
  }
}

/** Tiles from top to bottom: high ones as long as low ones would be more. */
// @ts-ignore: decorator
@inline
export function tiles(a: usize, lda: usize, rows: i32, panel: usize, kc: i32, c: usize, ldc: usize, fresh: bool): void {
  if (rows == 1) return oneRow(a, panel, kc, c, fresh)
  const done = useHigh ? highTiles(a, lda, rows, panel, kc, c, ldc, fresh) : 0
  if (done < rows) lowTiles(a, lda, done, rows, panel, kc, c, ldc, fresh)
}

/** A row alone, such as a query over an index: a tile would compute it four times. What it takes is the time to read the panel. */
function oneRow(a: usize, b: usize, kc: i32, c: usize, fresh: bool): void {
  let x0 = f32x4.splat(0)
  let x1 = x0
  if (!fresh) {
    x0 = v128.load(c)
    x1 = v128.load(c, 16)
  }
  for (const end = b + ((<usize>kc) << 5); b < end; a += 4, b += 32) {
    const s = v128.load32_splat(a)
    x0 = fma(s, v128.load(b), x0)
    x1 = fma(s, v128.load(b, 16), x1)
  }
  v128.store(c, x0)
  v128.store(c, x1, 16)
}

// Functions of their own, called from several places so that neither is inlined: engines spill in a function that has both.
function highTiles(a: usize, lda: usize, rows: i32, panel: usize, kc: i32, c: usize, ldc: usize, fresh: bool): i32 {
  const bottom = rows - 1
  let i = 0
  for (; rows - i > ((rows - i + HIGH - 1) / HIGH) * MR; i += HIGH) tile(HIGH, a, lda, i, bottom, panel, kc, c, ldc, fresh)
  return i
}

function lowTiles(a: usize, lda: usize, i: i32, rows: i32, panel: usize, kc: i32, c: usize, ldc: usize, fresh: bool): void {
  const bottom = rows - 1
  for (; i <= bottom; i += MR) tile(MR, a, lda, i, bottom, panel, kc, c, ldc, fresh)
}

/**
 * The micro-kernel, rows i.. of C: per step of k 2 loads of B and mr splats of A for 2 mr multiply-adds. A tile that is not whole computes
 * its last row several times: the same bits. Inlined once for each height: engines spill otherwise. Four steps a round: with one or two,
 * pointers and loop tests take a fifth of what a 6-wide core issues. The first round skips what kc lacks to a multiple of four.
 * The tests and the order of the rows are for V8's scheduler: without a test between steps it loads all four ahead and spills; with it,
 * it leaves a splat beside what uses it only if the rows come last to first, and first to last in the last step. Six loads in a row cost
 * Zen 3 a quarter of its speed.
 */
// @ts-ignore: decorator
@inline
function tile(mr: i32, a: usize, lda: usize, i: i32, bottom: i32, b: usize, kc: i32, c: usize, ldc: usize, fresh: bool): void {
  const r1 = <usize>min(1, bottom - i)
  const r2 = <usize>min(2, bottom - i)
  const r3 = <usize>min(3, bottom - i)
  const r4 = mr > 4 ? <usize>min(4, bottom - i) : 0
  const r5 = mr > 5 ? <usize>min(5, bottom - i) : 0
  let a0 = a + <usize>i * lda
  const c0 = c + <usize>i * ldc
  let a1 = a0 + r1 * lda
  let a2 = a0 + r2 * lda
  let a3 = a0 + r3 * lda
  let a4 = a0 + r4 * lda
  let a5 = a0 + r5 * lda
  const c1 = c0 + r1 * ldc
  const c2 = c0 + r2 * ldc
  const c3 = c0 + r3 * ldc
  const c4 = c0 + r4 * ldc
  const c5 = c0 + r5 * ldc
  let x00 = f32x4.splat(0),
    x01 = x00,
    x10 = x00,
    x11 = x00,
    x20 = x00,
    x21 = x00,
    x30 = x00,
    x31 = x00,
    x40 = x00,
    x41 = x00,
    x50 = x00,
    x51 = x00
  if (!fresh) {
    x00 = v128.load(c0)
    x01 = v128.load(c0, 16)
    x10 = v128.load(c1)
    x11 = v128.load(c1, 16)
    x20 = v128.load(c2)
    x21 = v128.load(c2, 16)
    x30 = v128.load(c3)
    x31 = v128.load(c3, 16)
    if (mr > 4) {
      x40 = v128.load(c4)
      x41 = v128.load(c4, 16)
    }
    if (mr > 5) {
      x50 = v128.load(c5)
      x51 = v128.load(c5, 16)
    }
  }
  const end = b + ((<usize>kc) << 5)
  let skip: usize = (0 - <usize>kc) & 3
  b -= skip << 5
  a0 -= skip << 2
  a1 -= skip << 2
  a2 -= skip << 2
  a3 -= skip << 2
  if (mr > 4) a4 -= skip << 2
  if (mr > 5) a5 -= skip << 2
  do {
    if (skip <= 0) {
      const b0 = v128.load(b)
      const b1 = v128.load(b, 16)
      let s: v128
      if (mr > 5) {
        s = v128.load32_splat(a5)
        x50 = fma(s, b0, x50)
        x51 = fma(s, b1, x51)
      }
      if (mr > 4) {
        s = v128.load32_splat(a4)
        x40 = fma(s, b0, x40)
        x41 = fma(s, b1, x41)
      }
      s = v128.load32_splat(a3)
      x30 = fma(s, b0, x30)
      x31 = fma(s, b1, x31)
      s = v128.load32_splat(a2)
      x20 = fma(s, b0, x20)
      x21 = fma(s, b1, x21)
      s = v128.load32_splat(a1)
      x10 = fma(s, b0, x10)
      x11 = fma(s, b1, x11)
      s = v128.load32_splat(a0)
      x00 = fma(s, b0, x00)
      x01 = fma(s, b1, x01)
    }
    if (skip <= 1) {
      const b0 = v128.load(b, 32)
      const b1 = v128.load(b, 48)
      let s: v128
      if (mr > 5) {
        s = v128.load32_splat(a5, 4)
        x50 = fma(s, b0, x50)
        x51 = fma(s, b1, x51)
      }
      if (mr > 4) {
        s = v128.load32_splat(a4, 4)
        x40 = fma(s, b0, x40)
        x41 = fma(s, b1, x41)
      }
      s = v128.load32_splat(a3, 4)
      x30 = fma(s, b0, x30)
      x31 = fma(s, b1, x31)
      s = v128.load32_splat(a2, 4)
      x20 = fma(s, b0, x20)
      x21 = fma(s, b1, x21)
      s = v128.load32_splat(a1, 4)
      x10 = fma(s, b0, x10)
      x11 = fma(s, b1, x11)
      s = v128.load32_splat(a0, 4)
      x00 = fma(s, b0, x00)
      x01 = fma(s, b1, x01)
    }
    if (skip <= 2) {
      const b0 = v128.load(b, 64)
      const b1 = v128.load(b, 80)
      let s: v128
      if (mr > 5) {
        s = v128.load32_splat(a5, 8)
        x50 = fma(s, b0, x50)
        x51 = fma(s, b1, x51)
      }
      if (mr > 4) {
        s = v128.load32_splat(a4, 8)
        x40 = fma(s, b0, x40)
        x41 = fma(s, b1, x41)
      }
      s = v128.load32_splat(a3, 8)
      x30 = fma(s, b0, x30)
      x31 = fma(s, b1, x31)
      s = v128.load32_splat(a2, 8)
      x20 = fma(s, b0, x20)
      x21 = fma(s, b1, x21)
      s = v128.load32_splat(a1, 8)
      x10 = fma(s, b0, x10)
      x11 = fma(s, b1, x11)
      s = v128.load32_splat(a0, 8)
      x00 = fma(s, b0, x00)
      x01 = fma(s, b1, x01)
    }
    if (skip <= 3) {
      const b0 = v128.load(b, 96)
      const b1 = v128.load(b, 112)
      let s: v128
      s = v128.load32_splat(a0, 12)
      x00 = fma(s, b0, x00)
      x01 = fma(s, b1, x01)
      s = v128.load32_splat(a1, 12)
      x10 = fma(s, b0, x10)
      x11 = fma(s, b1, x11)
      s = v128.load32_splat(a2, 12)
      x20 = fma(s, b0, x20)
      x21 = fma(s, b1, x21)
      s = v128.load32_splat(a3, 12)
      x30 = fma(s, b0, x30)
      x31 = fma(s, b1, x31)
      if (mr > 4) {
        s = v128.load32_splat(a4, 12)
        x40 = fma(s, b0, x40)
        x41 = fma(s, b1, x41)
      }
      if (mr > 5) {
        s = v128.load32_splat(a5, 12)
        x50 = fma(s, b0, x50)
        x51 = fma(s, b1, x51)
      }
    }
    skip = 0
    a0 += 16
    a1 += 16
    a2 += 16
    a3 += 16
    if (mr > 4) a4 += 16
    if (mr > 5) a5 += 16
    b += 128
  } while (b < end)
  v128.store(c0, x00)
  v128.store(c0, x01, 16)
  v128.store(c1, x10)
  v128.store(c1, x11, 16)
  v128.store(c2, x20)
  v128.store(c2, x21, 16)
  v128.store(c3, x30)
  v128.store(c3, x31, 16)
  if (mr > 4) {
    v128.store(c4, x40)
    v128.store(c4, x41, 16)
  }
  if (mr > 5) {
    v128.store(c5, x50)
    v128.store(c5, x51, 16)
  }
}

/** Scale, bias and activation over what one panel made: a pass over rows that are still in L1. */
export function finish(
  c: usize,
  rows: i32,
  bw: i32,
  blockStride: usize,
  rowStride: usize,
  n0: i32,
  columns: i32,
  scale: f32,
  bias: usize,
  kind: i32,
): void {
  if (scale == 1 && bias == 0 && kind == Activation.None) return
  const column = n0 % bw
  if (columns == 8 && column + 8 <= bw) {
    const at = c + <usize>(n0 / bw) * blockStride + ((<usize>column) << 2)
    finishRows(at, rowStride, rows, scale, bias ? bias + ((<usize>n0) << 2) : 0, kind, at, rowStride)
    return
  }
  const tmp = scratch() + PANEL_BYTES
  const tail = tmp + TILE_BYTES // 8 floats of bias, those beyond N zero
  if (bias) {
    memory.fill(tail, 0, 32)
    memory.copy(tail, bias + ((<usize>n0) << 2), (<usize>columns) << 2)
  }
  exchange(tmp, rows, c, bw, blockStride, rowStride, n0, columns, false)
  finishRows(tmp, 32, rows, scale, bias ? tail : 0, kind, tmp, 32)
  exchange(tmp, rows, c, bw, blockStride, rowStride, n0, columns, true)
}

/** c [rows][8] = act(scale * x + bias); rows lie ldx and ldc bytes apart. */
export function finishRows(x: usize, ldx: usize, rows: i32, scale: f32, bias: usize, kind: i32, c: usize, ldc: usize): void {
  const by = f32x4.splat(scale)
  let low = f32x4.splat(0)
  let high = low
  if (bias) {
    low = v128.load(bias)
    high = v128.load(bias, 16)
  }
  switch (kind) {
    case Activation.Gelu:
      return finishAs(Activation.Gelu, x, ldx, rows, by, low, high, c, ldc)
    case Activation.GeluTanh:
      return finishAs(Activation.GeluTanh, x, ldx, rows, by, low, high, c, ldc)
    case Activation.QuickGelu:
      return finishAs(Activation.QuickGelu, x, ldx, rows, by, low, high, c, ldc)
    case Activation.Relu:
      return finishAs(Activation.Relu, x, ldx, rows, by, low, high, c, ldc)
    case Activation.Silu:
      return finishAs(Activation.Silu, x, ldx, rows, by, low, high, c, ldc)
    case Activation.Tanh:
      return finishAs(Activation.Tanh, x, ldx, rows, by, low, high, c, ldc)
    default:
      return finishAs(Activation.None, x, ldx, rows, by, low, high, c, ldc)
  }
}

// @ts-ignore: decorator
@inline
function finishAs(kind: i32, x: usize, ldx: usize, rows: i32, by: v128, low: v128, high: v128, c: usize, ldc: usize): void {
  if (kind != Activation.Gelu && kind != Activation.None) {
    // One body, as these are seldom: half the code.
    for (let i = 0; i < rows; i++, x += ldx, c += ldc)
      for (let half: usize = 0; half < 32; half += 16)
        v128.store(c + half, activate(kind, f32x4.add(f32x4.mul(v128.load(x + half), by), half ? high : low)))
    return
  }
  for (let i = 0; i < rows; i++, x += ldx, c += ldc) {
    const y = f32x4.add(f32x4.mul(v128.load(x), by), low)
    const z = f32x4.add(f32x4.mul(v128.load(x, 16), by), high)
    v128.store(c, activate(kind, y))
    v128.store(c, activate(kind, z), 16)
  }
}
