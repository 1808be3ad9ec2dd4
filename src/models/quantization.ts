// What config.json says of a quantised checkpoint: the layout of compressed-tensors, which Hugging Face transformers reads.
import type { WeightDtype } from '../engine/build.ts'
import type { BertletError } from '../errors.ts'
import { expected, Words } from '../errors.ts'
import { SPAN } from '../graph/tensor.ts'
import { isObject, type JsonObject } from '../json.ts'
import type { BertConfig } from './config.ts'

const FIELD = 'quantization_config'
const SUBJECT = `config.json: ${FIELD}`
/** What others must not read as if it were theirs: activations are smoothed before they become integers. */
const SMOOTHED = 'bertlet'
const METHODS = ['compressed-tensors', SMOOTHED]
const PACKED = 'pack-quantized'
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

/** Whether the checkpoint's layers have smoothing vectors. */
export function isSmoothed({ original: { [FIELD]: config } }: BertConfig): boolean {
  return isObject(config) && config.quant_method === SMOOTHED
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

/** Checks that a checkpoint can be held in what was asked for, and gives that, or else its own. */
export function resolveDtype(config: BertConfig, asked: WeightDtype | undefined): { dtype: WeightDtype; why: string } {
  const own = checkpointDtype(config)
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

/**
 * config.json's fields for matrices of integers; `floats` are the modules that stay float. With `bytes`, the others are in 4 bits, and those
 * modules, and the words, in 8.
 */
export function quantizationFields(floats: readonly string[], bytes?: readonly string[], smoothed = false): JsonObject {
  const group = (targets: readonly string[], format: string, more: JsonObject): JsonObject => ({
    targets,
    weights: {
      type: 'int',
      symmetric: true,
      dynamic: false,
      actorder: null,
      block_structure: null,
      observer: 'minmax',
      observer_kwargs: {},
      ...more,
    },
    input_activations: null,
    output_activations: null,
    format,
  })
  // Anchored at the start only, so that names fit with and without `bert.`.
  const named = (name: string): string => `re:(.*\\.)?${name.replaceAll('.', '\\.')}$`
  const words = named('word_embeddings')
  const int8 = (...targets: string[]): JsonObject => group(targets, 'int-quantized', { num_bits: 8, strategy: 'channel', group_size: null })
  const groups = bytes
    ? [
        group(['Linear'], PACKED, { num_bits: 4, strategy: 'group', group_size: SPAN }),
        int8(words, ...new Set(['cls.predictions.decoder', ...bytes].map(named))),
      ]
    : [int8('Linear', words)]
  return {
    [FIELD]: {
      quant_method: smoothed ? SMOOTHED : 'compressed-tensors',
      quantization_status: 'compressed',
      format: bytes ? 'mixed-precision' : 'int-quantized',
      config_groups: Object.fromEntries(groups.map((each, i) => [`group_${i}`, each])),
      ignore: floats,
      kv_cache_scheme: null,
      global_compression_ratio: null,
    },
  }
}

/** The fields of a checkpoint in f32. */
export function withoutQuantization({ [FIELD]: _, ...fields }: JsonObject): JsonObject {
  return fields
}
