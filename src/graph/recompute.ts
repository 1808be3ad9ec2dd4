import { accumulatesInto, reads, writes, type Graph, type Node } from './graph.ts'
import type { Tensor } from './tensor.ts'

/**
 * The same computation with less kept: of every segment of the forward, what nothing reads but the segment itself and backward passes is dropped,
 * and made again right before the first of those needs it. The records are the forward's own, so the bits are too. The first `forward` nodes are
 * the forward.
 */
export function recompute(graph: Graph, forward: number): Graph {
  const segments = [...segmentsOf(graph.nodes.slice(0, forward))].map((nodes) => new Segment(graph, nodes, forward))
  const result = graph.bare()
  graph.nodes.forEach((node, index) => {
    if (index < forward) return result.add(node)
    for (const segment of segments) segment.before(node, result)
    result.add(segments.reduce((renamed, segment) => segment.renamed(renamed), node))
  })
  return result
}

function segmentsOf(nodes: readonly Node[]): Iterable<Node[]> {
  const segments = new Map<number, Node[]>()
  for (const node of nodes) {
    if (node.segment === undefined) continue
    const present = segments.get(node.segment)
    if (present) present.push(node)
    else segments.set(node.segment, [node])
  }
  return segments.values()
}

/** A part of the forward, and the tensors that it makes anew. */
class Segment {
  /** What only the segment itself and backward passes read. */
  private readonly inner: ReadonlySet<Tensor>
  private readonly readLater: ReadonlySet<Tensor>
  private readonly again = new Map<Tensor, Tensor>()

  constructor(
    graph: Graph,
    private readonly nodes: readonly Node[],
    forward: number,
  ) {
    const own = new Set(nodes)
    const others = graph.nodes.slice(0, forward).filter((node) => !own.has(node))
    const kept = new Set([...graph.outputs.values(), ...others.flatMap(reads)])
    this.inner = new Set(nodes.flatMap(writes).filter((tensor) => tensor.kind === 'value' && !kept.has(tensor)))
    this.readLater = new Set(graph.nodes.slice(forward).flatMap(reads).filter((tensor) => this.inner.has(tensor))) // prettier-ignore
  }

  /** Makes again what is read later, if `node` is the first to read any of it. */
  before(node: Node, into: Graph): void {
    if (this.again.size > 0 || !reads(node).some((tensor) => this.readLater.has(tensor))) return
    for (const { op, mode, dims, floats, operands } of this.needed()) {
      const record: Node = { op, mode, dims, floats, operands }
      // What is added to has been made again by its first writer.
      for (const tensor of writes(record))
        if (!this.again.has(tensor)) this.again.set(tensor, into.value(tensor.shape, tensor.layout, tensor.name))
      into.add(this.renamed(record))
    }
  }

  /** The nodes that lead to what is read later, in their order. */
  private needed(): readonly Node[] {
    const wanted = new Set(this.readLater)
    const found: Node[] = []
    for (const node of [...this.nodes].reverse()) {
      if (!writes(node).some((tensor) => wanted.has(tensor))) continue
      const outer = accumulatesInto(node) && writes(node).some((tensor) => !this.inner.has(tensor))
      if (outer || writes(node).some(({ kind }) => kind !== 'value')) throw new Error(`op ${node.op} cannot be done again`)
      for (const tensor of reads(node)) if (this.inner.has(tensor)) wanted.add(tensor)
      found.push(node)
    }
    return found.reverse()
  }

  renamed(node: Node): Node {
    if (!node.operands.some((tensor) => tensor !== null && this.again.has(tensor))) return node
    return { ...node, operands: node.operands.map((tensor) => (tensor && this.again.get(tensor)) ?? tensor) }
  }
}
