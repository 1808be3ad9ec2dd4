// Readers of a record's fields; see abi.ts for the layout.
import { Plan, Slot } from './abi'

// Mutable globals are per instance, so per rank.
let slots: usize = 0
let privateScratch: usize = 0

/** Points the readers at a plan's slot table. */
export function enterPlan(plan: usize, rank: i32): void {
  slots = plan
  privateScratch = slot(Slot.Scratch) + <usize>rank * slot(Slot.ScratchStride)
}

@inline
function slot(index: i32): usize {
  return <usize>load<u32>(slots + ((<usize>index) << 2))
}

@inline
export function mode(r: usize): i32 {
  return load<i32>(r, Plan.Mode << 2)
}

/** A constant, or the value of a slot. */
@inline
export function dim(r: usize, index: i32): i32 {
  const value = load<i32>(r + ((<usize>index) << 2), Plan.Dims << 2)
  return value >= 0 ? value : <i32>slot(~value)
}

/** An address; 0 when the operand is absent. */
@inline
export function operand(r: usize, index: i32): usize {
  const at = r + ((<usize>index) << 3)
  const base = load<i32>(at, Plan.Operands << 2)
  return base == Slot.None ? 0 : slot(base) + <usize>load<u32>(at, (Plan.Operands + 1) << 2)
}

@inline
export function float(r: usize, index: i32): f32 {
  return load<f32>(r + ((<usize>index) << 2), Plan.Floats << 2)
}

/** Memory that only this rank touches. */
@inline
export function scratch(): usize {
  return privateScratch
}
