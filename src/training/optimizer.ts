import { AdamScalar, Op, SquaresRun } from '../../assembly/abi.ts'
import { expected, oneOf } from '../errors.ts'
import { gradientName } from '../graph/gradients.ts'
import type { Graph } from '../graph/graph.ts'
import { words, type Dims, type Tensor } from '../graph/tensor.ts'

export const OPTIMIZERS = ['adamw_torch', 'adamw_bert'] as const
export type OptimizerName = (typeof OPTIMIZERS)[number]

export interface AdamWOptions {
  /** `adamw_torch` (default), or `adamw_bert`, that of google-research/bert: no bias correction, clipping by exactly the norm. */
  readonly optim?: OptimizerName
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number]
  /** Default 1e-8, or 1e-6 for `adamw_bert`; added to the root. */
  readonly eps?: number
  /** Decoupled decay, default 0.01; biases and LayerNorm have none. */
  readonly weight_decay?: number
  /** The gradients' global norm is cut down to it; 0, the default, leaves it. */
  readonly max_grad_norm?: number
}

/** The options with their defaults. */
export type AdamW = Required<AdamWOptions>

export const ADAMW_OPTIONS: readonly (keyof AdamWOptions)[] = ['optim', 'betas', 'eps', 'weight_decay', 'max_grad_norm']

/** Checks the options and gives their defaults. */
export function adamWDefaults(options: AdamWOptions = {}): AdamW {
  const { optim = 'adamw_torch', betas = [0.9, 0.999], weight_decay = 0.01, max_grad_norm = 0 } = options
  oneOf('optim', optim, OPTIMIZERS)
  const { eps = optim === 'adamw_bert' ? 1e-6 : 1e-8 } = options
  if (!Array.isArray(betas) || betas.length !== 2 || betas.some((beta) => !(beta >= 0 && beta < 1)))
    throw expected('betas', 'two numbers from 0 to below 1', betas)
  for (const [name, value] of Object.entries({ eps, weight_decay, max_grad_norm }))
    if (!(value >= 0 && value < Infinity)) throw expected(name, 'a number of 0 or more', value)
  return { optim, betas, eps, weight_decay, max_grad_norm }
}

/** Names of the moments that belong to a parameter. */
export const moments = (parameter: string): [string, string] => [`${parameter}.exp_avg`, `${parameter}.exp_avg_sq`]

/** The input that AdamW's records read: AdamScalar.Words values for each group, see AdamScalars. */
export const SCALARS = 'adamw_scalars'

const NO_DIMS: Dims = { tokens: 0, sequences: 0, longest: 0, squares: 0, selected: 0 }

/**
 * Appends one update of every parameter, in place, as torch.optim.AdamW does it. Moments lie as the parameter does, so the update is
 * elementwise over panels; padding stays zero. Gradients are zero afterwards. `groups` are those of groupsOf(). Returns the moments.
 */
export function adamW(
  g: Graph,
  gradients: ReadonlyMap<Tensor, Tensor>,
  groups: Groups,
  { betas, eps, weight_decay }: Pick<AdamW, 'betas' | 'eps' | 'weight_decay'>,
): Tensor[] {
  const states: Tensor[] = []
  const scalars = g.input(SCALARS, [groups.scales.length * AdamScalar.Words], 'f32')
  for (const [parameter, gradient] of gradients) {
    const [m, v] = moments(parameter.name).map((name) => g.state(name, parameter.shape as number[], parameter.layout))
    const decay = decays(parameter.name) ? weight_decay : 0
    g.add({
      op: Op.AdamW,
      mode: 0,
      dims: [words(parameter, NO_DIMS), 1, groups.of(parameter.name)],
      operands: [parameter, gradient, m!, v!, scalars],
      floats: [betas[0], betas[1], eps, decay],
    })
    states.push(m!, v!)
  }
  return states
}

/** Hugging Face's rule: no decay for biases and LayerNorm. */
export function decays(name: string): boolean {
  return !/(^|\.)bias$|LayerNorm|layer_norm/.test(name)
}

/** What is learned at the same rate. */
export interface Groups {
  /** Of the learning rate, one a group. */
  readonly scales: readonly number[]
  of(parameter: string): number
}

/** Parameters by the scale of their learning rate. */
export function groupsOf(parameters: Iterable<string>, scaleOf: (parameter: string) => number = () => 1): Groups {
  const scales: number[] = []
  const groups = new Map<string, number>()
  for (const name of parameters) {
    const scale = scaleOf(name)
    if (!scales.includes(scale)) scales.push(scale)
    groups.set(name, scales.indexOf(scale))
  }
  return { scales, of: (parameter) => groups.get(parameter)! }
}

/**
 * Layer-wise decay of the learning rate: 1 for the head and the pooler, `decay` for the encoder's last layer, its square for the one before, and so on
 * to the embeddings.
 */
export function layerScale(decay: number, layers: number): (parameter: string) => number {
  return (parameter) => {
    const layer = /(?:^|\/)encoder\.layer\.(\d+)\./.exec(parameter)?.[1]
    const depth = layer !== undefined ? layers - Number(layer) : /(?:^|\/)embeddings\./.test(parameter) ? layers + 1 : 0
    let scale = 1
    for (let i = 0; i < depth; i++) scale *= decay
    return scale
  }
}

/** Appends the sums of squares of every gradient; returns the states that hold them. */
export function squares(g: Graph, gradients: ReadonlyMap<Tensor, Tensor>): Map<Tensor, Tensor> {
  const sums = new Map<Tensor, Tensor>()
  for (const [parameter, gradient] of gradients) {
    const count = words(gradient, NO_DIMS)
    const runs = g.state(`${gradientName(parameter.name)}.squares`, [Math.ceil(count / SquaresRun.Length)])
    g.add({ op: Op.Squares, mode: 0, dims: [count, 1], operands: [gradient, runs], floats: [] })
    sums.set(parameter, runs)
  }
  return sums
}

/** What gradients are multiplied by: as torch.nn.utils.clip_grad_norm_, or as tf.clip_by_global_norm for `adamw_bert`. */
export function clipFactor(norm: number, { optim, max_grad_norm: most }: Pick<AdamW, 'optim' | 'max_grad_norm'>): number {
  if (most === 0) return 1
  return optim === 'adamw_bert' ? most / Math.max(norm, most) : Math.min(1, most / (norm + 1e-6))
}

/** How far an optimizer is: what it goes on from, with the moments. */
export interface OptimizerCounters {
  /** Updates so far. */
  readonly steps: number
  /** Powers of the betas, multiplied up step by step. */
  readonly beta1_power: number
  readonly beta2_power: number
}

/** What the records read at step t: bias corrections by running products, so that no engine's pow is on the path. */
export class AdamScalars {
  counters: OptimizerCounters = { steps: 0, beta1_power: 1, beta2_power: 1 }

  constructor(
    private readonly options: Pick<AdamW, 'betas' | 'optim'>,
    private readonly scales: readonly number[] = [1],
  ) {}

  next(learningRate: number, gradientScale = 1): Float32Array {
    const [beta1, beta2] = this.options.betas
    const { steps, beta1_power, beta2_power } = this.counters
    this.counters = { steps: steps + 1, beta1_power: beta1_power * beta1, beta2_power: beta2_power * beta2 }
    const corrected = this.options.optim === 'adamw_torch'
    const corrections = corrected ? [1 - this.counters.beta1_power, 1 - this.counters.beta2_power] : [1, 1]
    return Float32Array.from(this.scales.flatMap((scale) => [learningRate * scale, ...corrections, gradientScale, 1 - beta1, 1 - beta2]))
  }
}
