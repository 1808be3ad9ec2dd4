// The part of THE TABLE (ops.ts) that draws masks. Only training has it.
import { Op } from '../../assembly/abi.ts'
import { accumulateBit, type Graph, type Node } from './graph.ts'
import { rows, SEQUENCES, SQUARES, width, type Dim, type Tensor } from './tensor.ts'

/** What a mask is drawn from: i32 tensors. */
export interface DropoutPlaces {
  /** [rows], or [B] for attention maps. */
  readonly examples: Tensor
  /** [rows]: places in the example. */
  readonly places: Tensor
  /** [2]: seed and step. */
  readonly seeds: Tensor
}

/** What a mask over attention maps is drawn from. */
export interface MapDropout {
  readonly p: number
  readonly stream: number
  readonly places: Pick<DropoutPlaces, 'examples' | 'seeds'>
}

/** Each element is zero with probability p, else 1 / (1 - p) as large. `stream` sets the uses in a graph apart. */
export function dropout(g: Graph, x: Tensor, p: number, stream: number, { examples, places, seeds }: DropoutPlaces): Tensor {
  return masked(g, x, Op.Dropout, [rows(x), width(x), stream], [examples, places, seeds], p)
}

/** The same over attention maps [seq][head][len][len]. */
export function dropoutMaps(g: Graph, x: Tensor, offsets: Tensor, { p, stream, places: { examples, seeds } }: MapDropout): Tensor {
  return masked(g, x, Op.DropoutMaps, [x.shape[0]!, SEQUENCES, SQUARES, stream], [offsets, examples, seeds], p)
}

/** An op that is its own gradient: the masks are drawn again. */
function masked(g: Graph, x: Tensor, op: Op, dims: readonly Dim[], draws: readonly Tensor[], p: number): Tensor {
  const apply = (graph: Graph, from: Tensor, to: Tensor, accumulate: boolean, grad?: Node['grad']): void =>
    graph.add({ op, mode: accumulateBit(accumulate), dims, operands: [from, to, ...draws], floats: [p], ...(grad && { output: to, grad }) })
  const y = g.value(x.shape)
  apply(g, x, y, false, ({ graph, dy, into }) => into(x, (dx, accumulate) => apply(graph, dy, dx, accumulate)))
  return y
}
