// What config.json says of a quantised checkpoint: the layout of compressed-tensors, which Hugging Face transformers reads.
import type { WeightDtype } from '../engine/build.ts'
import type { BertletError } from '../errors.ts'
import { expected, Words } from '../errors.ts'
import { isObject, type JsonObject } from '../json.ts'
import type { BertConfig } from './config.ts'

const FIELD = 'quantization_config'
const SUBJECT = `config.json: ${FIELD}`
const FORMATS = ['int-quantized', 'naive-quantized']
const OTHERWISE = 'Quantise the float checkpoint with bertlet quantize, or give that checkpoint'

/** What a checkpoint's matrices are held in where nobody asks for something else. */
export function checkpointDtype({ original }: BertConfig): WeightDtype {
  const config = original[FIELD]
  if (config === undefined || config === null) return 'f32'
  if (!isObject(config)) throw bad('', 'an object', config)
  const { quant_method, quantization_status, config_groups } = config
  if (quant_method !== 'compressed-tensors') throw bad('.quant_method', '"compressed-tensors"', quant_method)
  if (quantization_status !== 'compressed') throw bad('.quantization_status', '"compressed"', quantization_status)
  if (!isObject(config_groups) || Object.keys(config_groups).length === 0) throw bad('.config_groups', 'an object of groups', config_groups)
  for (const [name, group] of Object.entries(config_groups)) checkGroup(`.config_groups.${name}`, group, config)
  return 'int8'
}

function checkGroup(at: string, group: unknown, config: JsonObject): void {
  if (!isObject(group)) throw bad(at, 'an object with targets and weights', group)
  const { weights, input_activations: activations } = group
  // A group that does not say takes what is usual for its arguments, as compressed-tensors itself does.
  const implied = isNothing(activations) ? 'pack-quantized' : 'int-quantized'
  const format = group.format ?? (config.format === 'mixed-precision' ? implied : (config.format ?? implied))
  if (!FORMATS.includes(format as string)) throw bad(`${at}.format`, `one of ${FORMATS.join(', ')}`, format)
  if (!isObject(weights)) throw bad(`${at}.weights`, 'an object', weights)
  const { num_bits = 8, type = 'int', symmetric = true, strategy, group_size, actorder } = weights
  if (num_bits !== 8) throw bad(`${at}.weights.num_bits`, '8', num_bits)
  if (type !== 'int') throw bad(`${at}.weights.type`, '"int"', type)
  if (symmetric !== true) throw bad(`${at}.weights.symmetric`, 'true', symmetric)
  if (!isNothing(strategy) && strategy !== 'channel' && strategy !== 'tensor') {
    throw bad(`${at}.weights.strategy`, '"channel" or "tensor"', strategy)
  }
  if (!isNothing(group_size) && group_size !== -1) throw bad(`${at}.weights.group_size`, 'null', group_size)
  if (!isNothing(actorder)) throw bad(`${at}.weights.actorder`, 'null', actorder)
}

const isNothing = (value: unknown): boolean => value === undefined || value === null
const bad = (at: string, wanted: string, got: unknown): BertletError => expected(`${SUBJECT}${at}`, wanted, got, OTHERWISE, 'unsupported')

/** Checks that a checkpoint can be held in what was asked for, and gives that, or else its own. */
export function resolveDtype(config: BertConfig, asked: WeightDtype | undefined): { dtype: WeightDtype; why: string } {
  const own = checkpointDtype(config)
  if (asked === 'f32' && own === 'int8') {
    throw expected(
      'dtype',
      'int8, what the checkpoint holds',
      new Words('f32'),
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
  return `${own === 'int8' ? 'what the checkpoint holds' : 'as asked'}: matrices in 8 bits, activations in 7`
}

/** config.json's fields for matrices in int8, a scale for each row; `floats` are the modules that stay float. */
export function int8Fields(floats: readonly string[]): JsonObject {
  const weights = {
    num_bits: 8,
    type: 'int',
    symmetric: true,
    strategy: 'channel',
    group_size: null,
    dynamic: false,
    actorder: null,
    block_structure: null,
    observer: 'minmax',
    observer_kwargs: {},
  }
  const format = 'int-quantized'
  // Anchored at the start only, so that names fit with and without `bert.`.
  const targets = ['Linear', 're:(.*\\.)?word_embeddings$']
  return {
    [FIELD]: {
      quant_method: 'compressed-tensors',
      quantization_status: 'compressed',
      format,
      config_groups: { group_0: { targets, weights, input_activations: null, output_activations: null, format } },
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
