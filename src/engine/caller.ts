import { Status } from '../../assembly/abi.ts'
import { BertletError } from '../errors.ts'
import type { Runtime } from '../runtimes/runtime.ts'
import type { Job } from './pool.ts'
import { Tuner } from './tuner.ts'

const tuner = new Tuner()

/** How long the caller's thread computes before its event loop turns, in ms. */
export const SLICE = 8

/**
 * Runs a job on the caller's thread, in slices: where no worker can exist, where none could see the memory, and for `threads: 0`. A record is cut
 * where it is long: each of its pieces has twice the units of the one before, so the last of a slice is not much longer than all before it, on
 * a processor of any speed. Where the clock stands still, as at the edge, nothing is cut for long.
 */
export async function runOnCaller(runtime: Runtime, { store, plan, first, last, tile, signal }: Job): Promise<void> {
  signal?.throwIfAborted()
  store.kernels.useTile(tile || store.kernels.tile.high)
  let turned = performance.now()
  let [record, from, units] = [first, 0, 1]
  while (record < last) {
    const status: Status = store.kernels.runUnits(plan, record, from, from + units)
    if (status === Status.Paused) [from, units] = [from + units, 2 * units]
    else if (status === Status.Done) [record, from, units] = [record + 1, 0, 1]
    else throw new BertletError('internal', `the run ended with status ${status}`)
    if (performance.now() - turned < SLICE) continue
    await runtime.turn()
    signal?.throwIfAborted()
    store.assertLive()
    units = 1
    turned = performance.now()
  }
  if (tile === 0) store.build.tile = tuner.afterRun(store.kernels)
}
