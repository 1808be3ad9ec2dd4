// What dropout keeps. A mask is drawn from what it stands for, (seed, step, op, example, position), so it is never stored: the backward pass
// draws it again. Columns go four to a counter: (column / 4, place, example, stream), keyed by (seed, step).
import { philox8, word0, word1, word2, word3, word4, word5, word6, word7 } from './random'

// The record's draw; mutable globals are per instance.
let seed: u32 = 0
let step: u32 = 0
let threshold: v128 = i32x4.splat(0)
/** 1 / (1 - p). */
export let keptScale: f32 = 1

/** Masks of four neighbouring columns, lane by lane, of each draw: all bits of a lane that is kept, none of another. */
export let mask0: v128 = i32x4.splat(0)
export let mask1: v128 = i32x4.splat(0)
export let mask2: v128 = i32x4.splat(0)
export let mask3: v128 = i32x4.splat(0)
export let mask4: v128 = i32x4.splat(0)
export let mask5: v128 = i32x4.splat(0)
export let mask6: v128 = i32x4.splat(0)
export let mask7: v128 = i32x4.splat(0)

export function enterMasks(seeds: usize, p: f32): void {
  seed = load<u32>(seeds)
  step = load<u32>(seeds, 4)
  threshold = i32x4.splat(<i32>(<u32>(<f64>p * 4294967296.0)))
  keptScale = 1 / (1 - p)
}

/**
 * Two draws, each the masks of the columns 4 * quarter .. 4 * quarter + 3 of four rows, or of one row's four neighbouring quarters: a lane each.
 */
// @ts-ignore: decorator
@inline
export function drawMasks(quarter: v128, place: v128, quarter2: v128, place2: v128, example: u32, stream: u32): void {
  philox8(quarter, place, quarter2, place2, example, stream, seed, step)
  mask0 = i32x4.ge_u(word0, threshold)
  mask1 = i32x4.ge_u(word1, threshold)
  mask2 = i32x4.ge_u(word2, threshold)
  mask3 = i32x4.ge_u(word3, threshold)
  mask4 = i32x4.ge_u(word4, threshold)
  mask5 = i32x4.ge_u(word5, threshold)
  mask6 = i32x4.ge_u(word6, threshold)
  mask7 = i32x4.ge_u(word7, threshold)
}

/** Of attention maps: the place is the query's, the column the key's, and each head has a stream of its own. */
// @ts-ignore: decorator
@inline
export function headStream(stream: i32, head: i32): u32 {
  return (<u32>stream) | ((<u32>(head + 1)) << 16)
}

/** first, first + 1, first + 2, first + 3. */
// @ts-ignore: decorator
@inline
export function countUp(first: i32): v128 {
  return i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3))
}
