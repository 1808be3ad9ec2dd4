// Into and out of panels. A panel holds 8 rows of a matrix [N][K] as [K][8]; rows beyond N are zero.
import { FileType, TableMode } from '../abi'
import { highHalves, lowHalves, zipHigh, zipLow } from '../simd'

const WIDTH: usize = 8

/** Transposes the 4x4 block whose rows lie `stride` bytes apart to four vectors stored `out` bytes apart. */
// @ts-ignore: decorator
@inline
function transpose4(source: usize, stride: usize, target: usize, out: usize): void {
  const a = v128.load(source)
  const b = v128.load(source + stride)
  const d = v128.load(source + 2 * stride)
  const e = v128.load(source + 3 * stride)
  const ab = zipLow(a, b)
  const de = zipLow(d, e)
  const ab2 = zipHigh(a, b)
  const de2 = zipHigh(d, e)
  v128.store(target, lowHalves(ab, de))
  v128.store(target + out, highHalves(ab, de))
  v128.store(target + 2 * out, lowHalves(ab2, de2))
  v128.store(target + 3 * out, highHalves(ab2, de2))
}

/** target[k][0..7] = source rows 0..rows-1 at k, zeros for the rest; rows lie `stride` bytes apart. k from 0 to kc. */
export function packColumns(source: usize, stride: usize, rows: i32, kc: i32, target: usize): void {
  if (<usize>rows >= WIDTH) {
    let k = 0
    for (; k + 4 <= kc; k += 4) {
      const from = source + ((<usize>k) << 2)
      const to = target + ((<usize>k) << 5)
      transpose4(from, stride, to, 32)
      transpose4(from + 4 * stride, stride, to + 16, 32)
    }
    for (; k < kc; k++) {
      for (let i: usize = 0; i < WIDTH; i++) {
        store<f32>(target + ((<usize>k) << 5) + (i << 2), load<f32>(source + i * stride + ((<usize>k) << 2)))
      }
    }
    return
  }
  memory.fill(target, 0, (<usize>kc) << 5)
  for (let i: usize = 0; i < <usize>rows; i++) {
    for (let k = 0; k < kc; k++) store<f32>(target + ((<usize>k) << 5) + (i << 2), load<f32>(source + i * stride + ((<usize>k) << 2)))
  }
}

/** target[k][0..7] = 8 neighbouring columns of row k, of which `columns` exist; rows lie `stride` bytes apart. */
export function packRowSlices(source: usize, stride: usize, columns: i32, kc: i32, target: usize): void {
  if (<usize>columns >= WIDTH) {
    for (let k = 0; k < kc; k++, source += stride, target += 32) {
      v128.store(target, v128.load(source))
      v128.store(target, v128.load(source, 16), 16)
    }
    return
  }
  memory.fill(target, 0, (<usize>kc) << 5)
  for (let k = 0; k < kc; k++, source += stride, target += 32) {
    for (let i: usize = 0; i < <usize>columns; i++) store<f32>(target + (i << 2), load<f32>(source + (i << 2)))
  }
}

/** target[k][0..7] = W[k0 + k][n0 + 0..7] of a W [K][N] that lies in panels [K/8][N][8]; `columns` of the 8 exist. */
export function packPanelTransposed(panels: usize, n: i32, n0: i32, columns: i32, k0: i32, kc: i32, target: usize): void {
  for (let k = 0; k < kc; k++, target += 32) {
    const row = k0 + k
    // W[row][n0 + i] is lane row % 8 of entry n0 + i of panel row / 8.
    const from = panels + ((<usize>(row >> 3) * <usize>n + <usize>n0) << 5) + ((<usize>(row & 7)) << 2)
    if ((row & 7) == 0 && k + 8 <= kc && <usize>columns >= WIDTH) {
      // A whole 8x8 block: [8 columns][8 rows] to [8 rows][8 columns].
      transpose4(from, 32, target, 32)
      transpose4(from + 16, 32, target + 128, 32)
      transpose4(from + 128, 32, target + 16, 32)
      transpose4(from + 144, 32, target + 144, 32)
      k += 7
      target += 224
      continue
    }
    for (let i: usize = 0; i < WIDTH; i++) store<f32>(target + (i << 2), i < <usize>columns ? load<f32>(from + (i << 5)) : 0)
  }
}

/** target [rows][kc], rows `out` bytes apart = the transpose of a [K][M] whose rows lie `stride` bytes apart, from its first row and column. */
export function packTranspose(source: usize, stride: usize, rows: i32, kc: i32, target: usize, out: usize): void {
  let k = 0
  for (; k + 4 <= kc; k += 4) {
    const from = source + <usize>k * stride
    const to = target + ((<usize>k) << 2)
    let i = 0
    for (; i + 4 <= rows; i += 4) transpose4(from + ((<usize>i) << 2), stride, to + <usize>i * out, out)
    for (; i < rows; i++) {
      for (let j: usize = 0; j < 4; j++) store<f32>(to + <usize>i * out + (j << 2), load<f32>(from + j * stride + ((<usize>i) << 2)))
    }
  }
  for (; k < kc; k++) {
    const from = source + <usize>k * stride
    for (let i = 0; i < rows; i++) store<f32>(target + <usize>i * out + ((<usize>k) << 2), load<f32>(from + ((<usize>i) << 2)))
  }
}

/** Four halves at p as floats, exactly: subnormals, infinities and NaN too. */
// @ts-ignore: decorator
@inline
function halves(p: usize): v128 {
  const h = v128.load_ext<u16>(p)
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16)
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13)
  // As an f32 it is too small by 2^112, a power of two: exact, and it mends subnormals too.
  const scaled = f32x4.mul(magnitude, i32x4.splat(0x77800000))
  const special = i32x4.ge_s(magnitude, i32x4.splat(0x0f800000)) // exponent 31
  return v128.or(sign, v128.or(scaled, v128.and(special, i32x4.splat(0x7f800000))))
}

// @ts-ignore: decorator
@inline
export function four(source: usize, type: i32): v128 {
  if (type == FileType.F32) return v128.load(source)
  if (type == FileType.F16) return halves(source)
  return i32x4.shl(v128.load_ext<u16>(source), 16)
}

// @ts-ignore: decorator
@inline
export function one(source: usize, type: i32): f32 {
  if (type == FileType.F32) return load<f32>(source)
  if (type == FileType.BF16) return reinterpret<f32>((<i32>load<u16>(source)) << 16)
  const h = <i32>load<u16>(source)
  const magnitude = (h & 0x7fff) << 13
  const scaled = reinterpret<i32>(reinterpret<f32>(magnitude) * reinterpret<f32>(0x77800000))
  return reinterpret<f32>(((h & 0x8000) << 16) | scaled | (magnitude >= 0x0f800000 ? 0x7f800000 : 0))
}

/** Converts `count` elements in order. */
function convert(source: usize, type: i32, target: usize, count: i32): void {
  const size: usize = type == FileType.F32 ? 4 : 2
  let i = 0
  for (; i + 4 <= count; i += 4) v128.store(target + ((<usize>i) << 2), four(source + <usize>i * size, type))
  for (; i < count; i++) store<f32>(target + ((<usize>i) << 2), one(source + <usize>i * size, type))
}

/** Rows row0..row0+rows-1 of a file's matrix [..][K], which start at `source`, into a weight's layout at `target`. */
export function packRows(source: usize, type: i32, target: usize, row0: i32, rows: i32, k: i32, mode: i32): void {
  const size: usize = type == FileType.F32 ? 4 : 2
  const stride = <usize>k * size
  if (mode == TableMode.Rows) {
    convert(source, type, target + ((<usize>row0 * <usize>k) << 2), rows * k)
    return
  }
  for (let i = 0; i < rows;) {
    const row = row0 + i
    const lane = row & 7
    const from = source + <usize>i * stride
    let to = target + ((<usize>(row >> 3) * <usize>k) << 5) + ((<usize>lane) << 2)
    if ((lane & 3) == 0 && i + 4 <= rows) {
      let j = 0
      for (; j + 4 <= k; j += 4, to += 128) {
        const p = from + <usize>j * size
        const a = four(p, type)
        const b = four(p + stride, type)
        const d = four(p + 2 * stride, type)
        const e = four(p + 3 * stride, type)
        const ab = zipLow(a, b)
        const de = zipLow(d, e)
        const ab2 = zipHigh(a, b)
        const de2 = zipHigh(d, e)
        v128.store(to, lowHalves(ab, de))
        v128.store(to, highHalves(ab, de), 32)
        v128.store(to, lowHalves(ab2, de2), 64)
        v128.store(to, highHalves(ab2, de2), 96)
      }
      for (; j < k; j++, to += 32) {
        for (let r: usize = 0; r < 4; r++) store<f32>(to + (r << 2), one(from + r * stride + <usize>j * size, type))
      }
      i += 4
    } else {
      for (let j = 0; j < k; j++, to += 32) store<f32>(to, one(from + <usize>j * size, type))
      i++
    }
  }
}

/** The inverse of packRows, to f32 rows at `target`. */
export function unpackRows(source: usize, target: usize, row0: i32, rows: i32, k: i32, mode: i32): void {
  if (mode == TableMode.Rows) {
    memory.copy(target, source + ((<usize>row0 * <usize>k) << 2), (<usize>rows * <usize>k) << 2)
    return
  }
  for (let i = 0; i < rows; i++) {
    const row = row0 + i
    let from = source + ((<usize>(row >> 3) * <usize>k) << 5) + ((<usize>(row & 7)) << 2)
    const to = target + ((<usize>i * <usize>k) << 2)
    for (let j = 0; j < k; j++, from += 32) store<f32>(to + ((<usize>j) << 2), load<f32>(from))
  }
}
