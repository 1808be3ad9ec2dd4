// What config.json says of a quantised checkpoint: the layout of compressed-tensors, which Hugging Face transformers reads. Only such checkpoints load it.
import type { WeightDtype } from '../engine/build.ts'
import { expected, type BertletError } from '../errors.ts'
import { SPAN } from '../graph/tensor.ts'
import { isObject, type JsonObject } from '../json.ts'
import type { BertConfig } from './config.ts'
import { FIELD, PACKED, SMOOTHED } from './dtype.ts'

const SUBJECT = `config.json: ${FIELD}`
const METHODS = ['compressed-tensors', SMOOTHED]
const FORMATS = ['int-quantized', 'naive-quantized', PACKED]
const OTHERWISE = 'Quantise the float checkpoint with bertlet quantize, or give that checkpoint'

/** What a checkpoint's matrices are held in where nobody asks for something else. */
export function checkpointDtype({ original }: BertConfig): WeightDtype {
  const config = original[FIELD]
  if (config === undefined || config === null) return 'f32'
  if (!isObject(config)) throw bad('', 'an object', config)
  const { quant_method, quantization_status, config_groups } = config
  if (!METHODS.includes(quant_method as string)) throw bad('.quant_method', `one of ${METHODS.join(', ')}`, quant_method)
  if (quantization_status !== 'compressed') throw bad('.quantization_status', '"compressed"', quantization_status)
  if (!isObject(config_groups) || Object.keys(config_groups).length === 0) throw bad('.config_groups', 'an object of groups', config_groups)
  const groups = Object.entries(config_groups).map(([name, group]) => groupDtype(`.config_groups.${name}`, group, config))
  return groups.includes('int4') ? 'int4' : 'int8'
}

function groupDtype(at: string, group: unknown, config: JsonObject): 'int8' | 'int4' {
  if (!isObject(group)) throw bad(at, 'an object with targets and weights', group)
  const { weights, input_activations: activations } = group
  // A group that does not say takes what is usual for its arguments, as compressed-tensors itself does.
  const implied = isNothing(activations) ? 'pack-quantized' : 'int-quantized'
  const format = group.format ?? (config.format === 'mixed-precision' ? implied : (config.format ?? implied))
  if (!FORMATS.includes(format as string)) throw bad(`${at}.format`, `one of ${FORMATS.join(', ')}`, format)
  if (!isObject(weights)) throw bad(`${at}.weights`, 'an object', weights)
  const { num_bits = 8, type = 'int', symmetric = true, strategy, group_size, actorder } = weights
  const packed = format === PACKED
  const bits = packed ? 4 : 8
  if (num_bits !== bits) throw bad(`${at}.weights.num_bits`, `${bits}, with ${format as string}`, num_bits)
  if (type !== 'int') throw bad(`${at}.weights.type`, '"int"', type)
  if (symmetric !== true) throw bad(`${at}.weights.symmetric`, 'true', symmetric)
  const grouped = packed && (strategy === 'group' || isNothing(strategy)) && typeof group_size === 'number' && group_size > 0
  if (grouped && group_size % SPAN !== 0) throw bad(`${at}.weights.group_size`, `a multiple of ${SPAN}`, group_size)
  if (!grouped && !isNothing(strategy) && strategy !== 'channel' && strategy !== 'tensor') {
    throw bad(`${at}.weights.strategy`, packed ? '"group", with a group_size, "channel" or "tensor"' : '"channel" or "tensor"', strategy)
  }
  if (!grouped && !isNothing(group_size) && group_size !== -1) throw bad(`${at}.weights.group_size`, 'null', group_size)
  if (!isNothing(actorder)) throw bad(`${at}.weights.actorder`, 'null', actorder)
  return packed ? 'int4' : 'int8'
}

const isNothing = (value: unknown): boolean => value === undefined || value === null
const bad = (at: string, wanted: string, got: unknown): BertletError => expected(`${SUBJECT}${at}`, wanted, got, OTHERWISE, 'unsupported')
