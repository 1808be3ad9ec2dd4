// Numbers in 8 bits and in 7. A weight [N][K] lies in panels of 8 rows, each row with a scale of its own; activations are counted from the
// least of their row, in steps of 1/127 of its span.
//
//     panel:  | 8 scales f32 | 8 sums f32 (of each row's integers) | [K/4][8][4] s8 |      K and N padded with zeros
//     row:    | step f32 | least f32 | [K] u7 |                                            K padded to a multiple of 4
import { FileType } from '../abi'
import { dim, operand, scratch } from '../record'
import { next } from '../threads'
import { four, one } from './pack'

/** Bytes before the integers of a panel, and of a row. */
export const PANEL_HEAD: usize = 64
export const ROW_HEAD: usize = 8

/** Columns as they are stored. */
// @ts-ignore: decorator
@inline
export function padded(k: i32): i32 {
  return (k + 3) & ~3
}

/** Bytes from a panel to the next. */
// @ts-ignore: decorator
@inline
export function panelBytes(k: i32): usize {
  return PANEL_HEAD + ((<usize>padded(k)) << 3)
}

// From memory: V8 makes a constant anew in every round of a loop. The largest step; what leaves a number below 2^22 whole in its low bits
// when it is added; and those bits.
const CONSTANTS = memory.data<f32>([127, 8388608])
const BITS = memory.data<i32>([127])

export function quantize(r: usize): void {
  const rows = dim(r, 0)
  const k = dim(r, 1)
  const x = operand(r, 0)
  const y = operand(r, 1)
  const by = operand(r, 2)
  const rowBytes = ROW_HEAD + <usize>padded(k)
  const units = (rows + 3) >> 2
  for (let unit = next(); unit < units; unit = next()) {
    for (let i = unit << 2; i < min(rows, (unit << 2) + 4); i++) {
      const row = x + ((<usize>i * <usize>k) << 2)
      quantizeRow(by ? scaled(row, by, k) : row, k, y + <usize>i * rowBytes)
    }
  }
}

/** A row times a vector, in scratch, which holds rows of any model. */
function scaled(x: usize, by: usize, k: i32): usize {
  const end = (<usize>k) << 2
  let j: usize = 0
  for (; j + 16 <= end; j += 16) v128.store(scratch() + j, f32x4.mul(v128.load(x + j), v128.load(by + j)))
  for (; j < end; j += 4) store<f32>(scratch() + j, load<f32>(x + j) * load<f32>(by + j))
  return scratch()
}

/** A constant row has step 0 and is exact. Numbers up to the largest give no NaN; a NaN makes the step one. */
function quantizeRow(x: usize, k: i32, y: usize): void {
  let low = v128.load32_splat(x)
  let high = low
  let low2 = low
  let high2 = low
  let odd = i32x4.splat(0)
  const whole = (<usize>(k & ~7)) << 2
  const end = (<usize>k) << 2
  for (let j: usize = 0; j < whole; j += 32) {
    const v = v128.load(x + j)
    const w = v128.load(x + j, 16)
    low = f32x4.pmin(low, v)
    high = f32x4.pmax(high, v)
    low2 = f32x4.pmin(low2, w)
    high2 = f32x4.pmax(high2, w)
    // Unordered with itself: a NaN.
    odd = v128.or(odd, f32x4.ne(v, v))
    odd = v128.or(odd, f32x4.ne(w, w))
  }
  low = f32x4.pmin(low, low2)
  high = f32x4.pmax(high, high2)
  for (let j = whole; j < end; j += 4) {
    const v = v128.load32_splat(x + j)
    low = f32x4.pmin(low, v)
    high = f32x4.pmax(high, v)
    odd = v128.or(odd, f32x4.ne(v, v))
  }
  low = f32x4.pmin(low, v128.shuffle<f32>(low, low, 2, 3, 0, 1))
  high = f32x4.pmax(high, v128.shuffle<f32>(high, high, 2, 3, 0, 1))
  const least = min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1))
  const most = max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1))
  // Each divided first: the span itself may be past the largest number.
  let step: f32 = most / 127 - least / 127
  if (step <= 1e-37) step = 0
  const inverse: f32 = step == 0 ? 0 : 1 / step
  store<f32>(y, v128.any_true(odd) ? f32.NaN : step)
  store<f32>(y, least, 4)
  y += ROW_HEAD

  const from = f32x4.splat(least)
  const by = f32x4.splat(inverse)
  const most7 = v128.load32_splat(CONSTANTS)
  const round = v128.load32_splat(CONSTANTS, 4)
  const bits = v128.load32_splat(BITS)
  let j: usize = 0
  for (; j + 64 <= end; j += 64, y += 16) {
    const a = i16x8.narrow_i32x4_s(
      steps(v128.load(x + j), from, by, most7, round, bits),
      steps(v128.load(x + j, 16), from, by, most7, round, bits),
    )
    const b = i16x8.narrow_i32x4_s(
      steps(v128.load(x + j, 32), from, by, most7, round, bits),
      steps(v128.load(x + j, 48), from, by, most7, round, bits),
    )
    v128.store(y, i8x16.narrow_i16x8_u(a, b))
  }
  if (j == end) return
  memory.fill(y, 0, ((end - j + 15) >> 4) << 2)
  for (; j < end; j += 4, y++) store<u8>(y, <u8>i32x4.extract_lane(steps(v128.load32_splat(x + j), from, by, most7, round, bits), 0))
}

/** Four numbers as whole steps from `from`, 0..127. */
// @ts-ignore: decorator
@inline
function steps(x: v128, from: v128, by: v128, most: v128, round: v128, bits: v128): v128 {
  return v128.and(f32x4.add(f32x4.pmin(f32x4.mul(f32x4.sub(x, from), by), most), round), bits)
}

/**
 * Rows row0..row0+rows-1 of a file's matrix [..][K], which start at `source`, into the panels at `target`: the largest of a row is 127.
 * Rows of integers are taken as they are, and their scales are the host's to write.
 */
export function quantizeRows(source: usize, type: i32, target: usize, row0: i32, rows: i32, k: i32): void {
  const size: usize = type == FileType.F32 ? 4 : type == FileType.I8 ? 1 : 2
  for (let i = 0; i < rows; i++) {
    const row = row0 + i
    const from = source + <usize>i * <usize>k * size
    const head = target + <usize>(row >> 3) * panelBytes(k) + ((<usize>(row & 7)) << 2)
    store<f32>(head, <f32>(type == FileType.I8 ? takeRow(from, head, k) : scaleRow(from, type, head, k)), 32)
  }
}

/** Bytes j, j + 4, .. of a row's place in its panel: groups of four lie 32 bytes apart. */
// @ts-ignore: decorator
@inline
function spread(to: usize, bytes: v128): void {
  v128.store_lane<i32>(to, bytes, 0)
  v128.store_lane<i32>(to, bytes, 1, 32)
  v128.store_lane<i32>(to, bytes, 2, 64)
  v128.store_lane<i32>(to, bytes, 3, 96)
}

/** The sum of the lanes. */
// @ts-ignore: decorator
@inline
function total(sums: v128): i32 {
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3)
}

/** A row of integers into its panel; their sum. */
function takeRow(from: usize, head: usize, k: i32): i32 {
  let to = head + PANEL_HEAD
  let sums = i32x4.splat(0)
  let j = 0
  for (; j + 16 <= k; j += 16, to += 128) {
    const bytes = v128.load(from + <usize>j)
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(bytes)))
    spread(to, bytes)
  }
  let sum = total(sums)
  for (; j < k; j++) {
    const q = load<i8>(from + <usize>j)
    sum += q
    store<i8>(head + PANEL_HEAD + ((<usize>(j & ~3)) << 3) + <usize>(j & 3), q)
  }
  return sum
}

/** A row of numbers into its panel, and its scale; the sum of what they became. */
function scaleRow(from: usize, type: i32, head: usize, k: i32): i32 {
  const size: usize = type == FileType.F32 ? 4 : 2
  const whole = k & ~3
  let sizes = f32x4.splat(0)
  for (let j = 0; j < whole; j += 4) sizes = f32x4.max(sizes, f32x4.abs(four(from + <usize>j * size, type)))
  for (let j = whole; j < k; j++) sizes = f32x4.max(sizes, f32x4.splat(abs(one(from + <usize>j * size, type))))
  sizes = f32x4.max(sizes, v128.shuffle<f32>(sizes, sizes, 2, 3, 0, 1))
  const most = max(f32x4.extract_lane(sizes, 0), f32x4.extract_lane(sizes, 1))
  // A row of zeros has some scale that is none: files may hold no other.
  const scale: f32 = most < 1e-35 ? 1 : most / 127
  const inverse: f32 = most < 1e-35 ? 0 : 127 / most
  store<f32>(head, scale)
  const by = f32x4.splat(inverse)
  let to = head + PANEL_HEAD
  let sums = i32x4.splat(0)
  let j = 0
  for (; j + 16 <= k; j += 16, to += 128) {
    const p = from + <usize>j * size
    const a = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(four(p, type), by)))
    const b = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(four(p + 4 * size, type), by)))
    const d = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(four(p + 8 * size, type), by)))
    const e = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(four(p + 12 * size, type), by)))
    sums = i32x4.add(sums, i32x4.add(i32x4.add(a, b), i32x4.add(d, e)))
    spread(to, i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(d, e)))
  }
  let sum = total(sums)
  for (; j < k; j++) {
    const q = <i32>nearest(one(from + <usize>j * size, type) * inverse)
    sum += q
    store<i8>(head + PANEL_HEAD + ((<usize>(j & ~3)) << 3) + <usize>(j & 3), <i8>q)
  }
  return sum
}

/** target[k][0..7] = W[k0 + k][n0 + 0..7] of a W [K][N] in panels of 8 bits, n0 a multiple of 8; zeros beyond N. */
export function packPanel8Transposed(panels: usize, n: i32, n0: i32, k0: i32, kc: i32, target: usize): void {
  // Columns are padded to 4 only.
  const second = n0 + 4 < padded(n)
  for (let k = 0; k < kc; k++, target += 32) {
    const row = k0 + k
    const head = panels + <usize>(row >> 3) * panelBytes(n) + ((<usize>(row & 7)) << 2)
    const from = head + PANEL_HEAD + ((<usize>n0) << 3)
    const scale = v128.load32_splat(head)
    v128.store(target, f32x4.mul(four8(from), scale))
    v128.store(target, second ? f32x4.mul(four8(from + 32), scale) : f32x4.splat(0), 16)
  }
}

/** Four bytes as numbers. */
// @ts-ignore: decorator
@inline
function four8(from: usize): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from))))
}

/** The values of rows row0..row0+rows-1, as f32 rows at `target`. */
export function dequantizeRows(source: usize, target: usize, row0: i32, rows: i32, k: i32): void {
  for (let i = 0; i < rows; i++) {
    const row = row0 + i
    const head = source + <usize>(row >> 3) * panelBytes(k) + ((<usize>(row & 7)) << 2)
    const scale = load<f32>(head)
    for (let j = 0; j < k; j++, target += 4) {
      store<f32>(target, <f32>load<i8>(head + PANEL_HEAD + ((<usize>(j & ~3)) << 3) + <usize>(j & 3)) * scale)
    }
  }
}
