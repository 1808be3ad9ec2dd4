// What a model's matrices are held in, and why.
import type { WeightDtype } from '../engine/build.ts'
import { expected, Words } from '../errors.ts'
import { isObject } from '../json.ts'
import type { BertConfig } from './config.ts'

/** Of config.json, in quantised checkpoints. */
export const FIELD = 'quantization_config'
/** What others must not read as if it were theirs: activations are smoothed before they become integers. */
export const SMOOTHED = 'bertlet'
export const PACKED = 'pack-quantized'

/** Whether the checkpoint's layers have smoothing vectors. */
export function isSmoothed({ original: { [FIELD]: config } }: BertConfig): boolean {
  return isObject(config) && config.quant_method === SMOOTHED
}

/** Checks that a checkpoint can be held in what was asked for, and gives that, or else its own. */
export async function resolveDtype(config: BertConfig, asked: WeightDtype | undefined): Promise<{ dtype: WeightDtype; why: string }> {
  const isFloat = (config.original[FIELD] ?? null) === null
  const own = isFloat ? 'f32' : (await import('./quantization.ts')).checkpointDtype(config)
  if (own !== 'f32' && asked !== undefined && asked !== own) {
    throw expected(
      'dtype',
      `${own}, what the checkpoint holds`,
      new Words(asked),
      'Leave dtype out, or give the float checkpoint',
      'unsupported',
    )
  }
  const dtype = asked ?? own
  return { dtype, why: reasonOf(dtype, own) }
}

/** Why a model is held so; `own` is its checkpoint's, if there is one. */
export function reasonOf(dtype: WeightDtype, own?: WeightDtype): string {
  if (dtype === 'f32') return 'the default: the numbers of the reference'
  return `${own === dtype ? 'what the checkpoint holds' : 'as asked'}: matrices in ${dtype === 'int8' ? 8 : 4} bits, activations in 7`
}
