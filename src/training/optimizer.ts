import { AdamScalar, Op } from '../../assembly/abi.ts'
import type { Graph } from '../graph/graph.ts'
import { words, type Dims, type Tensor } from '../graph/tensor.ts'

export interface AdamWOptions {
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number]
  /** Default 1e-8, added to the root as PyTorch does. */
  readonly eps?: number
  /** Decoupled decay, default 0.01; biases and LayerNorm have none. */
  readonly weight_decay?: number
}

/** Names of the moments that belong to a parameter. */
export const moments = (parameter: string): [string, string] => [`${parameter}.exp_avg`, `${parameter}.exp_avg_sq`]

/** The input that AdamW's records read: AdamScalar.Words values, see AdamScalars. */
export const SCALARS = 'adamw_scalars'

const NO_DIMS: Dims = { tokens: 0, sequences: 0, longest: 0, squares: 0, selected: 0 }

/**
 * Appends one update of every parameter, in place, as torch.optim.AdamW does it. Moments lie as the parameter does, so the update is
 * elementwise over panels; padding stays zero. Gradients are zero afterwards.
 */
export function adamW(g: Graph, gradients: ReadonlyMap<Tensor, Tensor>, options: AdamWOptions = {}): void {
  const { betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0.01 } = options
  const scalars = g.input(SCALARS, [AdamScalar.Words], 'f32')
  for (const [parameter, gradient] of gradients) {
    const [m, v] = moments(parameter.name).map((name) => g.state(name, parameter.shape as number[], parameter.layout))
    const decay = decays(parameter.name) ? weight_decay : 0
    g.add({
      op: Op.AdamW,
      mode: 0,
      dims: [words(parameter, NO_DIMS), 1],
      operands: [parameter, gradient, m!, v!, scalars],
      floats: [betas[0], betas[1], eps, decay],
    })
  }
}

/** Hugging Face's rule: no decay for biases and LayerNorm. */
export function decays(name: string): boolean {
  return !/(^|\.)bias$|LayerNorm|layer_norm/.test(name)
}

/** What the records read at step t: bias corrections by running products, so that no engine's pow is on the path. */
export class AdamScalars {
  private power1 = 1
  private power2 = 1

  constructor(private readonly betas: readonly [number, number] = [0.9, 0.999]) {}

  next(learningRate: number, gradientScale = 1): Float32Array {
    this.power1 *= this.betas[0]
    this.power2 *= this.betas[1]
    const [beta1, beta2] = this.betas
    return Float32Array.of(learningRate, 1 - this.power1, 1 - this.power2, gradientScale, 1 - beta1, 1 - beta2)
  }
}
