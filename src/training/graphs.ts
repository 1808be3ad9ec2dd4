import { GradMode, Op } from '../../assembly/abi.ts'
import type { WeightSpec } from '../engine/store.ts'
import { gradients, type GradientOptions, type Gradients } from '../graph/gradients.ts'
import { Graph } from '../graph/graph.ts'
import { recompute } from '../graph/recompute.ts'
import { words, type Dims, type Tensor } from '../graph/tensor.ts'
import { adamW, adamWDefaults, groupsOf, moments, squares, type AdamW, type AdamWOptions, type Groups } from './optimizer.ts'

/** Dims of the graphs whose sizes no batch changes. */
export const NO_DIMS: Dims = { tokens: 1, sequences: 1, longest: 1, squares: 1, selected: 1 }

export interface GraphOptions extends AdamWOptions, Omit<GradientOptions, 'inputs'> {
  /** Stands before the names of all states, so that trainings on one store keep theirs apart. */
  readonly own?: string
  /** What a parameter's learning rate is multiplied by; 1 by default. */
  readonly scaleOf?: (parameter: string) => number
}

/** What is to be held in the store. */
export interface Held extends WeightSpec {
  readonly part: 'parameter' | 'gradient' | 'moment'
}

/** Everything that a training runs, and what it holds in the store: symbolic, it touches no memory. */
export interface TrainingGraphs {
  readonly settings: AdamW
  readonly groups: Groups
  readonly losses: readonly Tensor[]
  /** Parameters and their gradients, in the order in which the backward pass meets them. */
  readonly trained: ReadonlyMap<Tensor, Tensor>
  readonly shares: Gradients['shares']
  /** States with the sums of squares of each parameter's gradient. */
  readonly sums: ReadonlyMap<Tensor, Tensor>
  /** The names of both moments of a parameter. */
  moments(parameter: string): [string, string]
  /** Forward and backward; with recomputation each encoder layer's activations are made again in the backward pass. */
  step(recomputation: boolean): Graph
  /** Those of NO_DIMS, by name. `measuring` completes the gradients and measures them. */
  readonly fixed: Readonly<Record<'zeroing' | 'measuring' | 'optimizer', Graph>>
  readonly held: readonly Held[]
}

/**
 * `build` makes the forward and returns the losses, states of one value that it adds to; it is called once, and may fill `seeds`, the gradients that
 * come from elsewhere.
 */
export function trainingGraphs(build: (g: Graph) => readonly Tensor[], options: GraphOptions = {}): TrainingGraphs {
  const { own = '', trainable, seeds, scaleOf, ...adamWOptions } = options
  const settings = adamWDefaults(adamWOptions)
  const [step, zeroing, measuring, optimizer] = [new Graph(own), new Graph(own), new Graph(own), new Graph(own)]
  const losses = build(step)
  const { forward, trained, shares } = gradients(step, losses, { ...(trainable && { trainable }), ...(seeds && { seeds }) })
  const names = new Set([...trained.keys()].map(({ name }) => name))
  const groups = groupsOf(names, scaleOf)
  for (const { share, gradient } of shares) {
    const dims = [words(share, NO_DIMS), 1]
    measuring.add({ op: Op.Copy, mode: GradMode.Accumulate, dims, operands: [share, gradient], floats: [] })
    fill(measuring, share)
  }
  const sums = squares(measuring, trained)
  const ofMoments = new Set(adamW(optimizer, trained, groups, settings))
  for (const tensor of [...trained.values(), ...shares.map(({ share }) => share)]) fill(zeroing, tensor)
  const tensors = new Map([step, measuring, optimizer].flatMap((graph) => graph.tensors.map((tensor) => [tensor.name, tensor])))
  const held = [...tensors.values()].flatMap((tensor): Held[] => {
    const { kind, name, shape, layout } = tensor
    if (kind === 'parameter') return [{ part: kind, name, shape, layout, writable: names.has(name) }]
    if (kind === 'state') return [{ part: ofMoments.has(tensor) ? 'moment' : 'gradient', name, shape, layout, writable: true }]
    return []
  })
  let less: Graph | undefined
  return {
    settings,
    groups,
    losses,
    trained,
    shares,
    sums,
    moments: (parameter) => moments(`${own}${parameter}`),
    step: (recomputation) => (recomputation ? (less ??= recompute(step, forward)) : step),
    fixed: { zeroing, measuring, optimizer },
    held,
  }
}

const fill = (g: Graph, tensor: Tensor): void =>
  g.add({ op: Op.Fill, mode: 0, dims: [words(tensor, NO_DIMS), 1], operands: [tensor], floats: [0] })
