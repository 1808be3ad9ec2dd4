// How ranks meet and share work. With one rank both cost a load.
import { Sync } from './abi'

/** Loads before a waiting rank goes to sleep: about 20 us. */
const SPIN: i32 = 20000

// Mutable globals are per instance, so per rank.
let sync: usize = 0
let ranks: i32 = 1
let generation: i32 = 0
let alone: i32 = 0 // the work counter when there is one rank
let end: i32 = i32.MAX_VALUE // where it pauses
let paused: bool = false

export function enterTeam(at: usize, size: i32): void {
  sync = at
  ranks = size
  alone = 0
  end = i32.MAX_VALUE
  generation = atomic.load<i32>(at, Sync.Generation << 2)
}

/** One rank, that does units from..to-1 of a record's work. */
export function enterAlone(from: i32, to: i32): void {
  ranks = 1
  alone = from
  end = to
  paused = false
}

/** Whether a kernel has asked for units behind those of enterAlone(). */
export function isPaused(): bool {
  return paused
}

/** The next unit of the current record's work: every number goes to one rank, in ascending order. */
@inline
export function next(): i32 {
  if (ranks == 1) {
    if (alone < end) return alone++
    paused = true
    return i32.MAX_VALUE
  }
  return atomic.add<i32>(sync, 1, Sync.Counter << 2)
}

@inline
function poisoned(): bool {
  return atomic.load<i32>(sync, Sync.Poison << 2) != 0
}

/**
 * Waits until every rank is here; the last to arrive resets the work counter and opens the next generation.
 * Spins, then sleeps. False when the host has poisoned the run: the caller leaves at once, and so does every other rank.
 */
export function barrier(): bool {
  if (poisoned()) return false
  if (ranks == 1) {
    alone = 0
    return true
  }
  const mine = generation
  generation = mine + 1
  if (atomic.add<i32>(sync, 1, Sync.Arrived << 2) == ranks - 1) {
    atomic.store<i32>(sync, 0, Sync.Arrived << 2)
    atomic.store<i32>(sync, 0, Sync.Counter << 2)
    atomic.store<i32>(sync, mine + 1, Sync.Generation << 2)
    if (atomic.load<i32>(sync, Sync.Sleepers << 2) > 0) atomic.notify(sync + (Sync.Generation << 2), -1)
    return true
  }
  for (let i = 0; i < SPIN; i++) {
    if (atomic.load<i32>(sync, Sync.Generation << 2) != mine) return true
    if ((i & 63) == 63 && poisoned()) return false
  }
  atomic.add<i32>(sync, 1, Sync.Sleepers << 2)
  while (atomic.load<i32>(sync, Sync.Generation << 2) == mine && !poisoned()) {
    // The timeout only bounds how long a lost wake-up could matter.
    atomic.wait<i32>(sync + (Sync.Generation << 2), mine, 100_000_000)
  }
  atomic.sub<i32>(sync, 1, Sync.Sleepers << 2)
  return !poisoned()
}
