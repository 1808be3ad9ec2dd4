import { Op } from '../../assembly/abi.ts'
import type { Engine, Inputs } from '../engine/engine.ts'
import { gradients, gradientName } from '../graph/gradients.ts'
import { Graph } from '../graph/graph.ts'
import { words, type Dims, type Tensor } from '../graph/tensor.ts'
import { adamW, AdamScalars, SCALARS, type AdamWOptions } from './optimizer.ts'

/** The input with 1 / labels of the whole step. */
export const LOSS_SCALE = 'loss_scale'
/** The state that sums the step's loss. */
export const LOSS = 'loss'

const NO_DIMS: Dims = { tokens: 1, sequences: 1, longest: 1, squares: 1, selected: 1 }

/**
 * Training of one graph over a store: forward and backward as one plan, the optimizer as another, gradients and moments as states
 * beside the parameters. A step is any number of accumulate() calls and one update().
 */
export class TrainingSession {
  /** Parameters and their gradients, in the order in which the backward pass meets them. */
  readonly trained: ReadonlyMap<Tensor, Tensor>
  private readonly step = new Graph()
  private readonly optimizer = new Graph()
  private readonly zeroing = new Graph()
  private readonly scalars: AdamScalars

  /** `build` makes the forward and returns the loss; it is called once. */
  constructor(
    private readonly engine: Engine,
    build: (g: Graph, loss: Tensor, scale: Tensor) => Tensor,
    options: AdamWOptions = {},
  ) {
    this.scalars = new AdamScalars(options.betas)
    const total = this.step.state(LOSS, [1])
    const loss = build(this.step, total, this.step.input(LOSS_SCALE, [1], 'f32'))
    this.trained = gradients(this.step, loss)
    adamW(this.optimizer, this.trained, options)
    for (const tensor of [total, ...this.trained.values()]) {
      this.zeroing.add({ op: Op.Fill, mode: 0, dims: [words(tensor, NO_DIMS), 1], operands: [tensor], floats: [0] })
    }
    for (const graph of [this.step, this.optimizer]) {
      for (const { kind, name, shape, layout } of graph.tensors) {
        if (kind === 'parameter' || kind === 'state') this.engine.store.hold({ name, shape, layout, writable: true })
      }
    }
  }

  /** Zeroes loss and gradients: the start of a step. */
  async zero(): Promise<void> {
    const program = this.engine.program('train.zero', NO_DIMS, () => this.zeroing)
    await this.engine.exclusively(() => this.engine.run(program, NO_DIMS, {}))
  }

  /** Forward and backward of one chunk: adds to loss and gradients. `scale` is 1 / labels of the whole step. */
  async accumulate(bound: Dims, dims: Dims, inputs: Inputs, scale: number, signal?: AbortSignal): Promise<void> {
    const program = this.engine.program(`train.step.${Object.values(bound).join('.')}`, bound, () => this.step)
    await this.engine.exclusively(() => this.engine.run(program, dims, { ...inputs, [LOSS_SCALE]: Float32Array.of(scale) }, { signal }))
  }

  /** One update of every parameter; gradients are zero afterwards. */
  async update(learningRate: number): Promise<void> {
    const program = this.engine.program('train.update', NO_DIMS, () => this.optimizer)
    const inputs = { [SCALARS]: this.scalars.next(learningRate) }
    await this.engine.exclusively(() => this.engine.run(program, NO_DIMS, inputs))
  }

  loss(): number {
    return this.engine.store.read(LOSS)[0]!
  }

  /** A copy of a parameter's gradient, [N][K] in rows. */
  gradient(parameter: string): Float32Array {
    return this.engine.store.read(gradientName(parameter))
  }
}
