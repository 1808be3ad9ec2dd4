// Scores of two matrices' rows, one by one: products and distances.
import { GradMode, Pair } from '../abi'
import { dim, float, mode, operand } from '../record'
import { fma, sumLanes } from '../simd'
import { next } from '../threads'

export function pairwise(r: usize): void {
  const rows = dim(r, 0)
  const h = dim(r, 1)
  const kind = mode(r) & Pair.Mask
  const row = (<usize>h) << 2
  for (let i = next(); i < rows; i = next()) {
    const at = <usize>i * row
    const score = scoreOf(kind, operand(r, 0) + at, operand(r, 1) + at, h)
    store<f32>(operand(r, 2) + ((<usize>i) << 2), float(r, 0) * score)
  }
}

function scoreOf(kind: i32, a: usize, b: usize, h: i32): f32 {
  const whole = (<usize>(h & ~3)) << 2
  const end = (<usize>h) << 2
  let sums = f32x4.splat(0)
  let j: usize = 0
  for (; j < whole; j += 16) {
    const x = v128.load(a + j)
    const y = v128.load(b + j)
    const d = f32x4.sub(x, y)
    if (kind == Pair.Dot) sums = fma(x, y, sums)
    else if (kind == Pair.Euclidean) sums = fma(d, d, sums)
    else sums = f32x4.add(sums, f32x4.abs(d))
  }
  let total = sumLanes(sums)
  for (; j < end; j += 4) {
    const d = load<f32>(a + j) - load<f32>(b + j)
    total += kind == Pair.Dot ? load<f32>(a + j) * load<f32>(b + j) : kind == Pair.Euclidean ? d * d : abs(d)
  }
  return kind == Pair.Euclidean ? sqrt(total) : total
}

/** da = scale * dy * (b, or the difference by its length, or its signs); nothing where a distance is 0. */
export function pairwiseGrad(r: usize): void {
  const rows = dim(r, 0)
  const h = dim(r, 1)
  const kind = mode(r) & Pair.Mask
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  const row = (<usize>h) << 2
  for (let i = next(); i < rows; i = next()) {
    const at = <usize>i * row
    const a = operand(r, 0) + at
    const b = operand(r, 1) + at
    const da = operand(r, 3) + at
    let by: f32 = float(r, 0) * load<f32>(operand(r, 2) + ((<usize>i) << 2))
    if (kind == Pair.Euclidean) {
      const length = scoreOf(kind, a, b, h)
      by = length > 0 ? by / length : 0
    }
    const factor = f32x4.splat(by)
    const whole = (<usize>(h & ~3)) << 2
    let j: usize = 0
    for (; j < whole; j += 16) {
      const y = v128.load(b + j)
      const d = f32x4.sub(v128.load(a + j), y)
      const g = f32x4.mul(factor, kind == Pair.Dot ? y : kind == Pair.Euclidean ? d : signs(d))
      v128.store(da + j, accumulate ? f32x4.add(v128.load(da + j), g) : g)
    }
    for (; j < row; j += 4) {
      const d = load<f32>(a + j) - load<f32>(b + j)
      const g = by * (kind == Pair.Dot ? load<f32>(b + j) : kind == Pair.Euclidean ? d : d > 0 ? 1 : d < 0 ? -1 : 0)
      store<f32>(da + j, accumulate ? load<f32>(da + j) + g : g)
    }
  }
}

/** 1, 0 or -1. */
// @ts-ignore: decorator
@inline
function signs(x: v128): v128 {
  const zero = f32x4.splat(0)
  const one = f32x4.splat(1)
  return f32x4.sub(v128.and(f32x4.gt(x, zero), one), v128.and(f32x4.lt(x, zero), one))
}
