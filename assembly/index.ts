// The one entry: walks the records of a plan. All ranks walk the same ones and meet after each.
import { Op, Plan, Status } from './abi'
import { enterPlan } from './record'
import { barrier, enterAlone, enterTeam, isPaused } from './threads'
import { attention } from './kernels/attention'
import { attentionGrad } from './kernels/attention-grad'
import { bmm } from './kernels/bmm'
import { activation, activationGrad, add, copy, fill } from './kernels/elementwise'
import { embedding, gather, scatter } from './kernels/embedding'
import { gemm } from './kernels/gemm'
import { gemmInt4 } from './kernels/int4'
import { gemmInt8 } from './kernels/int8'
import { layerNorm, layerNormGrad, layerNormParamGrad } from './kernels/layernorm'
import { dropout, dropoutMaps } from './kernels/dropout'
import { crossEntropy, crossEntropyGrad, elementLoss, elementLossGrad, spanCrossEntropy, spanCrossEntropyGrad } from './kernels/loss'
import { adamW, squares } from './kernels/optimizer'
import { pairwise, pairwiseGrad } from './kernels/pairwise'
import { quantize } from './kernels/quantize'
import { columnSum, meanPool, meanPoolGrad, normalize, normalizeGrad, sum } from './kernels/reduce'
import { softmax, softmaxGrad } from './kernels/softmax'

export { GEMM_SCRATCH, HIGH, KC, MC, MR, NR, tryTile, useTile } from './kernels/gemm'
export { packRows, unpackRows } from './kernels/pack'
export { quantizeRows4, totals } from './kernels/int4'
export { dequantizeRows, quantizeRows } from './kernels/quantize'
export { fillNormal } from './random'
export { selfTest } from './selftest'

/** Runs records first..last-1 of the plan as one of `ranks`; returns a Status. */
export function run(plan: usize, first: i32, last: i32, sync: usize, rank: i32, ranks: i32): i32 {
  enterPlan(plan, rank)
  enterTeam(sync, ranks)
  let r = plan + ((<usize>(Plan.Slots + first * Plan.Words)) << 2)
  for (let i = first; i < last; i++, r += Plan.Words << 2) {
    if (!dispatch(load<i32>(r, Plan.Op << 2), r)) return Status.BadRecord
    if (!barrier()) return Status.Aborted
  }
  return Status.Done
}

/** Units from..to-1 of one record's work, by one rank; Status.Paused where there are more. A record that is cut so gives the same bits. */
export function runUnits(plan: usize, record: i32, from: i32, to: i32): i32 {
  enterPlan(plan, 0)
  enterAlone(from, to)
  const r = plan + ((<usize>(Plan.Slots + record * Plan.Words)) << 2)
  if (!dispatch(load<i32>(r, Plan.Op << 2), r)) return Status.BadRecord
  return isPaused() ? Status.Paused : Status.Done
}

function dispatch(op: i32, r: usize): bool {
  switch (op) {
    case Op.Gemm:
      gemm(r)
      return true
    case Op.Bmm:
      bmm(r)
      return true
    case Op.Softmax:
      softmax(r)
      return true
    case Op.Attention:
      attention(r)
      return true
    case Op.Embedding:
      embedding(r)
      return true
    case Op.LayerNorm:
      layerNorm(r)
      return true
    case Op.Activation:
      activation(r)
      return true
    case Op.Add:
      add(r)
      return true
    case Op.Gather:
      gather(r)
      return true
    case Op.MeanPool:
      meanPool(r)
      return true
    case Op.Normalize:
      normalize(r)
      return true
    case Op.CrossEntropy:
      crossEntropy(r)
      return true
    case Op.Sum:
      sum(r)
      return true
    case Op.ElementLoss:
      elementLoss(r)
      return true
    case Op.SpanCrossEntropy:
      spanCrossEntropy(r)
      return true
    case Op.Quantize:
      quantize(r)
      return true
    case Op.GemmInt8:
      gemmInt8(r)
      return true
    case Op.GemmInt4:
      gemmInt4(r)
      return true
    default:
      return isDefined(INFERENCE) ? false : dispatchTraining(op, r)
  }
}

/** What only training's plans have (graph/plan.ts says which they are): builds for inference leave it out. */
function dispatchTraining(op: i32, r: usize): bool {
  switch (op) {
    case Op.Dropout:
      dropout(r)
      return true
    case Op.DropoutMaps:
      dropoutMaps(r)
      return true
    case Op.CrossEntropyGrad:
      crossEntropyGrad(r)
      return true
    case Op.ActivationGrad:
      activationGrad(r)
      return true
    case Op.LayerNormGrad:
      layerNormGrad(r)
      return true
    case Op.LayerNormParamGrad:
      layerNormParamGrad(r)
      return true
    case Op.SoftmaxGrad:
      softmaxGrad(r)
      return true
    case Op.ColumnSum:
      columnSum(r)
      return true
    case Op.Scatter:
      scatter(r)
      return true
    case Op.ElementLossGrad:
      elementLossGrad(r)
      return true
    case Op.SpanCrossEntropyGrad:
      spanCrossEntropyGrad(r)
      return true
    case Op.AttentionGrad:
      attentionGrad(r)
      return true
    case Op.MeanPoolGrad:
      meanPoolGrad(r)
      return true
    case Op.NormalizeGrad:
      normalizeGrad(r)
      return true
    case Op.Pairwise:
      pairwise(r)
      return true
    case Op.PairwiseGrad:
      pairwiseGrad(r)
      return true
    case Op.Fill:
      fill(r)
      return true
    case Op.Copy:
      copy(r)
      return true
    case Op.AdamW:
      adamW(r)
      return true
    case Op.Squares:
      squares(r)
      return true
    default:
      return false
  }
}

/** A place behind the constant tables of every build: the host lays out everything from here, whichever of them it runs on it. */
export const BASE: usize = 2048
