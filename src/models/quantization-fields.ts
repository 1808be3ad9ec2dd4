// What config.json is to say of a checkpoint that is quantised here.
import { SPAN } from '../graph/tensor.ts'
import type { JsonObject } from '../json.ts'
import { FIELD, PACKED, SMOOTHED } from './dtype.ts'

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
