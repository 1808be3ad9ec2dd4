// A part of THE TABLE (ops.ts) that only losses on sentence embeddings load.
import { GradMode, Op, type Pair } from '../../assembly/abi.ts'
import type { Graph } from './graph.ts'
import type { Dim, Tensor } from './tensor.ts'

/** y[r] = scale * the score of a[r] and b[r], [R][1]. */
export function pairwise(g: Graph, kind: Pair, a: Tensor, b: Tensor, { scale = 1 } = {}): Tensor {
  const [rows, width] = a.shape as [Dim, Dim]
  const y = g.value([rows, 1])
  const dims = [rows, width]
  g.add({
    op: Op.Pairwise,
    mode: kind,
    dims,
    operands: [a, b, y],
    floats: [scale],
    output: y,
    grad: ({ graph, dy, into }) => {
      for (const [x, other] of [
        [a, b],
        [b, a],
      ] as const)
        into(x, (dx, accumulate) =>
          graph.add({
            op: Op.PairwiseGrad,
            mode: kind | (accumulate ? GradMode.Accumulate : 0),
            dims,
            operands: [x, other, dy, dx],
            floats: [scale],
          }),
        )
    },
  })
  return y
}
