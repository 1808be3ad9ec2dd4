// THE TABLE of differentiable ops: shape, record, gradient. Each gradient stands beside its op.
import type { Activation, ElementLoss } from '../../assembly/abi.ts'
import { AttentionMode, BmmMode, GemmMode, GradMode, Op, TableMode } from '../../assembly/abi.ts'
import type { Backward, Graph, Node } from './graph.ts'
import { LONGEST, SEQUENCES, SQUARES, TOKENS, type Dim, type Tensor } from './tensor.ts'

const accumulateBit = (accumulate: boolean): number => (accumulate ? GradMode.Accumulate : 0)

const width = (x: Tensor): number => x.shape[x.shape.length - 1]!

/** Rows of a [rows][width] tensor. */
const rows = (x: Tensor): Dim => x.shape[0]!

/** Elements of a tensor as the two dims of an elementwise record. */
const elements = (x: Tensor): readonly [Dim, Dim] => {
  const [n, m = 1, ...rest] = x.shape as [Dim, Dim?]
  if (rest.length > 0) throw new Error('elementwise ops take tensors of one or two dimensions')
  return [n, m]
}

/** Where a contribution to the gradient of `tensor` goes; nothing if it needs none. */
function target(into: Backward['into'], tensor: Tensor): { tensor: Tensor; accumulate: boolean } | undefined {
  let found: { tensor: Tensor; accumulate: boolean } | undefined
  into(tensor, (own, accumulate) => void (found = { tensor: own, accumulate }))
  return found
}

/** Widest output whose gradient is copied into panels: a vocabulary's would take too much memory. */
const PACKED = 4096

export interface LinearOptions {
  /** y comes by heads. */
  readonly heads?: number
  readonly scale?: number
  /** [K], which x is multiplied by before it becomes integers: the columns of a w in integers are divided by it. */
  readonly smoothing?: Tensor | undefined
}

/** y = x W^T + b. x [M][K], w panel or rows [N][K], b [N]; y [M][N], or [heads][M][N/heads] with `heads`. */
export function linear(g: Graph, x: Tensor, w: Tensor, b: Tensor | null, options: LinearOptions = {}): Tensor {
  const { heads = 0, scale = 1 } = options
  const [m, k] = [rows(x), width(x)]
  const n = w.shape[0]!
  if (w.layout === 'panel8' || w.layout === 'panel4') return linearInt8(g, x, w, b, heads, options.smoothing)
  const panel = w.layout === 'panel'
  const blocks = Math.max(heads, 1)
  const y = heads > 0 ? g.value([heads, m, n / heads], 'heads') : g.value([m, n])
  g.add({
    op: Op.Gemm,
    mode: GemmMode.ARows | (panel ? GemmMode.BPanel : GemmMode.BColumns),
    dims: [m, n, k, n / blocks],
    operands: [x, w, b, y],
    floats: [scale],
    output: y,
    grad: (backward) => linearGrad(backward, x, w, b, scale),
  })
  return y
}

/** What dy gives x, W and b. */
function linearGrad({ graph, dy, into }: Backward, x: Tensor, w: Tensor, b: Tensor | null, scale: number): void {
  const [m, k, n] = [rows(x), width(x), w.shape[0]!]
  const panel = w.layout === 'panel'
  into(x, (dx, accumulate) =>
    graph.add({
      op: Op.Gemm,
      mode: GemmMode.ARows | (panel ? GemmMode.BPanelTransposed : GemmMode.BRows) | accumulateBit(accumulate),
      dims: [m, k, n, k],
      operands: [dy, w, null, dx],
      floats: [scale],
    }),
  )
  const dw = target(into, w)
  const db = b && target(into, b)
  // dW lies as the weight does. In a panel that is the transpose in blocks 8 wide; every 128 of its rows read all of dy, which is put into
  // panels once for them all.
  const packed = dw && panel && scale === 1 && n <= PACKED ? graph.value([n, m], 'panel') : null
  if (db || packed) graph.add({ op: Op.ColumnSum, mode: 0, dims: [m, n], operands: [dy, db?.tensor ?? null, packed], floats: [] })
  if (dw)
    graph.add({
      op: Op.Gemm,
      mode: GemmMode.AColumns | (packed ? GemmMode.BPanel : GemmMode.BRows) | accumulateBit(dw.accumulate),
      dims: panel ? [k, n, m, 8] : [n, k, m, k],
      operands: panel ? [x, packed ?? dy, null, dw.tensor] : [dy, x, null, dw.tensor],
      floats: [scale],
    })
}

/** y += x W^T: what a low-rank adapter adds to a linear layer's y, whose last writer it is. x [M][R], w panel [N][R]; y as linear() made it. */
export function addLinear(g: Graph, x: Tensor, w: Tensor, y: Tensor): Tensor {
  const [m, k, n] = [rows(x), width(x), w.shape[0]!]
  g.add({
    op: Op.Gemm,
    mode: GemmMode.ARows | GemmMode.BPanel | GradMode.Accumulate,
    dims: [m, n, k, y.layout === 'heads' ? y.shape[2]! : n],
    operands: [x, w, null, y],
    floats: [1],
    output: y,
    grad: (backward) => linearGrad(backward, x, w, null, 1),
  })
  return y
}

/** The same over integers: x in 7 bits by rows, once for all who read it. W is frozen; in 8 bits the gradient goes on to x, as if x had not been rounded. */
function linearInt8(g: Graph, x: Tensor, w: Tensor, b: Tensor | null, heads: number, by: Tensor | null = null): Tensor {
  const [m, k, n] = [rows(x), width(x), w.shape[0]!]
  let q = g.nodes.find(({ op, operands }) => op === Op.Quantize && operands[0] === x && operands[2] === by)?.operands[1]
  if (!q) g.add({ op: Op.Quantize, mode: 0, dims: [m, k], operands: [x, (q = g.value([m, k], 'rows7')), by], floats: [] })
  const y = heads > 0 ? g.value([heads, m, n / heads], 'heads') : g.value([m, n])
  const grad: Node['grad'] = ({ graph, dy, into }) => {
    into(x, (dx, accumulate) =>
      graph.add({
        op: Op.Gemm,
        mode: GemmMode.ARows | GemmMode.BPanel8Transposed | accumulateBit(accumulate),
        dims: [m, k, n, k],
        operands: [dy, w, null, dx],
        floats: [1],
      }),
    )
    const db = b && target(into, b)
    if (db) graph.add({ op: Op.ColumnSum, mode: 0, dims: [m, n], operands: [dy, db.tensor, null], floats: [] })
  }
  g.add({
    op: w.layout === 'panel4' ? Op.GemmInt4 : Op.GemmInt8,
    mode: 0,
    dims: [m, n, k, n / Math.max(heads, 1)],
    operands: [q, w, b, y],
    floats: [],
    output: y,
    ...(w.layout === 'panel8' && by === null && { grad }),
  })
  return y
}

/** How a table that is looked up lies. */
const tableMode = ({ layout }: Tensor): TableMode =>
  layout === 'panel' ? TableMode.Panel : layout === 'panel8' ? TableMode.Panel8 : TableMode.Rows

/** y = act(x), elementwise. What is kept for the backward pass is act'(x), in the place of x; fusing drops it. */
export function activation(g: Graph, x: Tensor, kind: Activation): Tensor {
  const y = g.value(x.shape, x.layout)
  const slope = g.value(x.shape, x.layout)
  const n = elements(x)
  g.add({
    op: Op.Activation,
    mode: kind,
    dims: n,
    operands: [x, y, slope],
    floats: [],
    output: y,
    grad: ({ graph, dy, into }) =>
      into(x, (dx, accumulate) =>
        graph.add({ op: Op.ActivationGrad, mode: accumulateBit(accumulate), dims: n, operands: [slope, dy, dx], floats: [] }),
      ),
  })
  return y
}

/** c = a + b. */
export function add(g: Graph, a: Tensor, b: Tensor): Tensor {
  const c = g.value(a.shape, a.layout)
  g.add({
    op: Op.Add,
    mode: 0,
    dims: elements(a),
    operands: [a, b, c],
    floats: [],
    output: c,
    grad: ({ dy, pass }) => {
      pass(a, dy)
      pass(b, dy)
    },
  })
  return c
}

/** y = LayerNorm(x) * gamma + beta over the last axis. The statistics are kept for the backward pass; fusing drops them. */
export function layerNorm(g: Graph, x: Tensor, gamma: Tensor, beta: Tensor, eps: number): Tensor {
  const y = g.value(x.shape)
  const stats = g.value([rows(x), 2])
  const dims = [rows(x), width(x)]
  g.add({
    op: Op.LayerNorm,
    mode: 0,
    dims,
    operands: [x, null, gamma, beta, y, stats],
    floats: [eps],
    output: y,
    grad: ({ graph, dy, into }) => {
      const [dgamma, dbeta] = [target(into, gamma), target(into, beta)]
      if (dgamma && dbeta)
        graph.add({ op: Op.LayerNormParamGrad, mode: 0, dims, operands: [x, stats, dy, dgamma.tensor, dbeta.tensor], floats: [] })
      else if (dbeta) graph.add({ op: Op.ColumnSum, mode: 0, dims, operands: [dy, dbeta.tensor, null], floats: [] })
      else if (dgamma) {
        const unused = graph.value(beta.shape)
        graph.add({ op: Op.Fill, mode: 0, dims: elements(unused), operands: [unused], floats: [0] })
        graph.add({ op: Op.LayerNormParamGrad, mode: 0, dims, operands: [x, stats, dy, dgamma.tensor, unused], floats: [] })
      }
      into(x, (dx, accumulate) =>
        graph.add({ op: Op.LayerNormGrad, mode: accumulateBit(accumulate), dims, operands: [x, gamma, stats, dy, dx], floats: [] }),
      )
    },
  })
  return y
}

/** y[t] = word[ids[t]] + type[types[t]] + position[positions[t]]. The word `padding` learns nothing here, as nn.Embedding's padding_idx. */
export function embedding(
  g: Graph,
  ids: Tensor,
  types: Tensor,
  positions: Tensor,
  word: Tensor,
  type: Tensor,
  position: Tensor,
  padding: number | null = null,
): Tensor {
  const t = rows(ids)
  const h = width(word)
  const y = g.value([t, h])
  g.add({
    op: Op.Embedding,
    mode: tableMode(word),
    dims: [t, h, rows(word), rows(position), rows(type)],
    operands: [ids, types, positions, word, type, position, null, null, y],
    floats: [0],
    output: y,
    grad: ({ graph, dy, into }) => {
      for (const [table, index] of [
        [word, ids],
        [type, types],
        [position, positions],
      ] as const)
        into(table, (dtable) =>
          graph.add({
            op: Op.Scatter,
            mode: tableMode(table),
            dims: [t, h, rows(table), table === word && padding !== null ? padding + 1 : 0],
            operands: [dy, index, dtable],
            floats: [],
          }),
        )
    },
  })
  return y
}

/** P = scale * q k^T per sequence and head. q, k [heads][T][d]; P [seq][head][len][len]. The gradients come back as [T][heads*d]. */
export function scores(g: Graph, q: Tensor, k: Tensor, offsets: Tensor, scale: number): Tensor {
  const [heads, t, d] = q.shape as [number, Dim, number]
  const p = g.value([heads, SQUARES])
  const dims = [heads, d, t, SEQUENCES, SQUARES]
  g.add({
    op: Op.Bmm,
    mode: BmmMode.NT | BmmMode.AHeads | BmmMode.BHeads,
    dims,
    operands: [q, k, p, offsets],
    floats: [scale],
    output: p,
    grad: ({ graph, dy, into }) => {
      into(q, (dq, accumulate) =>
        graph.add({
          op: Op.Bmm,
          mode: BmmMode.NN | BmmMode.BHeads | accumulateBit(accumulate),
          dims,
          operands: [dy, k, dq, offsets],
          floats: [scale],
        }),
      )
      into(k, (dk, accumulate) =>
        graph.add({
          op: Op.Bmm,
          mode: BmmMode.TN | BmmMode.BHeads | accumulateBit(accumulate),
          dims,
          operands: [dy, q, dk, offsets],
          floats: [scale],
        }),
      )
    },
  })
  return p
}

/** Rows of P [seq][head][len][len] to probabilities. */
export function softmax(g: Graph, x: Tensor, offsets: Tensor): Tensor {
  const y = g.value(x.shape)
  const dims = [x.shape[0]!, SEQUENCES, SQUARES]
  g.add({
    op: Op.Softmax,
    mode: 0,
    dims,
    operands: [x, y, offsets],
    floats: [],
    output: y,
    grad: ({ graph, dy, into }) =>
      into(x, (dx, accumulate) =>
        graph.add({ op: Op.SoftmaxGrad, mode: accumulateBit(accumulate), dims, operands: [y, dy, dx, offsets], floats: [] }),
      ),
  })
  return y
}

/** P v per sequence and head: v [heads][T][d]; result [T][heads*d]. */
export function context(g: Graph, p: Tensor, v: Tensor, offsets: Tensor): Tensor {
  const [heads, t, d] = v.shape as [number, Dim, number]
  const y = g.value([t, heads * d])
  const dims = [heads, d, t, SEQUENCES, SQUARES]
  g.add({
    op: Op.Bmm,
    mode: BmmMode.NN | BmmMode.BHeads,
    dims,
    operands: [p, v, y, offsets],
    floats: [1],
    output: y,
    grad: ({ graph, dy, into }) => {
      into(p, (dp, accumulate) =>
        graph.add({
          op: Op.Bmm,
          mode: BmmMode.NT | BmmMode.BHeads | accumulateBit(accumulate),
          dims,
          operands: [dy, v, dp, offsets],
          floats: [1],
        }),
      )
      into(v, (dv, accumulate) =>
        graph.add({ op: Op.Bmm, mode: BmmMode.TN | accumulateBit(accumulate), dims, operands: [p, dy, dv, offsets], floats: [1] }),
      )
    },
  })
  return y
}

/**
 * The same as scores, softmax, dropoutMaps and context in one record: q, k, v [heads][T][d] to [T][heads*d]. No map is stored: the backward
 * pass computes it again from two numbers a query, which fusing drops. For inference q may be [heads][B][d], one query a sequence: to [B][heads*d].
 */
export function attention(g: Graph, q: Tensor, k: Tensor, v: Tensor, offsets: Tensor, scale: number, drop?: MapDropout): Tensor {
  const [heads, t, d] = k.shape as [number, Dim, number]
  const queries = q.shape[1]!
  const y = g.value([queries, heads * d])
  const stats = g.value([2, heads, t])
  const dims = [heads, d, t, SEQUENCES, LONGEST, drop?.stream ?? 0]
  const draws = drop ? [drop.places.examples, drop.places.seeds] : [null, null]
  const floats = [scale, drop?.p ?? 0]
  g.add({
    op: Op.Attention,
    mode: queries === t ? AttentionMode.All : AttentionMode.One,
    dims,
    operands: [q, k, v, y, offsets, stats, ...draws],
    floats,
    output: y,
    grad: ({ graph, dy, into }) => {
      if (queries !== t) throw new Error('attention of one query a sequence has no gradient')
      // One record gives all three, and adds to none.
      const sums: [from: Tensor, to: Tensor][] = []
      const fresh = [q, k, v].map((tensor) => {
        let own: Tensor | null = null
        into(tensor, (target, accumulate) => {
          own = accumulate ? graph.value(y.shape) : target
          if (accumulate) sums.push([own, target])
        })
        return own
      })
      graph.add({ op: Op.AttentionGrad, mode: 0, dims, operands: [q, k, v, y, dy, offsets, stats, ...draws, ...fresh], floats })
      for (const operands of sums) graph.add({ op: Op.Copy, mode: GradMode.Accumulate, dims: elements(y), operands, floats: [] })
    },
  })
  return y
}

/** y[r] = x[index[r]]. */
export function gather(g: Graph, x: Tensor, index: Tensor): Tensor {
  const [r, h] = [rows(index), width(x)]
  const y = g.value([r, h])
  g.add({
    op: Op.Gather,
    mode: 0,
    dims: [r, h, rows(x)],
    operands: [x, index, y],
    floats: [],
    output: y,
    grad: ({ graph, dy, into }) =>
      into(x, (dx, accumulate) => {
        if (!accumulate) graph.add({ op: Op.Fill, mode: 0, dims: elements(dx), operands: [dx], floats: [0] })
        graph.add({ op: Op.Scatter, mode: TableMode.Rows, dims: [r, h, rows(x)], operands: [dy, index, dx], floats: [] })
      }),
  })
  return y
}

/** Mean over each sequence's rows: x [T][H] to [B][H]. */
export function meanPool(g: Graph, x: Tensor, offsets: Tensor): Tensor {
  const y = g.value([SEQUENCES, width(x)])
  const dims = [SEQUENCES, width(x), TOKENS]
  g.add({
    op: Op.MeanPool,
    mode: 0,
    dims,
    operands: [x, offsets, y],
    floats: [],
    output: y,
    grad: ({ graph, dy, into }) =>
      into(x, (dx, accumulate) =>
        graph.add({ op: Op.MeanPoolGrad, mode: accumulateBit(accumulate), dims, operands: [dy, offsets, dx], floats: [] }),
      ),
  })
  return y
}

/** Rows to unit length. */
export function normalize(g: Graph, x: Tensor, eps = 1e-12): Tensor {
  const y = g.value(x.shape)
  const dims = [rows(x), width(x)]
  g.add({
    op: Op.Normalize,
    mode: 0,
    dims,
    operands: [x, y],
    floats: [eps],
    output: y,
    grad: ({ graph, dy, into }) =>
      into(x, (dx, accumulate) =>
        graph.add({ op: Op.NormalizeGrad, mode: accumulateBit(accumulate), dims, operands: [x, dy, dx], floats: [eps] }),
      ),
  })
  return y
}

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
  const dims = [rows(x), width(x), stream]
  const apply = (graph: Graph, from: Tensor, to: Tensor, accumulate: boolean, grad?: Node['grad']): void =>
    graph.add({
      op: Op.Dropout,
      mode: accumulateBit(accumulate),
      dims,
      operands: [from, to, examples, places, seeds],
      floats: [p],
      ...(grad && { output: to, grad }),
    })
  const y = g.value(x.shape)
  apply(g, x, y, false, ({ graph, dy, into }) => into(x, (dx, accumulate) => apply(graph, dy, dx, accumulate)))
  return y
}

/** The same over attention maps [seq][head][len][len]. */
export function dropoutMaps(g: Graph, x: Tensor, offsets: Tensor, { p, stream, places: { examples, seeds } }: MapDropout): Tensor {
  const dims = [x.shape[0]!, SEQUENCES, SQUARES, stream]
  const apply = (graph: Graph, from: Tensor, to: Tensor, accumulate: boolean, grad?: Node['grad']): void =>
    graph.add({
      op: Op.DropoutMaps,
      mode: accumulateBit(accumulate),
      dims,
      operands: [from, to, offsets, examples, seeds],
      floats: [p],
      ...(grad && { output: to, grad }),
    })
  const y = g.value(x.shape)
  apply(g, x, y, false, ({ graph, dy, into }) => into(x, (dx, accumulate) => apply(graph, dy, dx, accumulate)))
  return y
}

// Losses. Each adds scale * its sum to `total`; `scale` (f32 input [1]) is 1 / labels of the whole step, so that an accumulated step has the
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
