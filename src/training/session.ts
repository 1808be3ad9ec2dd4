import { GradMode, Op } from '../../assembly/abi.ts'
import type { Engine, Inputs } from '../engine/engine.ts'
import { gradients, type GradientOptions, type Gradients } from '../graph/gradients.ts'
import { Graph } from '../graph/graph.ts'
import { words, type Dims, type Tensor } from '../graph/tensor.ts'
import { adamW, AdamScalars, SCALARS, type AdamWOptions } from './optimizer.ts'

const NO_DIMS: Dims = { tokens: 1, sequences: 1, longest: 1, squares: 1, selected: 1 }

export interface SessionOptions extends AdamWOptions, GradientOptions {
  /** Sets the session's plans apart from others on the engine. */
  readonly key?: string
}

/**
 * Training of one graph over a store: forward and backward as one plan, the optimizer as another, gradients and moments as states
 * beside the parameters. A step is any number of accumulate() calls and one update().
 */
export class TrainingSession {
  /** Parameters and their gradients, in the order in which the backward pass meets them. */
  readonly trained: ReadonlyMap<Tensor, Tensor>
  private readonly shares: Gradients['shares']
  private readonly step = new Graph()
  private readonly optimizer = new Graph()
  private readonly zeroing = new Graph()
  private readonly scalars: AdamScalars
  private readonly losses: readonly Tensor[]
  private readonly held: string[] = []
  private readonly key: string

  /** `build` makes the forward and returns the losses, states of one value that it adds to; it is called once. */
  constructor(
    private readonly engine: Engine,
    build: (g: Graph) => readonly Tensor[],
    { key = '', trainable, ...options }: SessionOptions = {},
  ) {
    this.key = `${key}|train.`
    this.scalars = new AdamScalars(options.betas)
    this.losses = build(this.step)
    const { trained, shares } = gradients(this.step, this.losses, trainable && { trainable })
    this.trained = trained
    this.shares = shares
    for (const { share, gradient } of shares) {
      const dims = [words(share, NO_DIMS), 1]
      this.optimizer.add({ op: Op.Copy, mode: GradMode.Accumulate, dims, operands: [share, gradient], floats: [] })
    }
    adamW(this.optimizer, this.trained, options)
    for (const tensor of [...this.losses, ...trained.values(), ...shares.map(({ share }) => share)]) {
      this.zeroing.add({ op: Op.Fill, mode: 0, dims: [words(tensor, NO_DIMS), 1], operands: [tensor], floats: [0] })
    }
    const tensors = new Map([this.step, this.optimizer].flatMap((graph) => graph.tensors.map((tensor) => [tensor.name, tensor])))
    const written = new Set([...trained.keys()].map(({ name }) => name))
    for (const { kind, name, shape, layout } of tensors.values()) {
      if (kind !== 'parameter' && kind !== 'state') continue
      engine.store.hold({ name, shape, layout, writable: kind === 'state' || written.has(name) })
      this.held.push(name)
    }
  }

  /** Zeroes losses and gradients: the start of a step. */
  zero(): Promise<void> {
    return this.run('zero', NO_DIMS, this.zeroing, NO_DIMS, {})
  }

  /** Forward and backward of one chunk: adds to losses and gradients. */
  accumulate(bound: Dims, dims: Dims, inputs: Inputs, signal?: AbortSignal): Promise<void> {
    return this.run(`step.${Object.values(bound).join('.')}`, bound, this.step, dims, inputs, signal)
  }

  /** One update of every parameter; zero() starts the next step. */
  update(learningRate: number): Promise<void> {
    return this.run('update', NO_DIMS, this.optimizer, NO_DIMS, { [SCALARS]: this.scalars.next(learningRate) })
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
