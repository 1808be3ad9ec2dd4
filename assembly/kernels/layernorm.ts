// y = (x + residual - mean) / sqrt(var + eps) * gamma + beta by rows, and its gradients. Sums run in four lanes, then the tail.
import { GradMode } from '../abi'
import { dim, float, mode, operand } from '../record'
import { fma, loadTail, storeTail, sumLanes } from '../simd'
import { normRow } from '../rows'
import { next } from '../threads'

export function layerNorm(r: usize): void {
  const rows = dim(r, 0)
  const h = dim(r, 1)
  const x = operand(r, 0)
  const residual = operand(r, 1)
  const gamma = operand(r, 2)
  const beta = operand(r, 3)
  const y = operand(r, 4)
  const stats = operand(r, 5)
  const eps = float(r, 0)
  const row = (<usize>h) << 2
  // A few rows at a time: a unit costs an atomic.
  const units = (rows + 3) >> 2
  for (let unit = next(); unit < units; unit = next()) {
    for (let i = unit << 2; i < min(rows, (unit << 2) + 4); i++) {
      const at = <usize>i * row
      if (residual) addRow(x + at, residual + at, y + at, h)
      normRow(residual ? y + at : x + at, gamma, beta, y + at, h, eps, stats ? stats + ((<usize>i) << 3) : 0)
    }
  }
}

function addRow(a: usize, b: usize, y: usize, h: i32): void {
  let j: usize = 0
  const whole = (<usize>(h & ~3)) << 2
  for (; j < whole; j += 16) v128.store(y + j, f32x4.add(v128.load(a + j), v128.load(b + j)))
  const rest = h & 3
  if (rest) storeTail(y + j, f32x4.add(loadTail(a + j, rest), loadTail(b + j, rest)), rest)
}

/** dx = inverse * (g - mean(g) - xhat * mean(g xhat)), g = dy * gamma. */
export function layerNormGrad(r: usize): void {
  const rows = dim(r, 0)
  const h = dim(r, 1)
  const x = operand(r, 0)
  const gamma = operand(r, 1)
  const stats = operand(r, 2)
  const dy = operand(r, 3)
  const dx = operand(r, 4)
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  const row = (<usize>h) << 2
  for (let i = next(); i < rows; i = next()) {
    const at = <usize>i * row
    gradRow(x + at, gamma, stats + ((<usize>i) << 3), dy + at, dx + at, h, accumulate)
  }
}

function gradRow(x: usize, gamma: usize, stats: usize, dy: usize, dx: usize, h: i32, accumulate: bool): void {
  const whole = (<usize>(h & ~3)) << 2
  const rest = h & 3
  const mean = v128.load32_splat(stats)
  const inverse = v128.load32_splat(stats, 4)
  let sumG = f32x4.splat(0)
  let sumGX = f32x4.splat(0)
  for (let j: usize = 0; j < whole; j += 16) {
    const g = f32x4.mul(v128.load(dy + j), v128.load(gamma + j))
    sumG = f32x4.add(sumG, g)
    sumGX = fma(g, f32x4.mul(f32x4.sub(v128.load(x + j), mean), inverse), sumGX)
  }
  if (rest) {
    // Lanes beyond the row have g = 0.
    const g = f32x4.mul(loadTail(dy + whole, rest), loadTail(gamma + whole, rest))
    sumG = f32x4.add(sumG, g)
    sumGX = fma(g, f32x4.mul(f32x4.sub(loadTail(x + whole, rest), mean), inverse), sumGX)
  }
  const meanG = f32x4.splat(sumLanes(sumG) / <f32>h)
  const meanGX = f32x4.splat(sumLanes(sumGX) / <f32>h)
  for (let j: usize = 0; j < whole; j += 16) {
    const value = slope(v128.load(x + j), v128.load(gamma + j), v128.load(dy + j), mean, inverse, meanG, meanGX)
    v128.store(dx + j, accumulate ? f32x4.add(v128.load(dx + j), value) : value)
  }
  if (rest) {
    const value = slope(loadTail(x + whole, rest), loadTail(gamma + whole, rest), loadTail(dy + whole, rest), mean, inverse, meanG, meanGX)
    storeTail(dx + whole, accumulate ? f32x4.add(loadTail(dx + whole, rest), value) : value, rest)
  }
}

// @ts-ignore: decorator
@inline
function slope(x: v128, gamma: v128, dy: v128, mean: v128, inverse: v128, meanG: v128, meanGX: v128): v128 {
  const hat = f32x4.mul(f32x4.sub(x, mean), inverse)
  return f32x4.mul(inverse, f32x4.sub(f32x4.sub(f32x4.mul(dy, gamma), meanG), f32x4.mul(hat, meanGX)))
}

/** dgamma += sum_t dy xhat, dbeta += sum_t dy: four columns a unit, rows in order. */
export function layerNormParamGrad(r: usize): void {
  const rows = dim(r, 0)
  const h = dim(r, 1)
  const x = operand(r, 0)
  const stats = operand(r, 1)
  const dy = operand(r, 2)
  const dgamma = operand(r, 3)
  const dbeta = operand(r, 4)
  const row = (<usize>h) << 2
  const units = (h + 3) >> 2
  for (let unit = next(); unit < units; unit = next()) {
    const at = (<usize>unit) << 4
    const rest = min(4, h - (unit << 2))
    let sumGamma = rest == 4 ? v128.load(dgamma + at) : loadTail(dgamma + at, rest)
    let sumBeta = rest == 4 ? v128.load(dbeta + at) : loadTail(dbeta + at, rest)
    for (let i: usize = 0; i < <usize>rows; i++) {
      const p = i * row + at
      const g = rest == 4 ? v128.load(dy + p) : loadTail(dy + p, rest)
      const value = rest == 4 ? v128.load(x + p) : loadTail(x + p, rest)
      const hat = f32x4.mul(f32x4.sub(value, v128.load32_splat(stats + (i << 3))), v128.load32_splat(stats + (i << 3), 4))
      sumGamma = fma(g, hat, sumGamma)
      sumBeta = f32x4.add(sumBeta, g)
    }
    if (rest == 4) {
      v128.store(dgamma + at, sumGamma)
      v128.store(dbeta + at, sumBeta)
    } else {
      storeTail(dgamma + at, sumGamma, rest)
      storeTail(dbeta + at, sumBeta, rest)
    }
  }
}
