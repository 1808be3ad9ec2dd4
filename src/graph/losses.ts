// The part of THE TABLE (ops.ts) that only labels load: losses, each with its gradient.
import { Op, type ElementLoss } from '../../assembly/abi.ts'
import { accumulateBit, type Graph, type Node } from './graph.ts'
import { elements, rows, width, type Tensor } from './tensor.ts'

// Each adds scale * its sum to `total`; `scale` (f32 input [1]) is 1 / labels of the whole step, so that an accumulated step has the
// loss of the undivided batch.

/** Adds scale * the sum of `losses` to `total`; `grad` gives the gradient of what they were computed from. */
function addLoss(g: Graph, losses: Tensor, scale: Tensor, total: Tensor, grad: NonNullable<Node['grad']>): Tensor {
  g.add({ op: Op.Sum, mode: 0, dims: elements(losses), operands: [losses, scale, total], floats: [], output: total, grad })
  return total
}

/** Cross-entropy of rows of logits [R][C]; rows with label -100 do not count. */
export function crossEntropy(g: Graph, logits: Tensor, labels: Tensor, scale: Tensor, total: Tensor): Tensor {
  const [r, c] = [rows(logits), width(logits)]
  const [nll, lse] = [g.value([r]), g.value([r])]
  g.add({ op: Op.CrossEntropy, mode: 0, dims: [r, c], operands: [logits, labels, nll, lse], floats: [] })
  return addLoss(g, nll, scale, total, ({ graph, into }) =>
    into(logits, (dx, accumulate) =>
      graph.add({
        op: Op.CrossEntropyGrad,
        mode: accumulateBit(accumulate),
        dims: [r, c],
        operands: [logits, labels, lse, scale, dx],
        floats: [],
      }),
    ),
  )
}

/** Elementwise losses of logits [R][C] and f32 targets of the same shape. */
export function elementLoss(g: Graph, kind: ElementLoss, logits: Tensor, targets: Tensor, scale: Tensor, total: Tensor): Tensor {
  const losses = g.value(logits.shape)
  const dims = elements(logits)
  g.add({ op: Op.ElementLoss, mode: kind, dims, operands: [logits, targets, losses], floats: [] })
  return addLoss(g, losses, scale, total, ({ graph, into }) =>
    into(logits, (dx, accumulate) =>
      graph.add({
        op: Op.ElementLossGrad,
        mode: kind | accumulateBit(accumulate),
        dims,
        operands: [logits, targets, scale, dx],
        floats: [],
      }),
    ),
  )
}

/** Where spans of rows begin and end, and which row of each is right: i32 [R], labels counted from the span's start, or -100. */
export interface Spans {
  readonly starts: Tensor
  readonly ends: Tensor
  readonly labels: Tensor
}

/** Cross-entropy among the rows of each span of logits [T][W], in one column; spans do not overlap. */
export function spanCrossEntropy(
  g: Graph,
  logits: Tensor,
  column: number,
  { starts, ends, labels }: Spans,
  scale: Tensor,
  total: Tensor,
): Tensor {
  const r = rows(starts)
  const dims = [r, rows(logits), width(logits), column]
  const [nll, lse] = [g.value([r]), g.value([r])]
  g.add({ op: Op.SpanCrossEntropy, mode: 0, dims, operands: [logits, starts, ends, labels, nll, lse], floats: [] })
  return addLoss(g, nll, scale, total, ({ graph, into }) =>
    into(logits, (dx, accumulate) => {
      if (!accumulate) graph.add({ op: Op.Fill, mode: 0, dims: elements(dx), operands: [dx], floats: [0] })
      graph.add({ op: Op.SpanCrossEntropyGrad, mode: 0, dims, operands: [logits, starts, ends, labels, lse, scale, dx], floats: [] })
    }),
  )
}
