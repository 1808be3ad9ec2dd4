// Losses of logits: cross-entropy over rows and over spans of rows, and the elementwise ones. A label of -100 does not count.
import { ElementLoss, GradMode } from '../abi'
import { exp, exp1, log, log1, sigmoid } from '../math'
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

/** Cross-entropy whose classes are the rows of a span, in one column: an answer's start among a text's tokens, the right one of some choices. */
export function spanCrossEntropy(r: usize): void {
  const spans = dim(r, 0)
  const stride = (<usize>dim(r, 2)) << 2
  const x = operand(r, 0) + ((<usize>dim(r, 3)) << 2)
  for (let i = next(); i < spans; i = next()) {
    const at = (<usize>i) << 2
    const start = load<i32>(operand(r, 1) + at)
    const end = load<i32>(operand(r, 2) + at)
    const label = load<i32>(operand(r, 3) + at)
    assert(0 <= start && start < end && end <= dim(r, 1))
    assert(label == IGNORED || <u32>label < <u32>(end - start))
    let most = load<f32>(x + <usize>start * stride)
    for (let t = start + 1; t < end; t++) most = max(most, load<f32>(x + <usize>t * stride))
    let total: f32 = 0
    for (let t = start; t < end; t++) total += exp1(load<f32>(x + <usize>t * stride) - most)
    const lse: f32 = most + log1(total)
    store<f32>(operand(r, 5) + at, lse)
    store<f32>(operand(r, 4) + at, label == IGNORED ? 0 : lse - load<f32>(x + <usize>(start + label) * stride))
  }
}

export function spanCrossEntropyGrad(r: usize): void {
  const spans = dim(r, 0)
  const stride = (<usize>dim(r, 2)) << 2
  const column = (<usize>dim(r, 3)) << 2
  const x = operand(r, 0) + column
  const dx = operand(r, 6) + column
  const scale = load<f32>(operand(r, 5))
  for (let i = next(); i < spans; i = next()) {
    const at = (<usize>i) << 2
    const label = load<i32>(operand(r, 3) + at)
    if (label == IGNORED) continue
    const start = load<i32>(operand(r, 1) + at)
    const end = load<i32>(operand(r, 2) + at)
    const lse = load<f32>(operand(r, 4) + at)
    for (let t = start; t < end; t++) {
      const p: f32 = exp1(load<f32>(x + <usize>t * stride) - lse)
      const to = dx + <usize>t * stride
      store<f32>(to, load<f32>(to) + scale * (t - start == label ? p - 1 : p))
    }
  }
}

/** One element's loss on four lanes. */
// @ts-ignore: decorator
@inline
function elementLossOf(kind: i32, x: v128, t: v128): v128 {
  if (kind == ElementLoss.Squared) {
    const d = f32x4.sub(x, t)
    return f32x4.mul(d, d)
  }
  if (!isDefined(INFERENCE) && kind == ElementLoss.Hinge) return f32x4.max(f32x4.add(x, t), f32x4.splat(0))
  // max(x, 0) - x t + log(1 + e^-|x|): no overflow on either side.
  const one = f32x4.splat(1)
  const rest = log(f32x4.add(one, exp(f32x4.neg(f32x4.abs(x)))))
  return f32x4.add(f32x4.sub(f32x4.max(x, f32x4.splat(0)), f32x4.mul(x, t)), rest)
}

// @ts-ignore: decorator
@inline
function elementSlope(kind: i32, x: v128, t: v128): v128 {
  if (kind == ElementLoss.Squared) return f32x4.mul(f32x4.splat(2), f32x4.sub(x, t))
  if (kind == ElementLoss.Hinge) return v128.and(f32x4.gt(f32x4.add(x, t), f32x4.splat(0)), f32x4.splat(1))
  return f32x4.sub(sigmoid(x), t)
}

/** y = loss(x, target). Heads have few outputs: one unit a row. */
export function elementLoss(r: usize): void {
  const rows = dim(r, 0)
  const n = dim(r, 1)
  const kind = mode(r) & ElementLoss.Mask
  for (let i = next(); i < rows; i = next()) {
    const row = (<usize>i * <usize>n) << 2
    let x = operand(r, 0) + row
    let t = operand(r, 1) + row
    let y = operand(r, 2) + row
    for (let left = n; left > 0; left -= 4, x += 16, t += 16, y += 16) {
      const whole = left >= 4
      const loss = elementLossOf(kind, whole ? v128.load(x) : loadTail(x, left), whole ? v128.load(t) : loadTail(t, left))
      if (whole) v128.store(y, loss)
      else storeTail(y, loss, left)
    }
  }
}

export function elementLossGrad(r: usize): void {
  const rows = dim(r, 0)
  const n = dim(r, 1)
  const kind = mode(r) & ElementLoss.Mask
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  const scale = f32x4.splat(load<f32>(operand(r, 2)))
  const rest = n & 3
  for (let i = next(); i < rows; i = next()) {
    const row = (<usize>i * <usize>n) << 2
    let x = operand(r, 0) + row
    let t = operand(r, 1) + row
    let dx = operand(r, 3) + row
    for (const end = x + ((<usize>(n & ~3)) << 2); x < end; x += 16, t += 16, dx += 16) {
      const g = f32x4.mul(scale, elementSlope(kind, v128.load(x), v128.load(t)))
      v128.store(dx, accumulate ? f32x4.add(v128.load(dx), g) : g)
    }
    if (rest) {
      const g = f32x4.mul(scale, elementSlope(kind, loadTail(x, rest), loadTail(t, rest)))
      storeTail(dx, accumulate ? f32x4.add(loadTail(dx, rest), g) : g, rest)
    }
  }
}
