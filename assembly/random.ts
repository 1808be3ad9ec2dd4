// Counter-based random numbers: a value depends on its key and its counter alone, so it can be drawn in any order, on any thread, twice.
import { TableMode } from './abi'

/**
 * Philox4x32-10 (Salmon and others 2011, Random123): four words of a 128-bit counter under a 64-bit key. Integers only: the same on every
 * engine and in every build.
 */
// @ts-ignore: decorator
@inline
export function philox(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32): v128 {
  for (let round = 0; round < 10; round++) {
    const p0 = <u64>0xd2511f53 * <u64>c0
    const p1 = <u64>0xcd9e8d57 * <u64>c2
    c0 = (<u32>(p1 >> 32)) ^ c1 ^ k0
    c1 = <u32>p1
    c2 = (<u32>(p0 >> 32)) ^ c3 ^ k1
    c3 = <u32>p0
    k0 += 0x9e3779b9
    k1 += 0xbb67ae85
  }
  const x = i32x4.replace_lane(i32x4.splat(<i32>c0), 1, <i32>c1)
  return i32x4.replace_lane(i32x4.replace_lane(x, 2, <i32>c2), 3, <i32>c3)
}

/** The four words of the last draws of philox8, lane by lane: of the first four, and of the other four. */
export let word0: v128 = i32x4.splat(0)
export let word1: v128 = i32x4.splat(0)
export let word2: v128 = i32x4.splat(0)
export let word3: v128 = i32x4.splat(0)
export let word4: v128 = i32x4.splat(0)
export let word5: v128 = i32x4.splat(0)
export let word6: v128 = i32x4.splat(0)
export let word7: v128 = i32x4.splat(0)

// The halves of the products of u32 lanes. Engines compute what both have in common once.
// @ts-ignore: decorator
@inline
function high(x: v128, by: v128): v128 {
  return v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(x, by), i64x2.extmul_high_i32x4_u(x, by), 1, 3, 5, 7)
}

// @ts-ignore: decorator
@inline
function low(x: v128, by: v128): v128 {
  return v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(x, by), i64x2.extmul_high_i32x4_u(x, by), 0, 2, 4, 6)
}

/** Eight draws at once under one key, one in each lane of two vectors: a round waits for the one before, so two go side by side. */
// @ts-ignore: decorator
@inline
export function philox8(a0: v128, a1: v128, b0: v128, b1: v128, c2: u32, c3: u32, k0: u32, k1: u32): void {
  const by0 = i32x4.splat(<i32>0xd2511f53)
  const by1 = i32x4.splat(<i32>0xcd9e8d57)
  let a2 = i32x4.splat(<i32>c2)
  let a3 = i32x4.splat(<i32>c3)
  let b2 = a2
  let b3 = a3
  for (let round = 0; round < 10; round++) {
    const key0 = i32x4.splat(<i32>k0)
    const key1 = i32x4.splat(<i32>k1)
    const a = v128.xor(v128.xor(high(a2, by1), a1), key0)
    const b = v128.xor(v128.xor(high(b2, by1), b1), key0)
    a1 = low(a2, by1)
    b1 = low(b2, by1)
    a2 = v128.xor(v128.xor(high(a0, by0), a3), key1)
    b2 = v128.xor(v128.xor(high(b0, by0), b3), key1)
    a3 = low(a0, by0)
    b3 = low(b0, by0)
    a0 = a
    b0 = b
    k0 += 0x9e3779b9
    k1 += 0xbb67ae85
  }
  word0 = a0
  word1 = a1
  word2 = a2
  word3 = a3
  word4 = b0
  word5 = b1
  word6 = b2
  word7 = b3
}

/** log u for 0 < u < 1 in f64, good to 2^-40: u = m 2^e, log m = 2 atanh((m-1)/(m+1)). No product is fused: the same in every build. */
function logOf(u: f64): f64 {
  const bits = reinterpret<u64>(u)
  let e = <f64>(<i32>(bits >> 52) - 1022)
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3fe0000000000000) // 0.5 <= m < 1
  if (m < 0.7071067811865476) {
    m *= 2
    e -= 1
  }
  const s = (m - 1) / (m + 1)
  const z = s * s
  let p = 2.0 / 15
  p = p * z + 2.0 / 13
  p = p * z + 2.0 / 11
  p = p * z + 2.0 / 9
  p = p * z + 2.0 / 7
  p = p * z + 2.0 / 5
  p = p * z + 2.0 / 3
  p = p * z + 2
  return e * 0.6931471805599453 + s * p
}

/** A word to the middle of one of 2^32 steps of 0..1. */
// @ts-ignore: decorator
@inline
function unit(word: i32): f64 {
  return (<f64>(<u32>word) + 0.5) * 2.3283064365386963e-10
}

/**
 * Two standard normal values from two words, Box and Muller's: radius * cos(2 pi u) at `to`, radius * sin(2 pi u) `step` bytes on, if `both`.
 * Sine and cosine from the nearest quarter turn, then Taylor's series up to pi/4: good to 2^-40.
 */
function storeNormals(a: i32, b: i32, deviation: f64, to: usize, step: usize, both: bool): void {
  const radius = deviation * sqrt(-2 * logOf(unit(a)))
  const u = unit(b)
  const quarter = nearest(u * 4)
  const r = (u * 4 - quarter) * 1.5707963267948966
  const z = r * r
  const even = 1 + z * (-1.0 / 2 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600))))))
  const odd = r * (1 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800))))))
  const turns = <i32>quarter
  const cosine = turns & 1 ? odd : even
  const sine = turns & 1 ? even : odd
  store<f32>(to, <f32>(radius * ((turns + 1) & 2 ? -cosine : cosine)))
  if (both) store<f32>(to + step, <f32>(radius * (turns & 2 ? -sine : sine)))
}

/**
 * Rows row0..rows-1 of a weight [..][k] = deviation * normal, in its resident layout (TableMode). A value depends on seed, stream, row and
 * column: not on the layout, nor on how many rows there are.
 */
export function fillNormal(
  target: usize,
  row0: i32,
  rows: i32,
  k: i32,
  mode: i32,
  seedLow: i32,
  seedHigh: i32,
  stream: i32,
  deviation: f64,
): void {
  const panel = (mode & TableMode.Panel) != 0
  const step: usize = panel ? 32 : 4
  for (let row = row0; row < rows; row++) {
    let to = panel ? target + ((<usize>(row >> 3) * <usize>k) << 5) + ((<usize>(row & 7)) << 2) : target + ((<usize>row * <usize>k) << 2)
    for (let j = 0; j < k; j += 4, to += step << 2) {
      const words = philox(<u32>(j >> 2), <u32>row, <u32>stream, 0, <u32>seedLow, <u32>seedHigh)
      storeNormals(i32x4.extract_lane(words, 0), i32x4.extract_lane(words, 1), deviation, to, step, j + 1 < k)
      if (j + 2 < k) storeNormals(i32x4.extract_lane(words, 2), i32x4.extract_lane(words, 3), deviation, to + (step << 1), step, j + 3 < k)
    }
  }
}
