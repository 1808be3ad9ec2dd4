// Cross-entropy over rows of logits; a label of -100 does not count.
import { GradMode } from '../abi'
import { exp, log1 } from '../math'
import { dim, mode, operand } from '../record'
import { loadTail, storeTail, sumLanes } from '../simd'
import { next } from '../threads'

const IGNORED: i32 = -100

export function crossEntropy(r: usize): void {
  const rows = dim(r, 0)
  const classes = dim(r, 1)
  for (let i = next(); i < rows; i = next()) {
    const x = operand(r, 0) + ((<usize>i * <usize>classes) << 2)
    const label = load<i32>(operand(r, 1) + ((<usize>i) << 2))
    assert(label == IGNORED || <u32>label < <u32>classes)
    const lse = logSumExp(x, classes)
    store<f32>(operand(r, 3) + ((<usize>i) << 2), lse)
    store<f32>(operand(r, 2) + ((<usize>i) << 2), label == IGNORED ? 0 : lse - load<f32>(x + ((<usize>label) << 2)))
  }
}

function logSumExp(x: usize, n: i32): f32 {
  let most = load<f32>(x)
  for (let j = 1; j < n; j++) most = max(most, load<f32>(x + ((<usize>j) << 2)))
  const high = f32x4.splat(most)
  let sums = f32x4.splat(0)
  let j: usize = 0
  for (const whole = (<usize>(n & ~3)) << 2; j < whole; j += 16) sums = f32x4.add(sums, exp(f32x4.sub(v128.load(x + j), high)))
  let total = sumLanes(sums)
  const rest = n & 3
  if (rest) {
    const e = exp(f32x4.sub(loadTail(x + j, rest), high))
    total += f32x4.extract_lane(e, 0)
    if (rest > 1) total += f32x4.extract_lane(e, 1)
    if (rest > 2) total += f32x4.extract_lane(e, 2)
  }
  return most + log1(total)
}

/** dx = scale * (softmax(x) - onehot(label)). */
export function crossEntropyGrad(r: usize): void {
  const rows = dim(r, 0)
  const classes = dim(r, 1)
  const scale = f32x4.splat(load<f32>(operand(r, 3)))
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  const rest = classes & 3
  for (let i = next(); i < rows; i = next()) {
    const x = operand(r, 0) + ((<usize>i * <usize>classes) << 2)
    const dx = operand(r, 4) + ((<usize>i * <usize>classes) << 2)
    const label = load<i32>(operand(r, 1) + ((<usize>i) << 2))
    if (label == IGNORED) {
      if (!accumulate) memory.fill(dx, 0, (<usize>classes) << 2)
      continue
    }
    // The label's share is taken off apart, from what stood there before.
    const place = dx + ((<usize>label) << 2)
    const own: f32 = accumulate ? load<f32>(place) : 0
    const lse = v128.load32_splat(operand(r, 2) + ((<usize>i) << 2))
    let j: usize = 0
    for (const whole = (<usize>(classes & ~3)) << 2; j < whole; j += 16) {
      const g = f32x4.mul(scale, exp(f32x4.sub(v128.load(x + j), lse)))
      v128.store(dx + j, accumulate ? f32x4.add(v128.load(dx + j), g) : g)
    }
    if (rest) {
      const g = f32x4.mul(scale, exp(f32x4.sub(loadTail(x + j, rest), lse)))
      storeTail(dx + j, accumulate ? f32x4.add(loadTail(dx + j, rest), g) : g, rest)
    }
    const p = f32x4.extract_lane(exp(f32x4.splat(load<f32>(x + ((<usize>label) << 2)) - f32x4.extract_lane(lse, 0))), 0)
    store<f32>(place, own + f32x4.extract_lane(scale, 0) * (p - 1))
  }
}
