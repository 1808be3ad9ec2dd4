import { Plan as Layout, Slot, Sync } from '../../assembly/abi.ts'
import { BertletError, wholeOf } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { lower, type Plan } from '../graph/plan.ts'
import { words, type Dims } from '../graph/tensor.ts'
import { verify } from '../graph/verify.ts'
import { workOf, worthwhile } from '../graph/work.ts'
import type { Runtime } from '../runtimes/runtime.ts'
import { alignUp } from './allocator.ts'
import type { Precision, WeightDtype } from './build.ts'
import { runOnCaller } from './caller.ts'
import { Pool, WorkersRefused } from './pool.ts'
import { Store, type Block } from './store.ts'

/** A verified plan with its records in a store's memory. */
export interface Program {
  readonly plan: Plan
  readonly address: number
}

export type Inputs = Readonly<Record<string, Int32Array | Float32Array>>

interface RunOptions {
  readonly signal?: AbortSignal | undefined
  /** What the program's block stands for this time. */
  readonly block?: Block | undefined
  readonly first?: number
  readonly last?: number
}

let runtime: Runtime | undefined
let pool: Pool | undefined

/** Said once by the entry of each platform. */
export function useRuntime(platform: Runtime): void {
  runtime = platform
}

export function currentRuntime(): Runtime {
  if (runtime === undefined) throw new BertletError('internal', 'no runtime: import bertlet by its name, not by a file of its inside')
  return runtime
}

/** Tokens computed together unless a model says otherwise: few where the calling thread computes, for it has to answer in between. */
export const defaultBudget = (): number => (currentRuntime().workers === true ? 1024 : 128)

/** Threads for `threads: undefined`, and the check of any other value. */
export function resolveThreads(threads: number | undefined): { threads: number; why: string } {
  const platform = currentRuntime()
  if (threads === undefined) {
    if (platform.workers !== true) return { threads: 0, why: platform.workers }
    return { threads: Math.min(platform.parallelism(), 16), why: 'as many as the machine runs at once' }
  }
  wholeOf('threads', threads, 0, 64, ', 0 for the calling thread')
  if (threads > 0 && platform.workers !== true) return { threads: 0, why: platform.workers }
  return { threads, why: 'as asked' }
}

/**
 * Runs plans on one store: owns its arena, its records and the turn of its callers. The pool is the process's.
 */
export class Engine {
  private readonly programs = new Map<string, Program>()
  private arena: { address: number; bytes: number } | undefined
  /** Models on the store. */
  private holders = 1
  private turn: Promise<unknown> = Promise.resolve()

  private constructor(
    readonly store: Store,
    readonly threads: number,
  ) {}

  static async create(threads: number, precision: Precision = 'exact', dtype: WeightDtype = 'f32'): Promise<Engine> {
    return new Engine(await Store.create(precision, dtype), threads)
  }

  static createNow(threads: number, precision: Precision = 'exact', dtype: WeightDtype = 'f32'): Engine {
    return new Engine(Store.createNow(precision, dtype), threads)
  }

  /** Lets the threads start while other things are done before the first run. */
  warm(): void {
    if (this.threads > 0) (pool ??= new Pool(currentRuntime())).warm(this.store, this.threads)
  }

  /** One more model works on the store: dispose() is for each of them. */
  retain(): this {
    this.store.assertLive()
    this.holders++
    return this
  }

  get shared(): boolean {
    return this.holders > 1
  }

  /** Drops the programs whose keys begin so: their addresses are about to go. */
  forget(prefix: string): void {
    for (const [key, { address }] of this.programs) {
      if (!key.startsWith(prefix)) continue
      this.programs.delete(key)
      this.store.release(address)
    }
  }

  /**
   * Where the memory would end with `sizes` more and an arena of at least `arena` bytes, allocated in this order, once the programs whose keys
   * begin with `forgotten` are gone. Nothing changes; makeRoom() does what it says of releasing.
   */
  rehearse(forgotten: string, sizes: readonly number[], arena: number): number {
    const released = [...this.programs].filter(([key]) => key.startsWith(forgotten)).map(([, { address }]) => address)
    if (this.arenaBytes >= arena) return this.store.rehearse(released, sizes)
    return this.store.rehearse(this.arena ? [...released, this.arena.address] : released, [...sizes, arena])
  }

  /** Drops the programs whose keys begin so, and an arena of fewer than `arena` bytes: what comes next takes their place. */
  makeRoom(forgotten: string, arena: number): void {
    this.forget(forgotten)
    if (this.arena === undefined || this.arena.bytes >= arena) return
    this.store.release(this.arena.address)
    this.arena = undefined
  }

  get arenaBytes(): number {
    return this.arena?.bytes ?? 0
  }

  /** The program under `key`, lowered and verified when it is first asked for. It runs with any block of weights that is laid out as `block`. */
  program(key: string, bound: Dims, graph: () => Graph, block?: Block): Program {
    const present = this.programs.get(key)
    if (present) return present
    const { store } = this
    const inBlock = (name: string): number | undefined =>
      store.get(name).block === block ? store.get(name).address - block!.address : undefined
    const plan = lower(graph(), bound, store.kernels.tile, ({ name }) => store.get(name).address, block && (({ name }) => inBlock(name)))
    verify(plan, store.regions(), block?.address)
    const address = store.allocate(plan.words.byteLength, `plan ${key}`)
    store.view(Int32Array, address, plan.words.length).set(plan.words)
    const program = { plan, address }
    this.programs.set(key, program)
    return program
  }

  /** Waits for its turn, so that nobody else uses the arena between a run's inputs and its outputs. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(() => {
      this.store.assertLive()
      return work()
    })
    this.turn = result.then(
      () => {},
      () => {},
    )
    return result
  }

  /** Fills dims and inputs and runs the program's records. Only inside exclusively(). Outputs are read with output(). */
  async run(
    program: Program,
    dims: Dims,
    inputs: Inputs,
    { signal, block, first = 0, last = program.plan.records }: RunOptions = {},
  ): Promise<void> {
    const { store } = this
    const { plan, address } = program
    if (plan.trains) await store.train(() => pool?.detach(store))
    const arena = this.reserve(runBytes(plan, this.threads))
    const slots = store.view(Int32Array, address, Layout.Slots)
    slots[Slot.Arena] = arena
    slots[Slot.Scratch] = arena + alignUp(plan.arenaBytes)
    slots[Slot.ScratchStride] = alignUp(plan.scratchBytes)
    slots[Slot.Head] = block?.address ?? 0
    slots[Slot.Tokens] = dims.tokens
    slots[Slot.Sequences] = dims.sequences
    slots[Slot.Longest] = dims.longest
    slots[Slot.Squares] = dims.squares
    slots[Slot.Selected] = dims.selected
    slots[Slot.Offsets] = dims.sequences + 1
    for (const [name, { offset, tensor }] of plan.inputs) {
      const values = inputs[name]
      const wanted = words(tensor, dims)
      if (values?.length !== wanted)
        throw new BertletError('internal', `input ${name} has ${values?.length ?? 'no'} values, the plan wants ${wanted}`)
      const target =
        values instanceof Float32Array ? store.view(Float32Array, arena + offset, wanted) : store.view(Int32Array, arena + offset, wanted)
      target.set(values)
    }
    // Only the fast build has a choice, and only a plan with products has the scratch to find out in.
    const { high, gemmScratch } = store.kernels.tile
    const open = store.build.name === 'fast' && plan.scratchBytes >= gemmScratch
    const tile = store.build.tile || (open ? 0 : high)
    const ranks = this.threads > 1 ? worthwhile(workOf(plan, dims, first, last), this.threads) : 1
    const job = { store, plan: address, first, last, ranks, tile, signal }
    if (this.threads === 0) return runOnCaller(currentRuntime(), job)
    try {
      await (pool ??= new Pool(currentRuntime())).run(job)
    } catch (error) {
      if (!(error instanceof WorkersRefused)) throw error
      await runOnCaller(currentRuntime(), job)
    }
  }

  /** Threads that compute, and why so many: `why` unless the platform has refused some. */
  team(why: string): { count: number; why: string } {
    const refused = pool?.refused
    if (refused === undefined || refused.workers >= this.threads) return { count: this.threads, why }
    return { count: refused.workers, why: refused.why }
  }

  /** A view of an output of the last run: copy what is to outlive the turn. */
  output(program: Program, name: string, dims: Dims): Float32Array {
    const place = program.plan.outputs.get(name)
    if (place === undefined) throw new BertletError('internal', `the plan has no output ${name}`)
    return this.store.view(Float32Array, this.arena!.address + place.offset, words(place.tensor, dims))
  }

  /** One arena for all plans of the store, as large as the largest needs. */
  reserve(bytes: number): number {
    if (this.arena !== undefined && this.arena.bytes >= bytes) return this.arena.address
    if (this.arena !== undefined) this.store.release(this.arena.address)
    this.arena = undefined
    this.arena = { address: this.store.allocate(bytes, 'the activations'), bytes }
    return this.arena.address
  }

  /** With the last model, gives the memory back: when the garbage collector has seen it, no thread holds it any more. */
  async dispose(drop: () => void = () => {}): Promise<void> {
    await this.exclusively(async () => {
      if (--this.holders > 0) return drop()
      await pool?.detach(this.store)
      this.programs.clear()
      this.arena = undefined
      this.store.dispose()
    })
  }
}

/** Bytes of arena and scratch that a plan needs on `threads`. */
export function runBytes(plan: Plan, threads: number): number {
  return alignUp(plan.arenaBytes) + alignUp(plan.scratchBytes) * Math.max(threads, 1)
}

/** Bytes of the sync region. */
export const SYNC_BYTES = alignUp(Sync.Words * 4)
