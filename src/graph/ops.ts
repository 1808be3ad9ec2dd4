// THE TABLE of ops: shape and record. Their gradients stand in the same order in backward.ts, which only training loads.
import { AttentionMode, BmmMode, GemmMode, GradMode, Op, type Activation } from '../../assembly/abi.ts'
import type { MapDropout } from './dropout.ts'
import type { Graph } from './graph.ts'
import { elements, LONGEST, rows, SEQUENCES, SQUARES, tableMode, TOKENS, width, type Dim, type Tensor } from './tensor.ts'

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
  })
  return y
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
  })
  return y
}

/** The same over integers: x in 7 bits by rows, once for all who read it. W is frozen; in 8 bits the gradient goes on to x, as if x had not been rounded. */
function linearInt8(g: Graph, x: Tensor, w: Tensor, b: Tensor | null, heads: number, by: Tensor | null = null): Tensor {
  const [m, k, n] = [rows(x), width(x), w.shape[0]!]
  let q = g.nodes.find(({ op, operands }) => op === Op.Quantize && operands[0] === x && operands[2] === by)?.operands[1]
  if (!q) g.add({ op: Op.Quantize, mode: 0, dims: [m, k], operands: [x, (q = g.value([m, k], 'rows7')), by], floats: [] })
  const y = heads > 0 ? g.value([heads, m, n / heads], 'heads') : g.value([m, n])
  g.add({
    op: w.layout === 'panel4' ? Op.GemmInt4 : Op.GemmInt8,
    mode: 0,
    dims: [m, n, k, n / Math.max(heads, 1)],
    operands: [q, w, b, y],
    floats: [],
    output: y,
  })
  return y
}

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
    // The last is the gradient's.
    dims: [t, h, rows(word), rows(position), rows(type), padding === null ? 0 : padding + 1],
    operands: [ids, types, positions, word, type, position, null, null, y],
    floats: [0],
    output: y,
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
  })
  return y
}
