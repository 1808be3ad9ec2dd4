// One element at a time, four at once. A unit is a run of elements, so that the atomic costs nothing.
import { Activation, GradMode } from '../abi'
import { derivative, gate, gated } from '../math'
import { dim, float, mode, operand } from '../record'
import { loadTail, storeTail } from '../simd'
import { next } from '../threads'

const RUN: i32 = 4096

// @ts-ignore: decorator
@inline
function units(r: usize): i32 {
  return (dim(r, 0) * dim(r, 1) + RUN - 1) / RUN
}

/** Elements of a unit. */
// @ts-ignore: decorator
@inline
function size(r: usize, unit: i32): i32 {
  return min(RUN, dim(r, 0) * dim(r, 1) - unit * RUN)
}

// @ts-ignore: decorator
@inline
function at(r: usize, index: i32, unit: i32): usize {
  return operand(r, index) + ((<usize>unit * <usize>RUN) << 2)
}

export function activation(r: usize): void {
  for (let unit = next(); unit < units(r); unit = next()) {
    const x = at(r, 0, unit)
    const y = at(r, 1, unit)
    // What the backward pass multiplies by: no plan of inference keeps it.
    const slope = !isDefined(INFERENCE) && operand(r, 2) ? at(r, 2, unit) : 0
    const n = size(r, unit)
    switch (mode(r) & Activation.Mask) {
      case Activation.Gelu:
        activateRun(Activation.Gelu, x, y, slope, n)
        break
      case Activation.GeluTanh:
        activateRun(Activation.GeluTanh, x, y, slope, n)
        break
      case Activation.QuickGelu:
        activateRun(Activation.QuickGelu, x, y, slope, n)
        break
      case Activation.Relu:
        activateRun(Activation.Relu, x, y, slope, n)
        break
      case Activation.Silu:
        activateRun(Activation.Silu, x, y, slope, n)
        break
      case Activation.Tanh:
        activateRun(Activation.Tanh, x, y, slope, n)
        break
      default:
        activateRun(Activation.None, x, y, slope, n)
    }
  }
}

/** act(x), and act'(x) where it is kept. */
// @ts-ignore: decorator
@inline
function activateRun(kind: i32, x: usize, y: usize, slope: usize, n: i32): void {
  // One body for whole vectors and the rest: it is in the bundle once for each kind.
  for (; n > 0; n -= 4, x += 16, y += 16) {
    const whole = n >= 4
    const value = whole ? v128.load(x) : loadTail(x, n)
    const g = gate(kind, value)
    put(y, gated(kind, value, g), n, whole)
    if (isDefined(INFERENCE) || !slope) continue
    put(slope, derivative(kind, value, g), n, whole)
    slope += 16
  }
}

// @ts-ignore: decorator
@inline
function put(to: usize, value: v128, n: i32, whole: bool): void {
  if (whole) v128.store(to, value)
  else storeTail(to, value, n)
}

/** dx = or += dy * slope. */
export function activationGrad(r: usize): void {
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  for (let unit = next(); unit < units(r); unit = next()) {
    let slope = at(r, 0, unit)
    let dy = at(r, 1, unit)
    let dx = at(r, 2, unit)
    const n = size(r, unit)
    for (const end = slope + ((<usize>(n & ~3)) << 2); slope < end; slope += 16, dy += 16, dx += 16) {
      const g = f32x4.mul(v128.load(dy), v128.load(slope))
      v128.store(dx, accumulate ? f32x4.add(v128.load(dx), g) : g)
    }
    const rest = n & 3
    if (rest) {
      const g = f32x4.mul(loadTail(dy, rest), loadTail(slope, rest))
      storeTail(dx, accumulate ? f32x4.add(loadTail(dx, rest), g) : g, rest)
    }
  }
}

export function add(r: usize): void {
  for (let unit = next(); unit < units(r); unit = next()) addRun(at(r, 0, unit), at(r, 1, unit), at(r, 2, unit), size(r, unit))
}

export function copy(r: usize): void {
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  for (let unit = next(); unit < units(r); unit = next()) {
    const x = at(r, 0, unit)
    const y = at(r, 1, unit)
    if (accumulate) addRun(y, x, y, size(r, unit))
    else memory.copy(y, x, (<usize>size(r, unit)) << 2)
  }
}

function addRun(a: usize, b: usize, c: usize, n: i32): void {
  const end = a + ((<usize>(n & ~3)) << 2)
  for (; a < end; a += 16, b += 16, c += 16) v128.store(c, f32x4.add(v128.load(a), v128.load(b)))
  if (n & 3) storeTail(c, f32x4.add(loadTail(a, n & 3), loadTail(b, n & 3)), n & 3)
}

export function fill(r: usize): void {
  const value = f32x4.splat(float(r, 0))
  for (let unit = next(); unit < units(r); unit = next()) {
    let x = at(r, 0, unit)
    const n = size(r, unit)
    for (const end = x + ((<usize>(n & ~3)) << 2); x < end; x += 16) v128.store(x, value)
    if (n & 3) storeTail(x, value, n & 3)
  }
}
