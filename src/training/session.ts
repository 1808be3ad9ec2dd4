import { runBytes, type Engine, type Inputs, type Program } from '../engine/engine.ts'
import type { Dims, Tensor } from '../graph/tensor.ts'
import { NO_DIMS, type TrainingGraphs } from './graphs.ts'
import { AdamScalars, SCALARS, type OptimizerCounters } from './optimizer.ts'

/** Euclidean norms of a step's gradients. */
export interface GradientNorms {
  /** Of all together. */
  readonly total: number
  /** Of each, by its parameter. */
  readonly of: ReadonlyMap<string, number>
}

/**
 * Runs a training's graphs over a store: forward and backward as one plan, the gradients' norms as another, the optimizer as a third; gradients and
 * moments are states beside the parameters. A step is any number of accumulate() calls, norms(), and one update().
 */
export class TrainingSession {
  private readonly scalars: AdamScalars
  private readonly held: string[] = []
  private readonly key: string
  private prepared: { bound: Dims; recomputation: boolean } | undefined
  private measured: GradientNorms | undefined
  /** Whether all gradients are zero: the optimizer leaves them so. */
  private zeroed = false

  /** `key` sets the session's plans apart from others on the engine. */
  constructor(
    private readonly engine: Engine,
    private readonly graphs: TrainingGraphs,
    key = '',
  ) {
    this.key = `${key}|train.`
    this.scalars = new AdamScalars(graphs.settings, graphs.groups.scales)
    for (const spec of graphs.held) {
      engine.store.hold(spec)
      this.held.push(spec.name)
    }
  }

  /** Parameters and their gradients, in the order in which the backward pass meets them. */
  get trained(): ReadonlyMap<Tensor, Tensor> {
    return this.graphs.trained
  }

  /** Dims that accumulate() has a plan for. */
  get bound(): Dims | undefined {
    return this.prepared?.bound
  }

  /** Places all plans, that of accumulate() for chunks up to `bound`, and the arena last: a step needs nothing more. `arena` tells its bytes. */
  prepare(bound: Dims, recomputation = false, arena = 0): Promise<void> {
    return this.engine.exclusively(async () => {
      this.prepared = { bound, recomputation }
      this.engine.makeRoom(`${this.key}step`, arena)
      const programs = [...NAMES.map((name) => this.fixed(name)), this.step()]
      this.engine.reserve(Math.max(arena, ...programs.map(({ plan }) => runBytes(plan, this.engine.threads))))
    })
  }

  /** Zeroes losses and gradients: the start of a step. */
  async zero(): Promise<void> {
    await this.engine.exclusively(async () => {
      for (const { name } of this.graphs.losses) this.engine.store.write(name, Float32Array.of(0))
    })
    if (!this.zeroed) await this.run(() => this.fixed('zeroing'), NO_DIMS, {})
    this.measured = undefined
  }

  /** Forward and backward of one chunk: adds to losses and gradients. */
  accumulate(dims: Dims, inputs: Inputs, signal?: AbortSignal): Promise<void> {
    this.measured = undefined
    this.zeroed = false
    return this.run(() => this.step(), dims, inputs, signal)
  }

  /** Completes the gradients and measures them: in one order, so the same bits for any threads and cut. Good to 2^-24. */
  async norms(): Promise<GradientNorms> {
    if (this.measured !== undefined) return this.measured
    await this.run(() => this.fixed('measuring'), NO_DIMS, {})
    const of = new Map<string, number>()
    let total = 0
    for (const [{ name }, runs] of this.graphs.sums) {
      let sum = 0
      for (const part of this.engine.store.read(runs.name)) sum += part
      of.set(name, Math.sqrt(sum))
      total += sum
    }
    return (this.measured = { total: Math.sqrt(total), of })
  }

  /** One update of every parameter, by gradients times `gradientScale`; zero() starts the next step. */
  async update(learningRate: number, gradientScale = 1): Promise<void> {
    await this.norms()
    await this.run(() => this.fixed('optimizer'), NO_DIMS, { [SCALARS]: this.scalars.next(learningRate, gradientScale) })
    this.measured = undefined
    this.zeroed = true
  }

  /** The sum of the losses, in f32. */
  loss(): number {
    return this.graphs.losses.reduce((sum, { name }) => Math.fround(sum + this.engine.store.read(name)[0]!), 0)
  }

  /** A copy of a parameter's gradient, [N][K] in rows. */
  gradient(parameter: string): Float32Array {
    const gradient = [...this.trained].find(([{ name }]) => name === parameter)![1]
    const sum = this.engine.store.read(gradient.name)
    for (const { share } of this.graphs.shares.filter((one) => one.gradient === gradient)) {
      this.engine.store.read(share.name).forEach((x, i) => (sum[i]! += x))
    }
    return sum
  }

  /** The optimizer's states: the names of both moments of every trained parameter. */
  moments(): { parameter: Tensor; names: [string, string] }[] {
    return [...this.trained.keys()].map((parameter) => ({ parameter, names: this.graphs.moments(parameter.name) }))
  }

  get counters(): OptimizerCounters {
    return this.scalars.counters
  }

  set counters(counters: OptimizerCounters) {
    this.scalars.counters = counters
  }

  /** Gives gradients, moments and plans back; the parameters stay with their model. */
  dispose(): Promise<void> {
    return this.engine.exclusively(async () => {
      this.engine.forget(this.key)
      for (const name of this.held.splice(0)) this.engine.store.drop(name)
    })
  }

  private fixed(name: keyof TrainingGraphs['fixed']): Program {
    return this.engine.program(`${this.key}${name}`, NO_DIMS, () => this.graphs.fixed[name])
  }

  private step(): Program {
    const { bound, recomputation } = this.prepared!
    return this.engine.program(`${this.key}step`, bound, () => this.graphs.step(recomputation))
  }

  private run(program: () => Program, dims: Dims, inputs: Inputs, signal?: AbortSignal): Promise<void> {
    return this.engine.exclusively(() => this.engine.run(program(), dims, inputs, { signal }))
  }
}

const NAMES = ['zeroing', 'measuring', 'optimizer'] as const
