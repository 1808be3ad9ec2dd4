import { GradMode, type Op } from '../../assembly/abi.ts'
import { RECORDS } from './records.ts'
import type { Dim, Dims, Kind, Layout, Tensor } from './tensor.ts'
import { dimValue } from './tensor.ts'

/** Emits one contribution to the gradient of a tensor: `target =` or, when `accumulate`, `target +=`. */
export type Contribution = (target: Tensor, accumulate: boolean) => void

/** What a gradient rule is given: the gradient of the node's output, and where its own contributions go. */
export interface Backward {
  readonly graph: Graph
  readonly dy: Tensor
  /** Calls `emit` with the gradient buffer of `tensor`, if `tensor` needs a gradient. */
  into(tensor: Tensor, emit: Contribution): void
  /** The gradient of `tensor` is `dy` itself. */
  pass(tensor: Tensor, dy: Tensor): void
}

/** One record, symbolically. Operands stand in the order of abi.ts. */
export interface Node {
  readonly op: Op
  readonly mode: number
  readonly dims: readonly Dim[]
  readonly operands: readonly (Tensor | null)[]
  readonly floats: readonly number[]
  /** The tensor whose gradient the rule starts from. */
  readonly output?: Tensor
  /** Its rule, where backward.ts has none for its op. */
  readonly grad?: (backward: Backward) => void
  /** Of the forward: nodes of one segment can be computed again from what goes in, see recompute.ts. */
  readonly segment?: number
}

/** Records in order, over symbolic tensors: touches no memory. */
export class Graph {
  nodes: Node[] = []
  readonly outputs = new Map<string, Tensor>()
  readonly tensors: Tensor[] = []
  private readonly named = new Map<string, Tensor>()
  private segments = 0
  private current: number | undefined

  /** `own` stands before the names of its states: graphs that share a store keep theirs apart. */
  constructor(private readonly own = '') {}

  /** An i32 or f32 tensor that the host fills before each run. */
  input(name: string, shape: readonly Dim[], dtype: Tensor['dtype'] = 'i32'): Tensor {
    return this.once(name, () => this.tensor('input', name, shape, 'rows', dtype))
  }

  parameter(name: string, shape: readonly number[], layout: Layout = 'rows'): Tensor {
    return this.once(name, () => this.tensor('parameter', name, shape, layout))
  }

  state(name: string, shape: readonly number[], layout: Layout = 'rows'): Tensor {
    const full = this.own + name
    return this.once(full, () => this.tensor('state', full, shape, layout))
  }

  value(shape: readonly Dim[], layout: Layout = 'rows', name = ''): Tensor {
    return this.tensor('value', name, shape, layout)
  }

  /** Keeps a tensor to the end of the run and names it. */
  output(name: string, tensor: Tensor): void {
    this.outputs.set(name, tensor)
  }

  add(node: Node): void {
    this.nodes.push(this.current === undefined ? node : { ...node, segment: this.current })
  }

  /** What `build` adds is one segment. */
  segment<T>(build: () => T): T {
    this.current = this.segments++
    try {
      return build()
    } finally {
      this.current = undefined
    }
  }

  /** The same tensors and outputs, and no nodes. */
  bare(): Graph {
    const graph = new Graph(this.own)
    graph.tensors.push(...this.tensors)
    for (const [name, tensor] of this.named) graph.named.set(name, tensor)
    for (const [name, tensor] of this.outputs) graph.outputs.set(name, tensor)
    return graph
  }

  private tensor(kind: Kind, name: string, shape: readonly Dim[], layout: Layout, dtype: Tensor['dtype'] = 'f32'): Tensor {
    const tensor: Tensor = { id: this.tensors.length, name, kind, dtype, shape, layout }
    this.tensors.push(tensor)
    return tensor
  }

  private once(name: string, make: () => Tensor): Tensor {
    let tensor = this.named.get(name)
    if (tensor === undefined) this.named.set(name, (tensor = make()))
    return tensor
  }
}

/** Tensors that a node reads, and those that it writes (an accumulated one is both). */
export function reads(node: Node): Tensor[] {
  return touched(node, (access, accumulates) => access !== 'w' || accumulates)
}

export function writes(node: Node): Tensor[] {
  return touched(node, (access) => access !== 'r')
}

function touched(node: Node, wanted: (access: string, accumulates: boolean) => boolean): Tensor[] {
  const accumulates = accumulatesInto(node)
  const { operands } = RECORDS[node.op]!
  return node.operands.filter((t, i): t is Tensor => t !== null && wanted(operands[i]![0]!, accumulates))
}

/** Whether the record adds to what its output holds. */
export function accumulatesInto(node: Node): boolean {
  return (node.mode & GradMode.Accumulate) !== 0
}

export function dimValues(node: Node, dims: Dims): number[] {
  return node.dims.map((dim) => dimValue(dim, dims))
}

export const accumulateBit = (accumulate: boolean): number => (accumulate ? GradMode.Accumulate : 0)
