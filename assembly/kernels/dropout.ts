// Dropout: its own gradient, for the masks are drawn again.
import { GradMode } from '../abi'
import { headOf, length, mapOf, restart, seek, sequence } from '../maps'
import { countUp, drawMasks, enterMasks, headStream, keptScale, mask0, mask1, mask2, mask3, mask4, mask5, mask6, mask7 } from '../masks'
import { dim, float, mode, operand } from '../record'
import { highHalves, loadTail, lowHalves, storeTail, zipHigh, zipLow } from '../simd'
import { next } from '../threads'

/** y = or += x * kept / (1 - p) over n elements. */
function dropRow(x: usize, y: usize, n: i32, place: u32, example: u32, stream: u32, accumulate: bool): void {
  const places = i32x4.splat(<i32>place)
  for (let j = 0; j < n; j += 32, x += 128, y += 128) {
    drawMasks(countUp(j >> 2), places, countUp((j >> 2) + 4), places, example, stream)
    dropSixteen(x, y, n - j, mask0, mask1, mask2, mask3, accumulate)
    dropSixteen(x + 64, y + 64, n - j - 16, mask4, mask5, mask6, mask7, accumulate)
  }
}

/** A lane has a quarter's four columns: turned, a vector has them. */
function dropSixteen(x: usize, y: usize, n: i32, a: v128, b: v128, c: v128, d: v128, accumulate: bool): void {
  const low = zipLow(a, b)
  const low2 = zipLow(c, d)
  const high = zipHigh(a, b)
  const high2 = zipHigh(c, d)
  dropFour(x, y, n, lowHalves(low, low2), accumulate)
  dropFour(x + 16, y + 16, n - 4, highHalves(low, low2), accumulate)
  dropFour(x + 32, y + 32, n - 8, lowHalves(high, high2), accumulate)
  dropFour(x + 48, y + 48, n - 12, highHalves(high, high2), accumulate)
}

// @ts-ignore: decorator
@inline
function dropFour(x: usize, y: usize, n: i32, kept: v128, accumulate: bool): void {
  const scale = f32x4.splat(keptScale)
  if (n >= 4) {
    const value = v128.and(kept, f32x4.mul(scale, v128.load(x)))
    v128.store(y, accumulate ? f32x4.add(v128.load(y), value) : value)
  } else if (n > 0) {
    const value = v128.and(kept, f32x4.mul(scale, loadTail(x, n)))
    storeTail(y, accumulate ? f32x4.add(loadTail(y, n), value) : value, n)
  }
}

export function dropout(r: usize): void {
  const rows = dim(r, 0)
  const n = dim(r, 1)
  const stream = <u32>dim(r, 2)
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  enterMasks(operand(r, 4), float(r, 0))
  for (let i = next(); i < rows; i = next()) {
    const at = (<usize>i * <usize>n) << 2
    const example = load<u32>(operand(r, 2) + ((<usize>i) << 2))
    const place = load<u32>(operand(r, 3) + ((<usize>i) << 2))
    dropRow(operand(r, 0) + at, operand(r, 1) + at, n, place, example, stream, accumulate)
  }
}

/** Over attention maps, [seq][head][len][len]. */
export function dropoutMaps(r: usize): void {
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  enterMasks(operand(r, 4), float(r, 0))
  restart()
  for (let unit = next(); seek(unit, dim(r, 0), dim(r, 1), operand(r, 2)); unit = next()) {
    const example = load<u32>(operand(r, 3) + ((<usize>sequence) << 2))
    const stream = headStream(dim(r, 3), headOf(unit))
    for (let i = 0; i < length; i++) {
      const at = mapOf(unit) + ((<usize>(i * length)) << 2)
      dropRow(operand(r, 0) + at, operand(r, 1) + at, length, <u32>i, example, stream, accumulate)
    }
  }
}
