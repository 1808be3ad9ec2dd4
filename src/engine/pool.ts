import { Status, Sync } from '../../assembly/abi.ts'
import { BertletError } from '../errors.ts'
import type { Runtime, WorkerData, WorkerHandle } from '../runtimes/runtime.ts'
import { Command, Mail, MAILBOX_WORDS, type Attach, type FromWorker } from './mailbox.ts'
import type { Store } from './store.ts'

/** Records first..last-1 of a plan of a store, on `ranks` workers. */
export interface Job {
  readonly store: Store
  readonly plan: number
  readonly first: number
  readonly last: number
  readonly ranks: number
  /** Rows of a GEMM tile; 0: the run is to find out which are quicker. */
  readonly tile: number
  readonly signal?: AbortSignal | undefined
}

interface Member {
  readonly handle: WorkerHandle
  readonly box: Int32Array
  /** Memory ids that it has an instance of. */
  readonly attached: Set<number>
  alive: boolean
  /** It has said something: it really runs. */
  started: boolean
  /** In its event loop, not on its mailbox. */
  listening: boolean
  /** Settles the attach in progress. */
  attaching?: ((error?: Error) => void) | undefined
}

interface Run {
  readonly job: Job
  readonly members: readonly Member[]
  readonly generation: number
  settle(status: Status, error?: BertletError): void
}

/** The platform does not let a worker start, and says why. */
export class WorkersRefused extends Error {}

/**
 * The one pool of the process. Workers sleep on their mailboxes; jobs wait in one queue. A worker that ends, asked or not, is replaced when
 * the next job needs it. Where the platform lets fewer start than asked for, those that started do the work.
 */
export class Pool {
  private readonly members: (Member | undefined)[] = [] // by rank
  /** As many workers as start here, and what was said of the next; undefined as long as all did. */
  private refusal: { readonly workers: number; readonly why: string } | undefined
  private queue: Promise<void> = Promise.resolve()
  private current: Run | undefined
  private generation = 0

  constructor(private readonly runtime: Runtime) {}

  get refused(): { readonly workers: number; readonly why: string } | undefined {
    return this.refusal
  }

  /**
   * Runs a job when those before it are done. Rejects on abort, on a worker's end and on a trap, and the pool stays usable; with
   * WorkersRefused where no worker can start.
   */
  run(job: Job): Promise<void> {
    const result = this.queue.then(() => this.start(job))
    this.queue = result.then(nothing, nothing)
    return result
  }

  /**
   * Starts the workers of a store ahead of its first job: while its weights are read they boot and make their instances. What fails here
   * fails again when a job needs it, and is told then.
   */
  warm(store: Store, ranks: number): void {
    const started = this.queue.then(async () => {
      for (const member of await this.team({ ranks, store })) member.handle.unref()
    })
    this.queue = started.then(nothing, nothing)
  }

  /** Ends the workers that know a store, so that its memory can be collected; others start when they are needed. */
  async detach(store: Store): Promise<void> {
    const retire = this.queue.then(() => {
      for (const member of this.members) if (member?.attached.has(store.id)) this.retire(member)
    })
    this.queue = retire.then(nothing, nothing)
    await retire
  }

  private async start(job: Job): Promise<void> {
    job.signal?.throwIfAborted()
    const members = await this.team(job)
    try {
      job.signal?.throwIfAborted()
      await this.dispatch(job, members)
    } finally {
      for (const member of members) member.handle.unref()
    }
  }

  /** The members that run a job, each with an instance of its store: as many as asked for and as the platform lets start. */
  private async team({ ranks, store }: Pick<Job, 'ranks' | 'store'>): Promise<Member[]> {
    const size = Math.min(ranks, this.refusal?.workers ?? ranks)
    if (size === 0) throw new WorkersRefused(this.refusal!.why)
    const called = await Promise.allSettled(Array.from({ length: size }, (_, rank) => this.call(rank, store)))
    const members: Member[] = []
    let failure: Error | undefined
    for (const result of called) {
      if (result.status === 'fulfilled') members.push(result.value)
      else if (failure === undefined || failure instanceof WorkersRefused) failure = result.reason as Error
    }
    if (failure === undefined) return members
    for (const member of members) member.handle.unref()
    if (!(failure instanceof WorkersRefused)) throw failure
    // Ranks have no gaps: those behind the first that did not start are not used.
    this.refusal = { workers: called.findIndex(({ status }) => status === 'rejected'), why: failure.message }
    return this.team({ ranks, store })
  }

  /** The worker of a rank, started and attached. */
  private async call(rank: number, store: Store): Promise<Member> {
    const member = this.member(rank)
    member.handle.ref()
    try {
      await this.attach(member, store)
      return member
    } catch (error) {
      member.handle.unref()
      throw error
    }
  }

  private dispatch(job: Job, members: readonly Member[]): Promise<void> {
    const { store, signal } = job
    const sync = store.view(Int32Array, store.sync, Sync.Words)
    const generation = ++this.generation
    const poison = (): void => {
      Atomics.store(sync, Sync.Poison, 1)
      Atomics.notify(sync, Sync.Generation)
    }
    return new Promise<void>((resolve, reject) => {
      const settle = (status: Status, error?: BertletError): void => {
        if (this.current?.generation !== generation) return
        this.current = undefined
        signal?.removeEventListener('abort', poison)
        if (status === Status.Done && error === undefined) {
          // An abort that came after the last record. The generation is never reset here: a rank may still be on its way out.
          Atomics.store(sync, Sync.Poison, 0)
          return resolve()
        }
        // Every rank must have left before the sync region or the arena serves again.
        poison()
        void this.left(members, generation).then(() => {
          sync.fill(0)
          reject(
            error ?? (signal?.aborted ? (signal.reason as Error) : new BertletError('internal', `the run ended with status ${status}`)),
          )
        })
      }
      this.current = { job, members, generation, settle }
      signal?.addEventListener('abort', poison, { once: true })
      members.forEach((member, rank) => {
        const { box } = member
        box[Mail.Command] = Command.Run
        box[Mail.Memory] = store.id
        box[Mail.Plan] = job.plan
        box[Mail.First] = job.first
        box[Mail.Last] = job.last
        box[Mail.Sync] = store.sync
        box[Mail.Rank] = rank
        box[Mail.Ranks] = members.length
        box[Mail.Tile] = job.tile
        this.wake(member, generation)
      })
      const dead = members.find((member) => !member.alive)
      if (dead) settle(Status.Aborted, ended('it was gone before the run'))
    })
  }

  /** Resolves when no living worker is inside the run any more. */
  private async left(members: readonly Member[], generation: number): Promise<void> {
    while (members.some((member) => member.alive && Atomics.load(member.box, Mail.Left) !== generation)) await this.runtime.turn()
  }

  private wake(member: Member, generation: number): void {
    Atomics.store(member.box, Mail.Generation, generation)
    Atomics.notify(member.box, Mail.Generation)
  }

  private member(rank: number): Member {
    const present = this.members[rank]
    if (present?.alive) return present
    const control = new SharedArrayBuffer(MAILBOX_WORDS * 4)
    const handle = this.spawn({ control })
    const member: Member = {
      handle,
      box: new Int32Array(control),
      attached: new Set(),
      alive: true,
      started: false,
      listening: true,
    }
    this.members[rank] = member
    handle.onMessage((message) => this.receive(member, message as FromWorker))
    handle.onExit((reason) => this.exited(member, reason))
    return member
  }

  private spawn(data: WorkerData): WorkerHandle {
    try {
      return this.runtime.spawn(data)
    } catch (error) {
      throw new WorkersRefused(refusedBecause(error instanceof Error ? error.message : String(error)))
    }
  }

  private async attach(member: Member, store: Store): Promise<void> {
    if (member.attached.has(store.id)) return
    if (!member.listening) {
      member.box[Mail.Command] = Command.Listen
      this.wake(member, ++this.generation)
      member.listening = true
    }
    const message: Attach = { type: 'attach', memory: store.id, module: store.build.module, buffer: store.memory }
    await new Promise<void>((resolve, reject) => {
      member.attaching = (error) => {
        member.attaching = undefined
        if (error) reject(error)
        else resolve()
      }
      member.handle.post(message)
    })
    member.attached.add(store.id)
    member.listening = false
  }

  private receive(member: Member, message: FromWorker): void {
    member.started = true
    if (message.type === 'attached') member.attaching?.()
    else if (message.type === 'failed') {
      const error = new BertletError('internal', `a worker failed: ${message.message}`)
      if (member.attaching) member.attaching(error)
      else if (this.current?.members.includes(member)) this.current.settle(Status.Aborted, error)
    } else if (this.current?.generation === message.generation) {
      this.current.job.store.build.tile ||= message.tile
      this.current.settle(message.status)
    }
  }

  private exited(member: Member, reason: string): void {
    member.alive = false
    const error = ended(reason)
    member.attaching?.(member.started ? error : new WorkersRefused(refusedBecause(reason)))
    if (this.current?.members.includes(member)) this.current.settle(Status.Aborted, error)
  }

  private retire(member: Member): void {
    member.alive = false
    this.members[this.members.indexOf(member)] = undefined
    member.handle.terminate()
  }
}

function ended(reason: string): BertletError {
  return new BertletError('worker_failed', `a worker ended while it was needed: ${reason}`, 'Call again: the worker is replaced')
}

const refusedBecause = (reason: string): string => `workers were refused here: ${reason}`

const nothing = (): void => {}
