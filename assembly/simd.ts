// The only file that names a relaxed instruction. Everything here is inlined.

/**
 * a * b + c. Two roundings, the same bits on every engine; one rounding in the `fast` build, where the engine has it.
 * `isDefined(FAST)`: asc -u FAST=1 (a `declare const` would become an import).
 */
// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  if (isDefined(FAST)) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(c, f32x4.mul(a, b))
}

/** c + the sum of four products of bytes in each lane: `a` signed, `b` of 0..127, so that every engine has the same sum. */
// @ts-ignore: decorator
@inline
export function dot4(a: v128, b: v128, c: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, c)
}

/** The sum of four lanes, always as (0 + 1) + (2 + 3). */
// @ts-ignore: decorator
@inline
export function sumLanes(x: v128): f32 {
  const low: f32 = f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1)
  const high: f32 = f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3)
  return low + high
}

/** The first `n` (1..3) floats at p; other lanes 0. Reads no further. */
// @ts-ignore: decorator
@inline
export function loadTail(p: usize, n: i32): v128 {
  let x = v128.load32_zero(p)
  if (n > 1) x = f32x4.replace_lane(x, 1, load<f32>(p, 4))
  if (n > 2) x = f32x4.replace_lane(x, 2, load<f32>(p, 8))
  return x
}

/** Stores the first `n` (1..3) lanes at p. */
// @ts-ignore: decorator
@inline
export function storeTail(p: usize, x: v128, n: i32): void {
  v128.store_lane<f32>(p, x, 0)
  if (n > 1) v128.store_lane<f32>(p, x, 1, 4)
  if (n > 2) v128.store_lane<f32>(p, x, 2, 8)
}

/** Rows a b c d of a 4x4 block to its columns: out_i = lane i of each. */
// @ts-ignore: decorator
@inline
export function zipLow(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 4, 1, 5)
}

// @ts-ignore: decorator
@inline
export function zipHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 6, 3, 7)
}

// @ts-ignore: decorator
@inline
export function lowHalves(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 1, 4, 5)
}

// @ts-ignore: decorator
@inline
export function highHalves(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 3, 6, 7)
}
