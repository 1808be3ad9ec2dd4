import type { JsonObject } from '../json.ts'

const size = (layers: number, hidden: number): JsonObject => ({
  num_hidden_layers: layers,
  hidden_size: hidden,
  num_attention_heads: hidden / 64,
  intermediate_size: 4 * hidden,
})
const [base, large] = [size(12, 768), size(24, 1024)]

/** Architectures that Google published, by their names on the hub: what differs from the defaults of BertConfig. */
export const PRESETS: Readonly<Record<string, JsonObject>> = {
  'bert-base-uncased': base,
  'bert-large-uncased': large,
  'bert-base-cased': { ...base, vocab_size: 28996 },
  'bert-large-cased': { ...large, vocab_size: 28996 },
  'bert-base-multilingual-uncased': { ...base, vocab_size: 105879 },
  'bert-base-multilingual-cased': { ...base, vocab_size: 119547 },
  'bert-base-chinese': { ...base, vocab_size: 21128 },
  'bert-tiny': size(2, 128),
  'bert-mini': size(4, 256),
  'bert-small': size(4, 512),
  'bert-medium': size(8, 512),
}
