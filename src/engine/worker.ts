import { Status, Sync } from '../../assembly/abi.ts'
import type { WorkerData } from '../runtimes/runtime.ts'
import { Command, Mail, type Attach, type FromWorker } from './mailbox.ts'
import { instantiate, type Kernels } from './module.ts'
import { Tuner } from './tuner.ts'

/** The worker's side of the pipe, as its platform gives it. */
export interface Port {
  post(message: FromWorker): void
  onMessage(listener: (message: Attach) => void): void
}

/** Loads before a worker goes to sleep: chunks of one call follow each other faster than a sleeper wakes. */
const SPIN = 2000

/**
 * A compute worker: an instance per attached memory, asleep on its mailbox between runs. It returns to its event loop only when told
 * that a message is coming, so a run never waits for one.
 */
export function serve(port: Port, { control }: WorkerData): void {
  const box = new Int32Array(control)
  const attached = new Map<number, { kernels: Kernels; sync: Int32Array }>()
  const tuner = new Tuner()
  let seen = 0

  port.onMessage((message) => {
    instantiate(message.module, message.buffer).then(
      (kernels) => {
        attached.set(message.memory, { kernels, sync: new Int32Array(message.buffer.buffer) })
        port.post({ type: 'attached', memory: message.memory })
        work()
      },
      (error: unknown) => port.post({ type: 'failed', memory: message.memory, message: String(error) }),
    )
  })

  function work(): void {
    for (;;) {
      for (let i = 0; i < SPIN && Atomics.load(box, Mail.Generation) === seen; i++);
      Atomics.wait(box, Mail.Generation, seen)
      const generation = Atomics.load(box, Mail.Generation)
      if (generation === seen) continue
      seen = generation
      if (box[Mail.Command] === Command.Listen) return
      const { status, message, tile = 0 } = run()
      Atomics.store(box, Mail.Left, generation)
      if (message !== undefined) port.post({ type: 'failed', memory: box[Mail.Memory]!, message })
      else if (box[Mail.Rank] === 0) port.post({ type: 'done', generation, status, tile })
    }
  }

  function run(): { status: number; message?: string; tile?: number } {
    const { kernels, sync } = attached.get(box[Mail.Memory]!)!
    const at = box[Mail.Sync]! >>> 0
    try {
      kernels.useTile(box[Mail.Tile]! || kernels.tile.high)
      const status = kernels.run(box[Mail.Plan]! >>> 0, box[Mail.First]!, box[Mail.Last]!, at, box[Mail.Rank]!, box[Mail.Ranks]!)
      if (status === Status.BadRecord) return { status, message: 'the kernels do not know an op of the plan' }
      return { status, tile: status === Status.Done && box[Mail.Tile] === 0 && box[Mail.Rank] === 0 ? tuner.afterRun(kernels) : 0 }
    } catch (error) {
      // A trap: nobody must wait for this rank.
      Atomics.store(sync, (at >>> 2) + Sync.Poison, 1)
      Atomics.notify(sync, (at >>> 2) + Sync.Generation)
      return { status: Status.Aborted, message: String(error) }
    }
  }
}
