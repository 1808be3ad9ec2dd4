import { Plan as Layout, Slot } from '../../assembly/abi.ts'
import { BertletError } from '../errors.ts'
import type { Plan } from './plan.ts'
import { RECORDS } from './records.ts'
import { dimValue } from './tensor.ts'

/** A piece of the store that records may address absolutely. */
export interface Region {
  readonly start: number
  readonly end: number
  readonly writable: boolean
}

/**
 * Checks every record of a plan against its arena and the store before it may run: known op, dims within the bound, operands
 * present where they must be, and every extent inside the arena or inside one region. A plan that fails is a bug, and computes nothing. `block` is
 * where Slot.Head points; what is verified for one block holds for every other that is laid out as it is.
 */
export function verify(plan: Plan, regions: readonly Region[], block = 0): void {
  const { words, bound, arenaBytes } = plan
  const sorted = [...regions].sort((a, b) => a.start - b.start)
  for (let record = 0; record < plan.records; record++) {
    const at = Layout.Slots + record * Layout.Words
    const fail = (what: string): never => {
      throw new BertletError(
        'internal',
        `plan record ${record} (op ${words[at + Layout.Op]}): ${what}`,
        'This is a bug in bertlet: please report it',
      )
    }
    const type = RECORDS[words[at + Layout.Op]!] ?? fail('unknown op')
    const dims: number[] = []
    for (let i = 0; i < Layout.MaxDims; i++) {
      const dim = words[at + Layout.Dims + i]!
      if (dim < 0 && (~dim < Slot.Tokens || ~dim > Slot.Offsets)) fail(`dim ${i} names slot ${~dim}`)
      dims.push(dimValue(dim, bound))
    }
    const extents = type.extents(dims, words[at + Layout.Mode]!)
    for (let i = 0; i < Layout.MaxOperands; i++) {
      const access = type.operands[i]
      const base = words[at + Layout.Operands + 2 * i]!
      const start = (words[at + Layout.Operands + 2 * i + 1]! >>> 0) + (base === Slot.Head ? block : 0)
      if (base === Slot.None) {
        if (access !== undefined && !access.endsWith('?')) fail(`operand ${i} of ${type.name} is absent`)
        continue
      }
      if (access === undefined) fail(`operand ${i} of ${type.name} is one too many`)
      const bytes = extents[i]! * 4
      if (start % 4 !== 0) fail(`operand ${i} is not aligned`)
      if (!Number.isSafeInteger(bytes) || bytes < 0) fail(`operand ${i} has ${bytes} bytes`)
      const end = start + bytes
      if (base === Slot.Arena) {
        if (end > arenaBytes) fail(`operand ${i} of ${type.name} ends at ${end} of an arena of ${arenaBytes} bytes`)
      } else if (base === Slot.Absolute || base === Slot.Head) {
        const region = containing(sorted, start)
        if (region === undefined || end > region.end) fail(`operand ${i} of ${type.name} at ${start}..${end} lies in no weight`)
        else if (access !== 'r' && access !== 'r?' && !region.writable) fail(`operand ${i} of ${type.name} would write to a frozen weight`)
      } else fail(`operand ${i} has base slot ${base}`)
    }
  }
}

/** The region with the greatest start at or below `address`, if it reaches that far. */
function containing(sorted: readonly Region[], address: number): Region | undefined {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]!.start <= address) low = middle + 1
    else high = middle
  }
  const region = sorted[low - 1]
  return region !== undefined && address < region.end ? region : undefined
}
