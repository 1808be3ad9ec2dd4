// Checkpoints made on the spot, for tests that need weights and no golden file.
import { random } from './random.ts'

export interface TinyConfig {
  hidden_size?: number
  num_hidden_layers?: number
  num_attention_heads?: number
  intermediate_size?: number
  vocab_size?: number
  max_position_embeddings?: number
  hidden_act?: string
}

/** A Hugging Face checkpoint as files in memory, with seeded weights of a sensible scale. */
export function checkpoint(tiny: TinyConfig = {}, seed = 1): Record<string, Uint8Array> {
  const config = {
    architectures: ['BertModel'],
    model_type: 'bert',
    vocab_size: 120,
    hidden_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 96,
    hidden_act: 'gelu',
    max_position_embeddings: 512,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    ...tiny,
  }
  const { hidden_size: h, intermediate_size: wide, vocab_size: vocab } = config
  const next = random(seed)
  const tensors: [string, number[], number, number][] = []
  const dense = (name: string, n: number, k: number): void => {
    tensors.push([`${name}.weight`, [n, k], 0, 1 / Math.sqrt(k)], [`${name}.bias`, [n], 0, 0.1])
  }
  const norm = (name: string): void => {
    tensors.push([`${name}.LayerNorm.weight`, [h], 1, 0.1], [`${name}.LayerNorm.bias`, [h], 0, 0.1])
  }
  tensors.push(
    ['embeddings.word_embeddings.weight', [vocab, h], 0, 0.5],
    ['embeddings.position_embeddings.weight', [config.max_position_embeddings, h], 0, 0.2],
    ['embeddings.token_type_embeddings.weight', [config.type_vocab_size, h], 0, 0.2],
  )
  norm('embeddings')
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `encoder.layer.${i}`
    for (const part of ['query', 'key', 'value']) dense(`${layer}.attention.self.${part}`, h, h)
    dense(`${layer}.attention.output.dense`, h, h)
    norm(`${layer}.attention.output`)
    dense(`${layer}.intermediate.dense`, wide, h)
    dense(`${layer}.output.dense`, h, wide)
    norm(`${layer}.output`)
  }
  dense('pooler.dense', h, h)

  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let at = 0
  const values: number[][] = []
  for (const [name, shape, mean, scale] of tensors) {
    const count = shape.reduce((product, n) => product * n, 1)
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + count * 4] }
    at += count * 4
    values.push(Array.from({ length: count }, () => mean + scale * (next() * 2 - 1) * Math.sqrt(3)))
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(text.length / 8) * 8
  const file = new Uint8Array(8 + padded + at).fill(32, 8, 8 + padded)
  new DataView(file.buffer).setUint32(0, padded, true)
  file.set(text, 8)
  new Float32Array(file.buffer, 8 + padded).set(values.flat())
  return { 'config.json': new TextEncoder().encode(JSON.stringify(config)), 'model.safetensors': file }
}

/** `count` rows of token ids of seeded lengths, not padded. */
export function sequences(count: number, { vocab = 120, longest = 40, seed = 7 } = {}): number[][] {
  const next = random(seed)
  return Array.from({ length: count }, () => Array.from({ length: 1 + Math.floor(next() * longest) }, () => Math.floor(next() * vocab)))
}

/** Right-padded rectangle of rows, with its mask. */
export function rectangle(rows: readonly (readonly number[])[]): { input_ids: number[][]; attention_mask: number[][] } {
  const columns = Math.max(...rows.map((row) => row.length))
  return {
    input_ids: rows.map((row) => [...row, ...Array.from({ length: columns - row.length }, () => 0)]),
    attention_mask: rows.map((row) => Array.from({ length: columns }, (_, i) => (i < row.length ? 1 : 0))),
  }
}

/** A vocab.txt for the checkpoints above: special tokens, letters and digits with their continuations, and some words. */
export function vocabulary(): string {
  const signs = [...'abcdefghijklmnopqrstuvwxyz0123456789']
  const words = [
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[MASK]',
    ...signs,
    ...signs.map((sign) => `##${sign}`),
    'the',
    'text',
    'cat',
    '##s',
    ',',
    '.',
  ]
  return [...new Set(words)].map((word) => `${word}\n`).join('')
}
