// The plain chain of attention: one small product per sequence and head, on gemm's micro-kernel.
import { BmmMode, GradMode } from '../abi'
import { dim, float, mode, operand } from '../record'
import { next } from '../threads'
import { blockScratch, KC, MC, multiply, PAD, panelScratch, scalePanel } from './gemm'
import { packColumns, packRowSlices, packTranspose } from './pack'

/** Address and row stride (bytes) of a token operand's rows for one head. */
// @ts-ignore: decorator
@inline
function base(p: usize, heads: bool, head: i32, d: i32, t: i32): usize {
  return p + ((<usize>head * <usize>(heads ? t * d : d)) << 2)
}

// @ts-ignore: decorator
@inline
function stride(heads: bool, count: i32, d: i32): usize {
  return (<usize>(heads ? d : count * d)) << 2
}

export function bmm(r: usize): void {
  const count = dim(r, 0)
  const d = dim(r, 1)
  const t = dim(r, 2)
  const sequences = dim(r, 3)
  const flags = mode(r)
  const a = operand(r, 0)
  const b = operand(r, 1)
  const c = operand(r, 2)
  const offsets = operand(r, 3)
  const scale = float(r, 0)
  const kind = flags & BmmMode.Mask
  const fresh = (flags & GradMode.Accumulate) == 0
  const strideA = stride((flags & BmmMode.AHeads) != 0, count, d)
  const strideB = stride((flags & BmmMode.BHeads) != 0, count, d)
  const strideC = stride((flags & BmmMode.CHeads) != 0, count, d)

  // Units are numbered through all sequences: (sequence, head, block of MC rows). The cursor only moves forward.
  let sequence = 0
  let before = 0 // units of the sequences before
  let maps: usize = 0 // floats of P of the sequences before
  for (let unit = next(); ; unit = next()) {
    let start = 0
    let length = 0
    let blocks = 0
    for (; sequence < sequences; sequence++) {
      start = load<i32>(offsets + ((<usize>sequence) << 2))
      length = load<i32>(offsets + ((<usize>sequence) << 2), 4) - start
      blocks = (length + MC - 1) / MC
      if (unit < before + count * blocks) break
      before += count * blocks
      maps += <usize>count * <usize>length * <usize>length
    }
    if (sequence == sequences) return
    const head = (unit - before) / blocks
    const i0 = ((unit - before) % blocks) * MC
    const rows = min(MC, length - i0)
    const map = (maps + <usize>head * <usize>length * <usize>length) << 2
    const mapStride = (<usize>length) << 2
    const tokensB = base(b, (flags & BmmMode.BHeads) != 0, head, d, t) + <usize>start * strideB

    const nt = kind == BmmMode.NT
    const from = nt ? base(a, (flags & BmmMode.AHeads) != 0, head, d, t) + <usize>(start + i0) * strideA : a + map
    const rowStride = nt ? mapStride : strideC
    const to = nt ? c + map + <usize>i0 * mapStride : base(c, (flags & BmmMode.CHeads) != 0, head, d, t) + <usize>(start + i0) * strideC
    if (nt) product(from, strideA, rows, d, tokensB, strideB, true, length, scale, to, rowStride, fresh)
    else if (isDefined(INFERENCE) || kind == BmmMode.NN)
      product(from + <usize>i0 * mapStride, mapStride, rows, length, tokensB, strideB, false, d, scale, to, rowStride, fresh)
    else {
      // Of gradients alone.
      for (let k0 = 0; k0 < length; k0 += KC) {
        const kc = min(KC, length - k0)
        const lda = ((<usize>kc) << 2) + PAD
        packTranspose(from + <usize>k0 * mapStride + ((<usize>i0) << 2), mapStride, rows, kc, blockScratch(), lda)
        product(blockScratch(), lda, rows, kc, tokensB + <usize>k0 * strideB, strideB, false, d, scale, to, rowStride, fresh && k0 == 0)
      }
    }
  }
}

/** C [rows][n] = (fresh) or += scale A [rows][k] B, B lying as [k][n] or, by `columns`, as [n][k]. Rows lie so many bytes apart. */
export function product(
  a: usize,
  strideA: usize,
  rows: i32,
  k: i32,
  b: usize,
  strideB: usize,
  columns: bool,
  n: i32,
  scale: f32,
  c: usize,
  strideC: usize,
  fresh: bool,
): void {
  const panel = panelScratch()
  for (let k0 = 0; k0 < k; k0 += KC) {
    const kc = min(KC, k - k0)
    for (let n0 = 0; n0 < n; n0 += 8) {
      const count = min(8, n - n0)
      if (columns) packColumns(b + <usize>n0 * strideB + ((<usize>k0) << 2), strideB, count, kc, panel)
      else packRowSlices(b + <usize>k0 * strideB + ((<usize>n0) << 2), strideB, count, kc, panel)
      if (scale != 1) scalePanel(panel, kc, scale)
      multiply(a + ((<usize>k0) << 2), strideA, rows, panel, kc, c, n, 0, strideC, n0, count, fresh && k0 == 0)
    }
  }
}
