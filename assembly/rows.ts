// What several kernels do to one row.
import { fma, sumLanes } from './simd'

/** LayerNorm of one row, in place or not: mean, then the squared deviations, then the result. stats: mean and 1 / sqrt(var + eps), if wanted. */
export function normRow(x: usize, gamma: usize, beta: usize, y: usize, h: i32, eps: f32, stats: usize): void {
  const whole = (<usize>(h & ~3)) << 2
  const end = (<usize>h) << 2
  let sums = f32x4.splat(0)
  for (let j: usize = 0; j < whole; j += 16) sums = f32x4.add(sums, v128.load(x + j))
  let total = sumLanes(sums)
  for (let j = whole; j < end; j += 4) total += load<f32>(x + j)
  const mean = total / <f32>h

  const m = f32x4.splat(mean)
  sums = f32x4.splat(0)
  for (let j: usize = 0; j < whole; j += 16) {
    const deviation = f32x4.sub(v128.load(x + j), m)
    sums = fma(deviation, deviation, sums)
  }
  total = sumLanes(sums)
  for (let j = whole; j < end; j += 4) {
    const deviation = load<f32>(x + j) - mean
    total += deviation * deviation
  }
  const inverse: f32 = 1 / sqrt(total / <f32>h + eps)

  const s = f32x4.splat(inverse)
  for (let j: usize = 0; j < whole; j += 16) {
    v128.store(y + j, fma(f32x4.mul(f32x4.sub(v128.load(x + j), m), s), v128.load(gamma + j), v128.load(beta + j)))
  }
  for (let j = whole; j < end; j += 4) {
    store<f32>(y + j, (load<f32>(x + j) - mean) * inverse * load<f32>(gamma + j) + load<f32>(beta + j))
  }
  if (stats) {
    store<f32>(stats, mean)
    store<f32>(stats, inverse, 4)
  }
}
