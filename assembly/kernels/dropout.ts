// Dropout: a mask is drawn from what it stands for, (seed, step, op, example, position), so it is never stored: the backward pass draws it again.
import { GradMode } from '../abi'
import { headOf, length, mapOf, restart, seek, sequence } from '../maps'
import { philox } from '../random'
import { dim, float, mode, operand } from '../record'
import { loadTail, storeTail } from '../simd'
import { next } from '../threads'

/** y = or += x * kept / (1 - p) over n elements. Columns go four to a counter: (column / 4, place, example, stream), keyed by (seed, step). */
function dropRow(x: usize, y: usize, n: i32, place: u32, example: u32, stream: u32, seeds: usize, p: f32, accumulate: bool): void {
  const threshold = i32x4.splat(<i32>(<u32>(<f64>p * 4294967296.0)))
  const scale = f32x4.splat(1 / (1 - p))
  const seed = load<u32>(seeds)
  const step = load<u32>(seeds, 4)
  for (let j = 0; j < n; j += 4, x += 16, y += 16) {
    const kept = i32x4.ge_u(philox(<u32>(j >> 2), place, example, stream, seed, step), threshold)
    const rest = min(4, n - j)
    const value = v128.and(kept, f32x4.mul(scale, rest == 4 ? v128.load(x) : loadTail(x, rest)))
    if (rest == 4) v128.store(y, accumulate ? f32x4.add(v128.load(y), value) : value)
    else storeTail(y, accumulate ? f32x4.add(loadTail(y, rest), value) : value, rest)
  }
}

export function dropout(r: usize): void {
  const rows = dim(r, 0)
  const n = dim(r, 1)
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  for (let i = next(); i < rows; i = next()) {
    const at = (<usize>i * <usize>n) << 2
    const example = load<u32>(operand(r, 2) + ((<usize>i) << 2))
    const place = load<u32>(operand(r, 3) + ((<usize>i) << 2))
    dropRow(operand(r, 0) + at, operand(r, 1) + at, n, place, example, <u32>dim(r, 2), operand(r, 4), float(r, 0), accumulate)
  }
}

/** Over attention maps: the place is the query's, and each head has a stream of its own. */
export function dropoutMaps(r: usize): void {
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  restart()
  for (let unit = next(); seek(unit, dim(r, 0), dim(r, 1), operand(r, 2)); unit = next()) {
    const example = load<u32>(operand(r, 3) + ((<usize>sequence) << 2))
    const stream = (<u32>dim(r, 3)) | ((<u32>(headOf(unit) + 1)) << 16)
    for (let i = 0; i < length; i++) {
      const at = mapOf(unit) + ((<usize>(i * length)) << 2)
      dropRow(operand(r, 0) + at, operand(r, 1) + at, length, <u32>i, example, stream, operand(r, 4), float(r, 0), accumulate)
    }
  }
}
