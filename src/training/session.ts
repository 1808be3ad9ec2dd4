import { GradMode, Op } from '../../assembly/abi.ts'
import type { Engine, Inputs } from '../engine/engine.ts'
import { gradients, type GradientOptions, type Gradients } from '../graph/gradients.ts'
import { Graph } from '../graph/graph.ts'
import { words, type Dims, type Tensor } from '../graph/tensor.ts'
import { adamW, adamWDefaults, AdamScalars, groupsOf, moments, SCALARS, squares } from './optimizer.ts'
import type { AdamWOptions, OptimizerCounters } from './optimizer.ts'

const NO_DIMS: Dims = { tokens: 1, sequences: 1, longest: 1, squares: 1, selected: 1 }

export interface SessionOptions extends AdamWOptions, GradientOptions {
  /** Sets the session's plans apart from others on the engine. */
  readonly key?: string
  /** What a parameter's learning rate is multiplied by; 1 by default. */
  readonly scaleOf?: (parameter: string) => number
}

/** Euclidean norms of a step's gradients. */
export interface GradientNorms {
  /** Of all together. */
  readonly total: number
  /** Of each, by its parameter. */
  readonly of: ReadonlyMap<string, number>
}

/**
 * Training of one graph over a store: forward and backward as one plan, the gradients' norms as another, the optimizer as a third; gradients and
 * moments are states beside the parameters. A step is any number of accumulate() calls, norms(), and one update().
 */
export class TrainingSession {
  /** Parameters and their gradients, in the order in which the backward pass meets them. */
  readonly trained: ReadonlyMap<Tensor, Tensor>
  private readonly shares: Gradients['shares']
  private readonly sums: ReadonlyMap<Tensor, Tensor>
  private readonly step = new Graph()
  private readonly measuring = new Graph()
  private readonly optimizer = new Graph()
  private readonly zeroing = new Graph()
  private readonly scalars: AdamScalars
  private readonly losses: readonly Tensor[]
  private readonly held: string[] = []
  private readonly key: string
  private measured: GradientNorms | undefined

  /** `build` makes the forward and returns the losses, states of one value that it adds to; it is called once. */
  constructor(
    private readonly engine: Engine,
    build: (g: Graph) => readonly Tensor[],
    { key = '', trainable, scaleOf, ...options }: SessionOptions = {},
  ) {
    this.key = `${key}|train.`
    const settings = adamWDefaults(options)
    this.losses = build(this.step)
    const { trained, shares } = gradients(this.step, this.losses, trainable && { trainable })
    this.trained = trained
    this.shares = shares
    const groups = groupsOf(
      [...trained.keys()].map(({ name }) => name),
      scaleOf,
    )
    this.scalars = new AdamScalars(settings, groups.scales)
    for (const { share, gradient } of shares) {
      const dims = [words(share, NO_DIMS), 1]
      this.measuring.add({ op: Op.Copy, mode: GradMode.Accumulate, dims, operands: [share, gradient], floats: [] })
      fill(this.measuring, share)
    }
    this.sums = squares(this.measuring, trained)
    adamW(this.optimizer, trained, groups, settings)
    for (const tensor of [...trained.values(), ...shares.map(({ share }) => share)]) fill(this.zeroing, tensor)
    const tensors = new Map(
      [this.step, this.measuring, this.optimizer].flatMap((graph) => graph.tensors.map((tensor) => [tensor.name, tensor])),
    )
    const written = new Set([...trained.keys()].map(({ name }) => name))
    for (const { kind, name, shape, layout } of tensors.values()) {
      if (kind !== 'parameter' && kind !== 'state') continue
      engine.store.hold({ name, shape, layout, writable: kind === 'state' || written.has(name) })
      this.held.push(name)
    }
  }

  /** Zeroes losses and gradients: the start of a step. */
  async zero(): Promise<void> {
    await this.engine.exclusively(async () => {
      for (const { name } of this.losses) this.engine.store.write(name, Float32Array.of(0))
    })
    // Always: another training of the same parameters may have left something in them.
    await this.run('zero', NO_DIMS, this.zeroing, NO_DIMS, {})
    this.measured = undefined
  }

  /** Forward and backward of one chunk: adds to losses and gradients. */
  accumulate(bound: Dims, dims: Dims, inputs: Inputs, signal?: AbortSignal): Promise<void> {
    this.measured = undefined
    return this.run(`step.${Object.values(bound).join('.')}`, bound, this.step, dims, inputs, signal)
  }

  /** Completes the gradients and measures them: in one order, so the same bits for any threads and cut. Good to 2^-24. */
  async norms(): Promise<GradientNorms> {
    if (this.measured !== undefined) return this.measured
    await this.run('norms', NO_DIMS, this.measuring, NO_DIMS, {})
    const of = new Map<string, number>()
    let total = 0
    for (const [{ name }, runs] of this.sums) {
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
    await this.run('update', NO_DIMS, this.optimizer, NO_DIMS, { [SCALARS]: this.scalars.next(learningRate, gradientScale) })
    this.measured = undefined
  }

  /** The sum of the losses, in f32. */
  loss(): number {
    return this.losses.reduce((sum, { name }) => Math.fround(sum + this.engine.store.read(name)[0]!), 0)
  }

  /** A copy of a parameter's gradient, [N][K] in rows. */
  gradient(parameter: string): Float32Array {
    const gradient = [...this.trained].find(([{ name }]) => name === parameter)![1]
    const sum = this.engine.store.read(gradient.name)
    for (const { share } of this.shares.filter((one) => one.gradient === gradient)) {
      this.engine.store.read(share.name).forEach((x, i) => (sum[i]! += x))
    }
    return sum
  }

  /** The optimizer's states: the names of both moments of every trained parameter. */
  moments(): { parameter: Tensor; names: [string, string] }[] {
    return [...this.trained.keys()].map((parameter) => ({ parameter, names: moments(parameter.name) }))
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

  private run(name: string, bound: Dims, graph: Graph, dims: Dims, inputs: Inputs, signal?: AbortSignal): Promise<void> {
    return this.engine.exclusively(() => {
      const program = this.engine.program(`${this.key}${name}`, bound, () => graph)
      return this.engine.run(program, dims, inputs, { signal })
    })
  }
}

const fill = (g: Graph, tensor: Tensor): void =>
  g.add({ op: Op.Fill, mode: 0, dims: [words(tensor, NO_DIMS), 1], operands: [tensor], floats: [0] })
