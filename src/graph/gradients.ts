import { GradMode, Op } from '../../assembly/abi.ts'
import { BACKWARD } from './backward.ts'
import type { Graph } from './graph.ts'
import { reads, writes, type Node } from './graph.ts'
import type { Tensor } from './tensor.ts'

export interface GradientOptions {
  /** Which parameters are trained; all by default. */
  readonly trainable?: (parameter: Tensor) => boolean
  /** Gradients that are given: of tensors that a loss elsewhere depends on. */
  readonly seeds?: ReadonlyMap<Tensor, Tensor>
  /** Inputs whose gradients are wanted too. */
  readonly inputs?: readonly Tensor[]
}

/** The name under which the gradient of a parameter is kept in the store. */
export const gradientName = (parameter: string): string => `${parameter}.grad`

export interface Gradients {
  /** Nodes of the forward; behind them stand those of the backward pass. */
  readonly forward: number
  /** The gradient of every trained parameter. */
  readonly trained: ReadonlyMap<Tensor, Tensor>
  /** What is to be added to a gradient when the last chunk is through. */
  readonly shares: readonly { readonly share: Tensor; readonly gradient: Tensor }[]
  /** Of each input that was asked for. */
  readonly ofInputs: readonly Tensor[]
}

/**
 * Appends the backward pass of everything that leads to the losses. Parameters' gradients are states and are added to, so a step may be cut in
 * chunks; zero them before the first. A parameter that is used twice, as tied word tables are, has a sum for each use: sums that took turns
 * would depend on the cut.
 */
export function gradients(
  graph: Graph,
  losses: readonly Tensor[],
  { trainable = () => true, seeds = new Map(), inputs = [] }: GradientOptions = {},
): Gradients {
  const forward = [...graph.nodes]
  const count = forward.length
  const needed = needsGradient(forward, trainable, inputs)
  const found = new Map<Tensor, Tensor>(seeds)
  const trained = new Map<Tensor, Tensor>()
  const shares: { share: Tensor; gradient: Tensor }[] = []
  const borrowed = new Set<Tensor>(seeds.keys()) // tensors whose gradient is, so far, another's buffer

  const into = (tensor: Tensor, emit: (target: Tensor, accumulate: boolean) => void): void => {
    if (!needed.has(tensor)) return
    if (tensor.kind === 'parameter') {
      const gradient = trained.get(tensor)
      const name = gradientName(tensor.name) + (gradient === undefined ? '' : `.${shares.length}`)
      const target = graph.state(name, tensor.shape, tensor.layout)
      if (gradient === undefined) trained.set(tensor, target)
      else shares.push({ share: target, gradient })
      return emit(target, true)
    }
    const present = found.get(tensor)
    if (present === undefined) {
      const grad = gradientBuffer(graph, tensor)
      found.set(tensor, grad)
      return emit(grad, false)
    }
    if (!borrowed.has(tensor)) return emit(present, true)
    const own = gradientBuffer(graph, tensor)
    copy(graph, present, own, false)
    borrowed.delete(tensor)
    found.set(tensor, own)
    emit(own, true)
  }

  const pass = (tensor: Tensor, dy: Tensor): void => {
    if (!needed.has(tensor)) return
    if (tensor.kind === 'parameter' || found.has(tensor)) return into(tensor, (target, accumulate) => copy(graph, dy, target, accumulate))
    found.set(tensor, dy)
    borrowed.add(tensor)
  }

  for (const node of forward.reverse()) {
    if (node.output === undefined || !needed.has(node.output)) continue
    const dy = losses.includes(node.output) ? node.output : found.get(node.output)
    if (dy === undefined) continue
    const [rule, backward] = [BACKWARD[node.op], { graph, dy, into, pass }]
    if (node.grad) node.grad(backward)
    else if (rule) rule(node, backward)
    else throw new Error(`op ${node.op} has no gradient`)
  }
  return { forward: count, trained, shares, ofInputs: inputs.map((input) => found.get(input)!) }
}

/** Everything that depends on a trained parameter, or on an input whose gradient is wanted. */
function needsGradient(nodes: readonly Node[], trainable: (parameter: Tensor) => boolean, inputs: readonly Tensor[]): Set<Tensor> {
  const needed = new Set<Tensor>(inputs)
  const wants = (t: Tensor): boolean => needed.has(t) || (t.kind === 'parameter' && trainable(t))
  for (const node of nodes) {
    const sources = reads(node).filter(wants)
    if (sources.length === 0) continue
    for (const t of sources) needed.add(t)
    for (const t of writes(node)) needed.add(t)
  }
  return needed
}

/** Gradients lie in rows, whatever the layout of the value: heads come back as [T][heads*d]. */
function gradientBuffer(graph: Graph, tensor: Tensor): Tensor {
  if (tensor.layout !== 'heads') return graph.value(tensor.shape)
  const [heads, t, d] = tensor.shape as [number, number, number]
  return graph.value([t, heads * d])
}

function copy(graph: Graph, from: Tensor, to: Tensor, accumulate: boolean): void {
  const [n, m = 1] = from.shape
  graph.add({ op: Op.Copy, mode: accumulate ? GradMode.Accumulate : 0, dims: [n!, m], operands: [from, to], floats: [] })
}
