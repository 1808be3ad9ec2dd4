import { Activation, Op, RowMode } from '../../assembly/abi.ts'
import { accumulatesInto, reads, writes, type Graph, type Node } from './graph.ts'
import type { Tensor } from './tensor.ts'

/**
 * Rewrites a forward graph for inference: activations into the GEMM before them, residual sums and embeddings into the LayerNorm
 * after them; what only the backward pass reads is not kept. A tensor that is asked for as an output, or read elsewhere, is never fused away.
 */
export function fuse(graph: Graph): void {
  if (graph.nodes.some((node) => accumulatesInto(node) && node.op !== Op.Gemm)) throw new Error('fuse() is for inference graphs')
  const readers = countReaders(graph)
  const only = (t: Tensor): boolean => readers.get(t) === 1
  const result: Node[] = []
  /** What an adapter adds to, and what it becomes: products before that write to the same. */
  const rename = (from: Tensor, to: Tensor): void =>
    result.forEach((node, i) => {
      if (node.operands.includes(from)) result[i] = { ...node, operands: node.operands.map((t) => (t === from ? to : t)), output: to }
    })
  const producer = new Map<Tensor, number>() // index in result
  const drop = (index: number): Node => {
    const node = result[index]!
    result[index] = DROPPED
    return node
  }
  const push = (node: Node): void => {
    for (const t of writes(node)) producer.set(t, result.length)
    result.push(node)
  }

  for (const node of graph.nodes) {
    const first = node.operands[0]!
    const before = first && only(first) ? result[producer.get(first) ?? -1] : undefined

    if (node.op === Op.Activation && before && PRODUCTS.includes(before.op) && (before.mode & Activation.Mask) === 0) {
      drop(producer.get(first)!)
      const [a, b, bias] = before.operands
      if (accumulatesInto(before)) rename(first, node.operands[1]!)
      push({ ...before, mode: before.mode | node.mode, operands: [a!, b!, bias!, node.operands[1]!], output: node.output })
    } else if (node.op === Op.Activation) {
      push({ ...node, operands: [...node.operands.slice(0, 2), null] })
    } else if (node.op === Op.LayerNorm && before?.op === Op.Add) {
      drop(producer.get(first)!)
      const [, , gamma, beta, y] = node.operands
      push({ ...node, operands: [before.operands[0]!, before.operands[1]!, gamma!, beta!, y!, null] })
    } else if (node.op === Op.LayerNorm && before?.op === Op.Embedding) {
      drop(producer.get(first)!)
      const [, , gamma, beta, y] = node.operands
      const operands = [...before.operands.slice(0, 6), gamma!, beta!, y!]
      push({ ...before, mode: before.mode | RowMode.Fused, operands, floats: node.floats, output: y! })
    } else if (node.op === Op.LayerNorm) {
      push({ ...node, operands: [...node.operands.slice(0, 5), null] })
    } else if (node.op === Op.Attention) {
      push({ ...node, operands: [...node.operands.slice(0, 5), null, ...node.operands.slice(6)] })
    } else push(node)
  }
  graph.nodes = result.filter((node) => node !== DROPPED)
}

/** What takes an activation of its own. */
const PRODUCTS: readonly Op[] = [Op.Gemm, Op.GemmInt8, Op.GemmInt4]

const DROPPED: Node = { op: Op.Fill, mode: 0, dims: [], operands: [], floats: [] }

/** How often each tensor is read; an output counts as read by the caller, and what is added to as not. */
function countReaders(graph: Graph): Map<Tensor, number> {
  const readers = new Map<Tensor, number>()
  const count = (t: Tensor): void => void readers.set(t, (readers.get(t) ?? 0) + 1)
  for (const node of graph.nodes) reads(node).forEach((t) => (accumulatesInto(node) && writes(node).includes(t)) || count(t))
  for (const t of graph.outputs.values()) count(t)
  return readers
}
