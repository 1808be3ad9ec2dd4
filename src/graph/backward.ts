// What each op of THE TABLE (ops.ts) gives the gradients of its operands, in the same order. An op that is not here has its rule with it, or none.
import { AttentionMode, BmmMode, GemmMode, GradMode, Op, TableMode } from '../../assembly/abi.ts'
import { accumulateBit, type Backward, type Node } from './graph.ts'
import { elements, rows, tableMode, width, type Tensor } from './tensor.ts'

type Rule = (node: Node, backward: Backward) => void
type Tensors = readonly Tensor[]

/** Where a contribution to the gradient of `tensor` goes; nothing if it needs none. */
function target(into: Backward['into'], tensor: Tensor): { tensor: Tensor; accumulate: boolean } | undefined {
  let found: { tensor: Tensor; accumulate: boolean } | undefined
  into(tensor, (own, accumulate) => void (found = { tensor: own, accumulate }))
  return found
}

/** The rule of an op of one input: one record of the same sizes, over what the op read and wrote, dy, and dx. */
const through =
  (op: Op, over: (operands: Tensors, dy: Tensor, dx: Tensor) => Tensors): Rule =>
  ({ operands, dims, floats }, { graph, dy, into }) =>
    into(operands[0]!, (dx, accumulate) =>
      graph.add({ op, mode: accumulateBit(accumulate), dims, operands: over(operands as Tensors, dy, dx), floats }),
    )

/** Widest output whose gradient is copied into panels: a vocabulary's would take too much memory. */
const PACKED = 4096

/** Of addLinear() too. */
function linear({ operands, floats }: Node, { graph, dy, into }: Backward): void {
  const [x, w, b] = operands as [Tensor, Tensor, Tensor | null]
  const scale = floats[0]!
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

/** W is frozen; in 8 bits the gradient goes on to x, as if x had not been rounded. */
function linearInt8({ op, operands, dims: [m, n, k] }: Node, { graph, dy, into }: Backward): void {
  const [q, w, b] = operands as [Tensor, Tensor, Tensor | null]
  const [x, , by] = graph.nodes.find((node) => node.op === Op.Quantize && node.operands[1] === q)!.operands
  if (by) throw new Error(`op ${op} has no gradient behind smoothing`)
  into(x!, (dx, accumulate) =>
    graph.add({
      op: Op.Gemm,
      mode: GemmMode.ARows | GemmMode.BPanel8Transposed | accumulateBit(accumulate),
      dims: [m!, k!, n!, k!],
      operands: [dy, w, null, dx],
      floats: [1],
    }),
  )
  const db = b && target(into, b)
  if (db) graph.add({ op: Op.ColumnSum, mode: 0, dims: [m!, n!], operands: [dy, db.tensor, null], floats: [] })
}

function add({ operands }: Node, { dy, pass }: Backward): void {
  pass(operands[0]!, dy)
  pass(operands[1]!, dy)
}

function layerNorm({ operands, dims }: Node, { graph, dy, into }: Backward): void {
  const [x, , gamma, beta, , stats] = operands as [Tensor, null, Tensor, Tensor, Tensor, Tensor]
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
}

function embedding({ operands, dims }: Node, { graph, dy, into }: Backward): void {
  const [ids, types, positions, word, type, position] = operands as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
  for (const [table, index] of [
    [word, ids],
    [type, types],
    [position, positions],
  ] as const)
    into(table, (dtable) =>
      graph.add({
        op: Op.Scatter,
        mode: tableMode(table),
        dims: [dims[0]!, dims[1]!, rows(table), table === word ? dims[5]! : 0],
        operands: [dy, index, dtable],
        floats: [],
      }),
    )
}

/** scores() and context(): products per sequence and head. */
function bmm({ operands, dims, floats, mode }: Node, { graph, dy, into }: Backward): void {
  const [a, b, , offsets] = operands as [Tensor, Tensor, Tensor, Tensor]
  const product = (kind: number, accumulate: boolean, left: Tensor, right: Tensor, to: Tensor): void =>
    graph.add({ op: Op.Bmm, mode: kind | accumulateBit(accumulate), dims, operands: [left, right, to, offsets], floats })
  if ((mode & BmmMode.Mask) === BmmMode.NT) {
    into(a, (dq, accumulate) => product(BmmMode.NN | BmmMode.BHeads, accumulate, dy, b, dq))
    into(b, (dk, accumulate) => product(BmmMode.TN | BmmMode.BHeads, accumulate, dy, a, dk))
  } else {
    into(a, (dp, accumulate) => product(BmmMode.NT | BmmMode.BHeads, accumulate, dy, b, dp))
    into(b, (dv, accumulate) => product(BmmMode.TN, accumulate, a, dy, dv))
  }
}

/** One record gives all three, and adds to none. */
function attention({ operands, dims, floats, mode }: Node, { graph, dy, into }: Backward): void {
  if (mode !== AttentionMode.All) throw new Error('attention of one query a sequence has no gradient')
  const [q, k, v, y, offsets, stats, ...draws] = operands as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, ...(Tensor | null)[]]
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
}

function gather({ operands, dims }: Node, { graph, dy, into }: Backward): void {
  const [x, index] = operands as [Tensor, Tensor]
  into(x, (dx, accumulate) => {
    if (!accumulate) graph.add({ op: Op.Fill, mode: 0, dims: elements(dx), operands: [dx], floats: [0] })
    graph.add({ op: Op.Scatter, mode: TableMode.Rows, dims, operands: [dy, index, dx], floats: [] })
  })
}

export const BACKWARD: { readonly [op: number]: Rule } = {
  [Op.Gemm]: linear,
  [Op.GemmInt8]: linearInt8,
  [Op.Activation]: through(Op.ActivationGrad, ([, , slope], dy, dx) => [slope!, dy, dx]),
  [Op.Add]: add,
  [Op.LayerNorm]: layerNorm,
  [Op.Embedding]: embedding,
  [Op.Bmm]: bmm,
  [Op.Softmax]: through(Op.SoftmaxGrad, ([, y, offsets], dy, dx) => [y!, dy, dx, offsets!]),
  [Op.Attention]: attention,
  [Op.Gather]: gather,
  [Op.MeanPool]: through(Op.MeanPoolGrad, ([, offsets], dy, dx) => [dy, offsets!, dx]),
  [Op.Normalize]: through(Op.NormalizeGrad, ([x], dy, dx) => [x!, dy, dx]),
}
