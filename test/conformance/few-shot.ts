// A classifier from eight texts, made in every way that must not matter, comes to one committed hash.
import { BertForSequenceClassification, BertModel, Tokenizer } from '../../src/index.ts'
import { fewShot, memoryFolder, type ContrastiveOptions } from '../../src/training.ts'
import { same, type ConformanceCase } from './case.ts'

const WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'good', 'fine', 'bad', 'poor', 'film', 'book', 'the', 'a', 'was']
const SHAPE = { hidden_size: 36, num_hidden_layers: 2, num_attention_heads: 3, intermediate_size: 50, max_position_embeddings: 16 }
/** Two classes that words tell apart. */
export const TEXTS = [
  'the film was good',
  'a fine book',
  'the book was good',
  'a fine film',
  'the film was bad',
  'a poor book',
  'the book was bad',
  'a poor film',
]
export const LABELS = ['yes', 'yes', 'yes', 'yes', 'no', 'no', 'no', 'no']
const CONTRASTIVE: ContrastiveOptions = { body_learning_rate: 1e-3, batch_size: 8, max_steps: 3 }

/** FNV-1a over the head's file. */
export const FEW_SHOT_HASH = '1d6516b2'
export const CONTRASTIVE_HASH = 'dd2e7c96'

export async function fewShotHash(options: { threads: number; budget?: number }, contrastive?: ContrastiveOptions): Promise<string> {
  const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': WORDS.join('\n') })
  const trunk = new BertModel({ ...SHAPE, vocab_size: WORDS.length }, { ...options, seed: 4, add_pooling_layer: false })
  try {
    const { model, saveHead } = await fewShot(TEXTS, LABELS, { model: trunk, tokenizer, C: 10, ...(contrastive && { contrastive }) })
    let state = 0x811c9dc5
    await saveHead({
      async write(name, pieces) {
        if (name !== 'model.safetensors') return
        for await (const piece of pieces) for (const byte of piece) state = Math.imul(state ^ byte, 0x01000193) >>> 0
      },
    })
    await model.dispose()
    return state.toString(16).padStart(8, '0')
  } finally {
    await trunk.dispose()
  }
}

const WAYS = { '1 thread': { threads: 1 }, '3 threads': { threads: 3 }, 'the calling thread, text by text': { threads: 0, budget: 1 } }

/** What fewShot saves as an adapter, over the model that it was made of, is the model that it gave. */
async function adapted(contrastive: boolean): Promise<void> {
  const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': WORDS.join('\n') })
  const trunk = new BertModel({ ...SHAPE, vocab_size: WORDS.length }, { threads: 2, seed: 4, add_pooling_layer: false })
  const folder = memoryFolder()
  await trunk.savePretrained(folder.sink('base'))
  const { model, saveAdapter } = await fewShot(TEXTS, LABELS, { model: trunk, tokenizer, ...(contrastive && { contrastive: CONTRASTIVE }) })
  await saveAdapter(folder.sink('adapter'))
  const again = await BertForSequenceClassification.fromPretrained(folder.source('base'), { adapter: folder.source('adapter') })
  const inputs = tokenizer(TEXTS, { padding: true })
  same((await again(inputs)).logits.tolist(), (await model(inputs)).logits.tolist(), 'logits')
  same(again.config.id2label, { 0: 'yes', 1: 'no' }, 'labels')
  for (const each of [again, model, trunk]) await each.dispose()
}

export const FEW_SHOT: readonly ConformanceCase[] = [
  { name: 'an adapter of the head over its model', run: () => adapted(false) },
  { name: 'an adapter of the tuned trunk over its model', run: () => adapted(true) },
  ...hashes(),
]

function hashes(): ConformanceCase[] {
  return Object.entries(WAYS).flatMap(([name, options]) => [
    { name: `a frozen trunk, ${name}`, run: async () => same(await fewShotHash(options), FEW_SHOT_HASH, 'hash of the head') },
    {
      name: `a tuned trunk, ${name}`,
      run: async () => same(await fewShotHash(options, CONTRASTIVE), CONTRASTIVE_HASH, 'hash of the head'),
    },
  ])
}
