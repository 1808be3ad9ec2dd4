// A walk over attention maps, P [sequence][head][length][length]: units are (sequence, head) through all sequences.

// These describe the unit that seek() found; mutable globals are per instance.
let before: i32 = 0
let floats: usize = 0
/** Its sequence. */
export let sequence: i32 = 0
/** Rows and columns of its map. */
export let length: i32 = 0

export function restart(): void {
  sequence = 0
  before = 0
  floats = 0
}

/** Moves to a unit, not before the last one; false behind the end. */
export function seek(unit: i32, heads: i32, sequences: i32, offsets: usize): bool {
  for (; sequence < sequences; sequence++) {
    length = load<i32>(offsets + ((<usize>sequence) << 2), 4) - load<i32>(offsets + ((<usize>sequence) << 2))
    if (unit < before + heads) return true
    before += heads
    floats += <usize>heads * <usize>length * <usize>length
  }
  return false
}

/** The head of the unit. */
// @ts-ignore: decorator
@inline
export function headOf(unit: i32): i32 {
  return unit - before
}

/** Bytes to the unit's map. */
// @ts-ignore: decorator
@inline
export function mapOf(unit: i32): usize {
  return (floats + <usize>(unit - before) * <usize>length * <usize>length) << 2
}
