// Sums over rows and columns, each in one fixed order.
import { dim, float, operand } from '../record'
import { fma, loadTail, storeTail, sumLanes } from '../simd'
import { next } from '../threads'

/** y[b] = mean of the sequence's rows, in order; four columns of a sequence a unit would be too small, so a sequence is one. */
export function meanPool(r: usize): void {
  const sequences = dim(r, 0)
  const h = dim(r, 1)
  const x = operand(r, 0)
  const offsets = operand(r, 1)
  const y = operand(r, 2)
  const row = (<usize>h) << 2
  for (let s = next(); s < sequences; s = next()) {
    const start = load<i32>(offsets + ((<usize>s) << 2))
    const end = load<i32>(offsets + ((<usize>s) << 2), 4)
    assert(end > start)
    const by: f32 = 1 / <f32>(end - start)
    const to = y + <usize>s * row
    memory.copy(to, x + <usize>start * row, row)
    for (let t = start + 1; t < end; t++) addInto(to, x + <usize>t * row, h)
    scaleRow(to, to, h, by)
  }
}

function addInto(y: usize, x: usize, n: i32): void {
  const end = y + ((<usize>(n & ~3)) << 2)
  for (; y < end; y += 16, x += 16) v128.store(y, f32x4.add(v128.load(y), v128.load(x)))
  if (n & 3) storeTail(y, f32x4.add(loadTail(y, n & 3), loadTail(x, n & 3)), n & 3)
}

function scaleRow(x: usize, y: usize, n: i32, by: f32): void {
  const scale = f32x4.splat(by)
  const end = x + ((<usize>(n & ~3)) << 2)
  for (; x < end; x += 16, y += 16) v128.store(y, f32x4.mul(v128.load(x), scale))
  if (n & 3) storeTail(y, f32x4.mul(loadTail(x, n & 3), scale), n & 3)
}

/** Rows to length 1. */
export function normalize(r: usize): void {
  const rows = dim(r, 0)
  const h = dim(r, 1)
  const row = (<usize>h) << 2
  for (let i = next(); i < rows; i = next()) {
    const x = operand(r, 0) + <usize>i * row
    let sums = f32x4.splat(0)
    let j: usize = 0
    for (const whole = (<usize>(h & ~3)) << 2; j < whole; j += 16) sums = fma(v128.load(x + j), v128.load(x + j), sums)
    if (h & 3) sums = fma(loadTail(x + j, h & 3), loadTail(x + j, h & 3), sums)
    scaleRow(x, operand(r, 1) + <usize>i * row, h, 1 / max(sqrt(sumLanes(sums)), float(r, 0)))
  }
}

/** db[j] += sum_t dy[t][j]: eight columns a unit, rows in order. */
export function columnSum(r: usize): void {
  const rows = dim(r, 0)
  const n = dim(r, 1)
  const row = (<usize>n) << 2
  const units = (n + 7) >> 3
  for (let unit = next(); unit < units; unit = next()) {
    for (let j = unit << 3; j < min(n, (unit << 3) + 8); j += 4) {
      const rest = min(4, n - j)
      let from = operand(r, 0) + ((<usize>j) << 2)
      const to = operand(r, 1) + ((<usize>j) << 2)
      let sums = rest == 4 ? v128.load(to) : loadTail(to, rest)
      for (let i = 0; i < rows; i++, from += row) sums = f32x4.add(sums, rest == 4 ? v128.load(from) : loadTail(from, rest))
      if (rest == 4) v128.store(to, sums)
      else storeTail(to, sums, rest)
    }
  }
}

/** total += scale * x[0] + scale * x[1] + ..., by one rank. */
export function sum(r: usize): void {
  if (next() != 0) return
  const x = operand(r, 0)
  const scale = load<f32>(operand(r, 1))
  let total = load<f32>(operand(r, 2))
  for (let i: usize = 0; i < <usize>(dim(r, 0) * dim(r, 1)); i++) total += scale * load<f32>(x + (i << 2))
  store<f32>(operand(r, 2), total)
}
