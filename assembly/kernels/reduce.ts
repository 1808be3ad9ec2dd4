// Sums over rows and columns, each in one fixed order.
import { GradMode } from '../abi'
import { dim, float, mode, operand } from '../record'
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

/** dx = each sequence's dy / its length, in all its rows: a sequence is a unit, as forward. */
export function meanPoolGrad(r: usize): void {
  const sequences = dim(r, 0)
  const h = dim(r, 1)
  const offsets = operand(r, 1)
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  const row = (<usize>h) << 2
  for (let s = next(); s < sequences; s = next()) {
    const start = load<i32>(offsets + ((<usize>s) << 2))
    const end = load<i32>(offsets + ((<usize>s) << 2), 4)
    const by = f32x4.splat(1 / <f32>(end - start))
    for (let t = start; t < end; t++) {
      addScaled(operand(r, 0) + <usize>s * row, by, operand(r, 2) + <usize>t * row, h, accumulate)
    }
  }
}

/** y = x * by, or y += x * by. */
// @ts-ignore: decorator
@inline
function addScaled(x: usize, by: v128, y: usize, n: i32, accumulate: bool): void {
  const end = y + ((<usize>(n & ~3)) << 2)
  for (; y < end; y += 16, x += 16) {
    const g = f32x4.mul(v128.load(x), by)
    v128.store(y, accumulate ? f32x4.add(v128.load(y), g) : g)
  }
  if (!(n & 3)) return
  const g = f32x4.mul(loadTail(x, n & 3), by)
  storeTail(y, accumulate ? f32x4.add(loadTail(y, n & 3), g) : g, n & 3)
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
    scaleRow(x, operand(r, 1) + <usize>i * row, h, 1 / max(sqrt(dot(x, x, h)), float(r, 0)))
  }
}

function dot(a: usize, b: usize, n: i32): f32 {
  let sums = f32x4.splat(0)
  let j: usize = 0
  for (const whole = (<usize>(n & ~3)) << 2; j < whole; j += 16) sums = fma(v128.load(a + j), v128.load(b + j), sums)
  if (n & 3) sums = fma(loadTail(a + j, n & 3), loadTail(b + j, n & 3), sums)
  return sumLanes(sums)
}

/** dx = (dy - x (x dy) / |x|^2) / |x|. A row that is shorter than eps was divided by eps. */
export function normalizeGrad(r: usize): void {
  const rows = dim(r, 0)
  const h = dim(r, 1)
  const eps = float(r, 0)
  const accumulate = (mode(r) & GradMode.Accumulate) != 0
  const row = (<usize>h) << 2
  const rest = h & 3
  for (let i = next(); i < rows; i = next()) {
    const at = <usize>i * row
    const x = operand(r, 0) + at
    const dy = operand(r, 1) + at
    const dx = operand(r, 2) + at
    const length = sqrt(dot(x, x, h))
    const inverse: f32 = 1 / max(length, eps)
    const along: f32 = length < eps ? 0 : dot(x, dy, h) * inverse * inverse
    const by = f32x4.splat(inverse)
    const share = f32x4.splat(along)
    let j: usize = 0
    for (const whole = (<usize>(h & ~3)) << 2; j < whole; j += 16) {
      const g = f32x4.mul(f32x4.sub(v128.load(dy + j), f32x4.mul(v128.load(x + j), share)), by)
      v128.store(dx + j, accumulate ? f32x4.add(v128.load(dx + j), g) : g)
    }
    if (rest) {
      const g = f32x4.mul(f32x4.sub(loadTail(dy + j, rest), f32x4.mul(loadTail(x + j, rest), share)), by)
      storeTail(dx + j, accumulate ? f32x4.add(loadTail(dx + j, rest), g) : g, rest)
    }
  }
}

/**
 * db[j] += sum_t dy[t][j]: sixteen columns a unit, a cache line of each row, rows in order. On the way dy goes into panels [N/8][rows][8], from
 * which gemm takes it as often as a product wants.
 */
export function columnSum(r: usize): void {
  const rows = dim(r, 0)
  const n = dim(r, 1)
  const units = (n + 15) >> 4
  for (let unit = next(); unit < units; unit = next()) {
    const end = min(n, (unit << 4) + 16)
    if (end & 15) for (let j = unit << 4; j < end; j += 8) eightColumns(r, rows, n, j)
    else sixteenColumns(r, rows, n, unit << 4)
  }
}

function sixteenColumns(r: usize, rows: i32, n: i32, j: i32): void {
  const row = (<usize>n) << 2
  const db = operand(r, 1) + ((<usize>j) << 2)
  const width = (<usize>rows) << 5 // bytes of a panel
  const to = operand(r, 2) ? operand(r, 2) + <usize>(j >> 3) * width : 0
  let from = operand(r, 0) + ((<usize>j) << 2)
  const add = operand(r, 1) != 0
  let a = f32x4.splat(0),
    b = a,
    c = a,
    d = a
  if (add) {
    a = v128.load(db)
    b = v128.load(db, 16)
    c = v128.load(db, 32)
    d = v128.load(db, 48)
  }
  for (let at: usize = 0; at < width; at += 32, from += row) {
    const x = v128.load(from)
    const y = v128.load(from, 16)
    const z = v128.load(from, 32)
    const w = v128.load(from, 48)
    a = f32x4.add(a, x)
    b = f32x4.add(b, y)
    c = f32x4.add(c, z)
    d = f32x4.add(d, w)
    if (!to) continue
    v128.store(to + at, x)
    v128.store(to + at, y, 16)
    v128.store(to + width + at, z)
    v128.store(to + width + at, w, 16)
  }
  if (!add) return
  v128.store(db, a)
  v128.store(db, b, 16)
  v128.store(db, c, 32)
  v128.store(db, d, 48)
}

/** Columns j..j+7, of which some may not exist: zeros in the panel. */
function eightColumns(r: usize, rows: i32, n: i32, j: i32): void {
  for (let half = j; half < j + 8; half += 4) {
    const rest = n - half
    const db = operand(r, 1) != 0 && rest > 0 ? operand(r, 1) + ((<usize>half) << 2) : 0
    let to = operand(r, 2) ? operand(r, 2) + ((<usize>(j >> 3) * <usize>rows) << 5) + ((<usize>(half & 4)) << 2) : 0
    let from = operand(r, 0) + ((<usize>half) << 2)
    let sums = db ? few(db, rest) : f32x4.splat(0)
    for (let i = 0; i < rows; i++, from += (<usize>n) << 2) {
      const x = few(from, rest)
      sums = f32x4.add(sums, x)
      if (!to) continue
      v128.store(to, x)
      to += 32
    }
    if (!db) continue
    if (rest >= 4) v128.store(db, sums)
    else storeTail(db, sums, rest)
  }
}

/** Four floats, or the `rest` that exist. */
// @ts-ignore: decorator
@inline
function few(from: usize, rest: i32): v128 {
  return rest >= 4 ? v128.load(from) : rest > 0 ? loadTail(from, rest) : f32x4.splat(0)
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
