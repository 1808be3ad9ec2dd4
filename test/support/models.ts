// Checkpoints made on the spot, for tests that need weights and no golden file.
import { random } from './random.ts'
import { writeSafetensors } from './safetensors.ts'

export interface TinyConfig {
  hidden_size?: number
  num_hidden_layers?: number
  num_attention_heads?: number
  intermediate_size?: number
  vocab_size?: number
  max_position_embeddings?: number
  hidden_act?: string
  architectures?: string[]
  tie_word_embeddings?: boolean
  id2label?: Record<number, string>
}

/** Heads that a checkpoint may hold beside the trunk. */
export type HeadTensors = 'cls' | 'classifier' | 'qa_outputs'

/** A Hugging Face checkpoint as files in memory, with seeded weights of a sensible scale. */
export function checkpoint(tiny: TinyConfig = {}, seed = 1, heads: readonly HeadTensors[] = []): Record<string, Uint8Array> {
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
  if (heads.includes('classifier')) dense('classifier', Object.keys(tiny.id2label ?? { 0: '', 1: '' }).length, h)
  if (heads.includes('qa_outputs')) dense('qa_outputs', 2, h)
  if (heads.includes('cls')) {
    dense('cls.predictions.transform.dense', h, h)
    norm('cls.predictions.transform')
    tensors.push(['cls.predictions.bias', [vocab], 0, 0.1])
    dense('cls.seq_relationship', 2, h)
  }

  const file = writeSafetensors(
    tensors.map(([name, shape, mean, scale]) => {
      const count = shape.reduce((product, n) => product * n, 1)
      return [name, shape, Array.from({ length: count }, () => mean + scale * (next() * 2 - 1) * Math.sqrt(3))] as const
    }),
  )
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
