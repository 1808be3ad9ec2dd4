import { panel4Words, panel8Words, rows7Words } from './tensor.ts'
import { AdamScalar, AttentionMode, BmmMode, GemmMode, Op, SquaresRun, TableMode } from '../../assembly/abi.ts'

/** r: read, w: written whole, a: read and written. A `?` after it: may be absent. */
type Access = 'r' | 'w' | 'a' | 'r?' | 'w?' | 'a?'

/** What a record of an op touches: the contract of abi.ts as data, for the planner and the verifier. */
export interface RecordType {
  readonly name: string
  readonly operands: readonly Access[]
  /** Words that each operand extends over, from the record's dims as numbers and its mode. */
  extents(dims: readonly number[], mode: number): readonly number[]
  /** [output, input]: the output may take the input's place when that is not read again. */
  readonly inPlace?: readonly [number, number]
}

const up8 = (n: number): number => Math.ceil(n / 8) * 8
const table = (rows: number, width: number, mode: number): number => {
  if (mode & TableMode.Panel8) return panel8Words(rows, width)
  return (mode & TableMode.Panel ? up8(rows) : rows) * width
}

export const RECORDS: { readonly [code: number]: RecordType } = {
  [Op.Gemm]: {
    name: 'gemm',
    operands: ['r', 'r', 'r?', 'w'],
    extents: ([m, n, k, bw], mode) => {
      const b = mode & GemmMode.BMask
      const packed = b === GemmMode.BPanel ? up8(n!) * k! : b === GemmMode.BPanelTransposed ? up8(k!) * n! : k! * n!
      const bWords = b === GemmMode.BPanel8Transposed ? panel8Words(k!, n!) : packed
      return [m! * k!, bWords, n!, Math.ceil(n! / bw!) * m! * bw!]
    },
  },
  [Op.Bmm]: {
    name: 'bmm',
    operands: ['r', 'r', 'w', 'r'],
    extents: ([heads, d, t, b, s], mode) => {
      const tokens = heads! * d! * t!
      const p = heads! * s!
      const nt = (mode & BmmMode.Mask) === BmmMode.NT
      return [nt ? tokens : p, tokens, nt ? p : tokens, b! + 1]
    },
  },
  [Op.Softmax]: {
    name: 'softmax',
    operands: ['r', 'w', 'r'],
    inPlace: [1, 0],
    extents: ([heads, b, s]) => [heads! * s!, heads! * s!, b! + 1],
  },
  [Op.Attention]: {
    name: 'attention',
    operands: ['r', 'r', 'r', 'w', 'r', 'w?', 'r?', 'r?'],
    extents: ([heads, d, t, b], mode) => {
      const tokens = heads! * d! * t!
      const queries = mode & AttentionMode.One ? heads! * d! * b! : tokens
      return [queries, tokens, tokens, queries, b! + 1, 2 * heads! * t!, b!, 2]
    },
  },
  [Op.Embedding]: {
    name: 'embedding',
    operands: ['r', 'r', 'r', 'r', 'r', 'r', 'r?', 'r?', 'w'],
    extents: ([t, h, v, p, y], mode) => [t!, t!, t!, table(v!, h!, mode), y! * h!, p! * h!, h!, h!, t! * h!],
  },
  [Op.LayerNorm]: {
    name: 'layernorm',
    operands: ['r', 'r?', 'r', 'r', 'w', 'w?'],
    inPlace: [4, 0],
    extents: ([rows, h]) => [rows! * h!, rows! * h!, h!, h!, rows! * h!, rows! * 2],
  },
  [Op.Activation]: {
    name: 'activation',
    operands: ['r', 'w', 'w?'],
    inPlace: [2, 0],
    extents: ([n, m]) => [n! * m!, n! * m!, n! * m!],
  },
  [Op.Add]: { name: 'add', operands: ['r', 'r', 'w'], inPlace: [2, 0], extents: ([n, m]) => [n! * m!, n! * m!, n! * m!] },
  [Op.Gather]: { name: 'gather', operands: ['r', 'r', 'w'], extents: ([r, h, rows]) => [rows! * h!, r!, r! * h!] },
  [Op.MeanPool]: { name: 'mean_pool', operands: ['r', 'r', 'w'], extents: ([b, h, t]) => [t! * h!, b! + 1, b! * h!] },
  [Op.Normalize]: { name: 'normalize', operands: ['r', 'w'], inPlace: [1, 0], extents: ([rows, h]) => [rows! * h!, rows! * h!] },
  [Op.CrossEntropy]: { name: 'cross_entropy', operands: ['r', 'r', 'w', 'w'], extents: ([r, c]) => [r! * c!, r!, r!, r!] },
  [Op.Sum]: { name: 'sum', operands: ['r', 'r', 'a'], extents: ([n, m]) => [n! * m!, 1, 1] },
  [Op.ElementLoss]: { name: 'element_loss', operands: ['r', 'r', 'w'], extents: ([n, m]) => [n! * m!, n! * m!, n! * m!] },
  [Op.SpanCrossEntropy]: {
    name: 'span_cross_entropy',
    operands: ['r', 'r', 'r', 'r', 'w', 'w'],
    extents: ([r, t, w]) => [t! * w!, r!, r!, r!, r!, r!],
  },

  [Op.Quantize]: { name: 'quantize', operands: ['r', 'w', 'r?'], extents: ([rows, k]) => [rows! * k!, rows7Words(rows!, k!), k!] },
  [Op.GemmInt8]: {
    name: 'gemm_int8',
    operands: ['r', 'r', 'r?', 'w'],
    extents: ([m, n, k, bw]) => [rows7Words(m!, k!), panel8Words(n!, k!), n!, Math.ceil(n! / bw!) * m! * bw!],
  },
  [Op.GemmInt4]: {
    name: 'gemm_int4',
    operands: ['r', 'r', 'r?', 'w'],
    extents: ([m, n, k, bw]) => [rows7Words(m!, k!), panel4Words(n!, k!), n!, Math.ceil(n! / bw!) * m! * bw!],
  },

  [Op.CrossEntropyGrad]: {
    name: 'cross_entropy_grad',
    operands: ['r', 'r', 'r', 'r', 'w'],
    extents: ([r, c]) => [r! * c!, r!, r!, 1, r! * c!],
  },
  [Op.ActivationGrad]: {
    name: 'activation_grad',
    operands: ['r', 'r', 'w'],
    inPlace: [2, 1],
    extents: ([n, m]) => [n! * m!, n! * m!, n! * m!],
  },
  [Op.LayerNormGrad]: {
    name: 'layernorm_grad',
    operands: ['r', 'r', 'r', 'r', 'w'],
    extents: ([rows, h]) => [rows! * h!, h!, rows! * 2, rows! * h!, rows! * h!],
  },
  [Op.LayerNormParamGrad]: {
    name: 'layernorm_param_grad',
    operands: ['r', 'r', 'r', 'a', 'a'],
    extents: ([rows, h]) => [rows! * h!, rows! * 2, rows! * h!, h!, h!],
  },
  [Op.SoftmaxGrad]: {
    name: 'softmax_grad',
    operands: ['r', 'r', 'w', 'r'],
    inPlace: [2, 1],
    extents: ([heads, b, s]) => [heads! * s!, heads! * s!, heads! * s!, b! + 1],
  },
  [Op.ColumnSum]: { name: 'column_sum', operands: ['r', 'a?', 'w?'], extents: ([rows, n]) => [rows! * n!, n!, up8(n!) * rows!] },
  [Op.Scatter]: { name: 'scatter', operands: ['r', 'r', 'a'], extents: ([t, h, rows], mode) => [t! * h!, t!, table(rows!, h!, mode)] },

  [Op.Dropout]: {
    name: 'dropout',
    operands: ['r', 'w', 'r', 'r', 'r'],
    inPlace: [1, 0],
    extents: ([rows, n]) => [rows! * n!, rows! * n!, rows!, rows!, 2],
  },
  [Op.DropoutMaps]: {
    name: 'dropout_maps',
    operands: ['r', 'w', 'r', 'r', 'r'],
    inPlace: [1, 0],
    extents: ([heads, b, s]) => [heads! * s!, heads! * s!, b! + 1, b!, 2],
  },

  [Op.ElementLossGrad]: {
    name: 'element_loss_grad',
    operands: ['r', 'r', 'r', 'w'],
    inPlace: [3, 0],
    extents: ([n, m]) => [n! * m!, n! * m!, 1, n! * m!],
  },
  [Op.SpanCrossEntropyGrad]: {
    name: 'span_cross_entropy_grad',
    operands: ['r', 'r', 'r', 'r', 'r', 'r', 'a'],
    extents: ([r, t, w]) => [t! * w!, r!, r!, r!, r!, 1, t! * w!],
  },

  [Op.AttentionGrad]: {
    name: 'attention_grad',
    operands: ['r', 'r', 'r', 'r', 'r', 'r', 'r', 'r?', 'r?', 'w?', 'w?', 'w?'],
    extents: ([heads, d, t, b]) => {
      const tokens = heads! * d! * t!
      return [tokens, tokens, tokens, tokens, tokens, b! + 1, 2 * heads! * t!, b!, 2, tokens, tokens, tokens]
    },
  },

  [Op.MeanPoolGrad]: {
    name: 'mean_pool_grad',
    operands: ['r', 'r', 'w'],
    extents: ([b, h, t]) => [b! * h!, b! + 1, t! * h!],
  },
  [Op.NormalizeGrad]: {
    name: 'normalize_grad',
    operands: ['r', 'r', 'w'],
    extents: ([rows, h]) => [rows! * h!, rows! * h!, rows! * h!],
  },
  [Op.Pairwise]: { name: 'pairwise', operands: ['r', 'r', 'w'], extents: ([rows, h]) => [rows! * h!, rows! * h!, rows!] },
  [Op.PairwiseGrad]: {
    name: 'pairwise_grad',
    operands: ['r', 'r', 'r', 'w'],
    extents: ([rows, h]) => [rows! * h!, rows! * h!, rows!, rows! * h!],
  },

  [Op.Fill]: { name: 'fill', operands: ['w'], extents: ([n, m]) => [n! * m!] },
  [Op.Copy]: { name: 'copy', operands: ['r', 'w'], inPlace: [1, 0], extents: ([n, m]) => [n! * m!, n! * m!] },
  [Op.AdamW]: {
    name: 'adamw',
    operands: ['a', 'a', 'a', 'a', 'r'],
    extents: ([n, m, group]) => [n! * m!, n! * m!, n! * m!, n! * m!, (group! + 1) * AdamScalar.Words],
  },
  [Op.Squares]: { name: 'squares', operands: ['r', 'w'], extents: ([n, m]) => [n! * m!, Math.ceil((n! * m!) / SquaresRun.Length)] },
}
