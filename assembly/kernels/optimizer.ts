// AdamW in place, as torch.optim.AdamW computes it, and what a gradient's norm is summed from. Elementwise, so layouts do not matter.
import { AdamScalar, SquaresRun } from '../abi'
import { dim, float, operand } from '../record'
import { loadTail, storeTail } from '../simd'
import { next } from '../threads'

const RUN: i32 = 4096

// The step's factors; mutable globals are per instance.
let scale: v128 = f32x4.splat(0)
let keep: v128 = f32x4.splat(0) // 1 - lr * decay
let beta1: v128 = f32x4.splat(0)
let other1: v128 = f32x4.splat(0) // 1 - beta1
let beta2: v128 = f32x4.splat(0)
let other2: v128 = f32x4.splat(0)
let root2: v128 = f32x4.splat(0) // sqrt(1 - beta2^t)
let epsilon: v128 = f32x4.splat(0)
let rate: v128 = f32x4.splat(0) // lr / (1 - beta1^t)

export function adamW(r: usize): void {
  const n = dim(r, 0) * dim(r, 1)
  const scalars = operand(r, 4) + ((<usize>(dim(r, 2) * AdamScalar.Words)) << 2)
  const lr = load<f32>(scalars, AdamScalar.LearningRate << 2)
  scale = v128.load32_splat(scalars, AdamScalar.GradientScale << 2)
  keep = f32x4.splat(1 - lr * float(r, 3))
  beta1 = f32x4.splat(float(r, 0))
  other1 = v128.load32_splat(scalars, AdamScalar.OneMinusBeta1 << 2)
  beta2 = f32x4.splat(float(r, 1))
  other2 = v128.load32_splat(scalars, AdamScalar.OneMinusBeta2 << 2)
  root2 = f32x4.splat(sqrt(load<f32>(scalars, AdamScalar.Correction2 << 2)))
  epsilon = f32x4.splat(float(r, 2))
  rate = f32x4.splat(lr / load<f32>(scalars, AdamScalar.Correction1 << 2))

  const units = (n + RUN - 1) / RUN
  const zero = f32x4.splat(0)
  for (let unit = next(); unit < units; unit = next()) {
    const at = (<usize>unit * <usize>RUN) << 2
    const count = min(RUN, n - unit * RUN)
    let p = operand(r, 0) + at
    let g = operand(r, 1) + at
    let m = operand(r, 2) + at
    let v = operand(r, 3) + at
    for (const end = p + ((<usize>(count & ~3)) << 2); p < end; p += 16, g += 16, m += 16, v += 16) {
      const slope = f32x4.mul(v128.load(g), scale)
      const first = moment1(v128.load(m), slope)
      const second = moment2(v128.load(v), slope)
      v128.store(m, first)
      v128.store(v, second)
      v128.store(p, updated(v128.load(p), first, second))
      v128.store(g, zero)
    }
    const rest = count & 3
    if (rest) {
      const slope = f32x4.mul(loadTail(g, rest), scale)
      const first = moment1(loadTail(m, rest), slope)
      const second = moment2(loadTail(v, rest), slope)
      storeTail(m, first, rest)
      storeTail(v, second, rest)
      storeTail(p, updated(loadTail(p, rest), first, second), rest)
      storeTail(g, zero, rest)
    }
  }
}

// @ts-ignore: decorator
@inline
function moment1(m: v128, g: v128): v128 {
  return f32x4.add(f32x4.mul(beta1, m), f32x4.mul(other1, g))
}

// @ts-ignore: decorator
@inline
function moment2(v: v128, g: v128): v128 {
  return f32x4.add(f32x4.mul(beta2, v), f32x4.mul(f32x4.mul(other2, g), g))
}

// @ts-ignore: decorator
@inline
function updated(p: v128, m: v128, v: v128): v128 {
  const denominator = f32x4.add(f32x4.div(f32x4.sqrt(v), root2), epsilon)
  return f32x4.sub(f32x4.mul(p, keep), f32x4.mul(rate, f32x4.div(m, denominator)))
}

/** In double a square of an f32 is exact, and a run's sum is good to 2^-40 before it is rounded. */
export function squares(r: usize): void {
  const n = dim(r, 0) * dim(r, 1)
  const units = (n + SquaresRun.Length - 1) / SquaresRun.Length
  for (let unit = next(); unit < units; unit = next()) {
    let x = operand(r, 0) + ((<usize>unit * <usize>SquaresRun.Length) << 2)
    const count = min<i32>(SquaresRun.Length, n - unit * SquaresRun.Length)
    // Four chains hide the latency of the additions.
    let a = f64x2.splat(0)
    let b = f64x2.splat(0)
    let c = f64x2.splat(0)
    let d = f64x2.splat(0)
    for (const end = x + ((<usize>(count & ~7)) << 2); x < end; x += 32) {
      const low = v128.load(x)
      const high = v128.load(x, 16)
      a = f64x2.add(a, squaresLow(low))
      b = f64x2.add(b, squaresLow(upper(low)))
      c = f64x2.add(c, squaresLow(high))
      d = f64x2.add(d, squaresLow(upper(high)))
    }
    const sums = f64x2.add(f64x2.add(a, b), f64x2.add(c, d))
    let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1)
    for (let i = 0; i < (count & 7); i++, x += 4) {
      const value = <f64>load<f32>(x)
      sum += value * value
    }
    store<f32>(operand(r, 1) + ((<usize>unit) << 2), <f32>sum)
  }
}

// @ts-ignore: decorator
@inline
function squaresLow(x: v128): v128 {
  const wide = f64x2.promote_low_f32x4(x)
  return f64x2.mul(wide, wide)
}

// @ts-ignore: decorator
@inline
function upper(x: v128): v128 {
  return v128.shuffle<i64>(x, x, 1, 1)
}
