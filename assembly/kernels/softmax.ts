// Rows of attention maps, P [sequence][head][length][length], and their gradient.
import { GradMode } from '../abi'
import { exp } from '../math'
import { length, mapOf, restart, seek } from '../maps'
import { dim, mode, operand } from '../record'
import { fma, loadTail, storeTail, sumLanes } from '../simd'
import { next } from '../threads'

export function softmax(r: usize): void {
  const x = operand(r, 0)
  const y = operand(r, 1)
  restart()
  for (let unit = next(); seek(unit, dim(r, 0), dim(r, 1), operand(r, 2)); unit = next()) {
    const map = mapOf(unit)
    for (let i = 0; i < length; i++) {
      const at = map + ((<usize>(i * length)) << 2)
      softmaxRow(x + at, y + at, length)
    }
  }
}

/** One row. Lanes of a tail are kept out of maximum and sum. */
function softmaxRow(x: usize, y: usize, n: i32): void {
  let most = load<f32>(x)
  for (let j = 1; j < n; j++) most = max(most, load<f32>(x + ((<usize>j) << 2)))
  const high = f32x4.splat(most)
  let sums = f32x4.splat(0)
  let j = 0
  for (; j + 4 <= n; j += 4) {
    const at = (<usize>j) << 2
    const e = exp(f32x4.sub(v128.load(x + at), high))
    v128.store(y + at, e)
    sums = f32x4.add(sums, e)
  }
  const rest = n - j
  let total = sumLanes(sums)
  if (rest) {
    const at = (<usize>j) << 2
    storeTail(y + at, exp(f32x4.sub(loadTail(x + at, rest), high)), rest)
    for (let i = j; i < n; i++) total += load<f32>(y + ((<usize>i) << 2))
  }
  const by = f32x4.splat(1 / total)
  for (j = 0; j + 4 <= n; j += 4) v128.store(y + ((<usize>j) << 2), f32x4.mul(v128.load(y + ((<usize>j) << 2)), by))
  if (rest) storeTail(y + ((<usize>j) << 2), f32x4.mul(loadTail(y + ((<usize>j) << 2), rest), by), rest)
}

/** dX = P * (dP - sum(P * dP)) by rows. */
export function softmaxGrad(r: usize): void {
  const p = operand(r, 0)
  const dp = operand(r, 1)
  const dx = operand(r, 2)
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  restart()
  for (let unit = next(); seek(unit, dim(r, 0), dim(r, 1), operand(r, 3)); unit = next()) {
    const map = mapOf(unit)
    for (let i = 0; i < length; i++) {
      const at = map + ((<usize>(i * length)) << 2)
      softmaxGradRow(p + at, dp + at, dx + at, length, accumulate)
    }
  }
}

function softmaxGradRow(p: usize, dp: usize, dx: usize, n: i32, accumulate: bool): void {
  let sums = f32x4.splat(0)
  let j = 0
  for (; j + 4 <= n; j += 4) sums = fma(v128.load(p + ((<usize>j) << 2)), v128.load(dp + ((<usize>j) << 2)), sums)
  const rest = n - j
  if (rest) sums = fma(loadTail(p + ((<usize>j) << 2), rest), loadTail(dp + ((<usize>j) << 2), rest), sums)
  const dot = f32x4.splat(sumLanes(sums))
  for (j = 0; j + 4 <= n; j += 4) {
    const at = (<usize>j) << 2
    const g = f32x4.mul(v128.load(p + at), f32x4.sub(v128.load(dp + at), dot))
    v128.store(dx + at, accumulate ? f32x4.add(v128.load(dx + at), g) : g)
  }
  if (rest) {
    const at = (<usize>j) << 2
    const g = f32x4.mul(loadTail(p + at, rest), f32x4.sub(loadTail(dp + at, rest), dot))
    storeTail(dx + at, accumulate ? f32x4.add(loadTail(dx + at, rest), g) : g, rest)
  }
}
