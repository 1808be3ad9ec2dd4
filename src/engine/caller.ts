import { Status, Sync } from '../../assembly/abi.ts'
import { BertletError } from '../errors.ts'
import type { Runtime } from '../runtimes/runtime.ts'
import type { Job } from './pool.ts'
import { Tuner } from './tuner.ts'

const tuner = new Tuner()

/** How long the caller's thread computes before its event loop turns, in ms. A record is never cut. */
const SLICE = 8

/** Runs a job on the caller's thread, in slices of records: where no worker can exist, and for `threads: 0`. */
export async function runOnCaller(runtime: Runtime, { store, plan, first, last, tile, signal }: Job): Promise<void> {
  signal?.throwIfAborted()
  store.view(Int32Array, store.sync, Sync.Words).fill(0)
  store.kernels.useTile(tile || store.kernels.tile.high)
  let turned = performance.now()
  for (let record = first; record < last; record++) {
    const status: Status = store.kernels.run(plan, record, record + 1, store.sync, 0, 1)
    if (status !== Status.Done) throw new BertletError('internal', `the run ended with status ${status}`)
    if (performance.now() - turned < SLICE) continue
    await runtime.turn()
    signal?.throwIfAborted()
    store.assertLive()
    turned = performance.now()
  }
  if (tile === 0) store.build.tile = tuner.afterRun(store.kernels)
}
