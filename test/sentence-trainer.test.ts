// Sentence embeddings through the Trainer: features in columns, batches without duplicates, resuming, and what is saved.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { BertModel, pipeline, Tokenizer } from '../src/index.node.ts'
import { Batches } from '../src/training/batches.ts'
import { memoryFolder } from '../src/weights/folder.ts'
import { regressionMetrics } from '../src/training/metrics.ts'
import { sentenceCollator, textNumbers, type SentenceFeature } from '../src/training/sentence-data.ts'
import { SentenceTraining } from '../src/training/sentence-training.ts'
import { Trainer, type TrainerOptions } from '../src/training/trainer.ts'

const SHAPE = {
  vocab_size: 60,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 12,
}
const models: BertModel[] = []
const fresh = (threads = 1): BertModel => {
  const model = new BertModel(SHAPE, { seed: 3, threads, add_pooling_layer: false })
  models.push(model)
  return model
}
afterEach(async () => void (await Promise.all(models.splice(0).map((model) => model.dispose()))))

const ids = (n: number): number[] => Array.from({ length: 3 + (n % 5) }, (_, i) => 5 + ((n * 7 + i * 3) % 50))
const PAIRS: SentenceFeature[] = Array.from({ length: 14 }, (_, i) => ({ sentence1: ids(i), sentence2: ids(i + 3), score: (i % 5) / 4 }))
const weights = async (model: BertModel): Promise<Float32Array> => (await model({ input_ids: [[5, 6, 7]] })).last_hidden_state.data

const trained = async (
  options: Partial<TrainerOptions<SentenceFeature>>,
  threads = 1,
): Promise<{ weights: Float32Array; loss: number }> => {
  const model = fresh(threads)
  const trainer = new Trainer({ model, loss: 'CoSENTLoss', train_dataset: PAIRS, ...options })
  const { training_loss } = await trainer.train()
  return { weights: await weights(model), loss: training_loss }
}

describe('a Trainer with a loss on sentence embeddings', () => {
  it('takes the steps of SentenceTraining, to the bit', async () => {
    const args = {
      max_steps: 3,
      per_device_train_batch_size: 14,
      learning_rate: 1e-2,
      lr_scheduler_type: 'constant',
      max_grad_norm: 0,
      seed: 7,
    } as const
    const trainer = await trained({ args })
    const model = fresh(2)
    const training = new SentenceTraining(model, { loss: 'CoSENTLoss' }, { seed: 7, weight_decay: 0 })
    for (let epoch = 0; epoch < 3; epoch++) {
      const [step] = new Batches(14, { seed: 7, size: 14, parts: 1 }, undefined).steps(epoch)
      await training.step(await sentenceCollator([...step![0]!].map((i) => PAIRS[i]!)), 1e-2)
    }
    expect(await weights(model)).toEqual(trainer.weights)
  })

  it('gives the same bits in parts of 2 as in one of 6', async () => {
    const args = { num_train_epochs: 2, learning_rate: 1e-2 }
    const whole = await trained({ args: { ...args, per_device_train_batch_size: 6 } })
    const parts = await trained({ args: { ...args, per_device_train_batch_size: 2, gradient_accumulation_steps: 3 } }, 3)
    expect(parts).toEqual(whole)
  })

  it('learns what its pairs say, and tells the correlation', async () => {
    const trainer = new Trainer({
      model: fresh(),
      loss: 'CosineSimilarityLoss',
      args: { num_train_epochs: 30, learning_rate: 5e-3, per_device_train_batch_size: 7 },
      train_dataset: PAIRS,
      eval_dataset: PAIRS,
      compute_metrics: regressionMetrics,
    })
    const before = await trainer.evaluate()
    await trainer.train()
    const after = await trainer.evaluate()
    expect(before.eval_loss).toBeCloseTo(before.eval_mse!, 5)
    expect(after.eval_loss!).toBeLessThan(before.eval_loss! / 2)
    expect(after.eval_spearman!).toBeGreaterThan(0.9)
  })

  it('goes on from a checkpoint to the same bits, and from none of another loss', async () => {
    const args = { num_train_epochs: 3, per_device_train_batch_size: 4, learning_rate: 1e-2, batch_sampler: 'no_duplicates' } as const
    const whole = await trained({ args })
    const output_dir = memoryFolder()
    const saving = { ...args, output_dir, save_steps: 3, save_strategy: 'steps' } as const
    const stop = {
      on_save: (_: unknown, __: unknown, control: { should_training_stop: boolean }) => void (control.should_training_stop = true),
    }
    await trained({ args: saving, callbacks: [stop] })
    const other = new Trainer({ model: fresh(), loss: 'CosineSimilarityLoss', args: saving, train_dataset: PAIRS })
    await expect(other.train({ resume_from_checkpoint: true })).rejects.toThrow(/loss/)
    const model = fresh(2)
    await new Trainer({ model, loss: 'CoSENTLoss', args: saving, train_dataset: PAIRS }).train({ resume_from_checkpoint: true })
    expect(await weights(model)).toEqual(whole.weights)
  })

  it('saves how the model pools: feature extraction takes it so', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
    try {
      const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...Array.from({ length: 55 }, (_, i) => `w${i}`)]
      const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': words.join('\n') })
      const model = fresh()
      const trainer = new Trainer({
        model,
        loss: 'CoSENTLoss',
        pooling: 'cls',
        normalize: true,
        train_dataset: PAIRS,
        processing_class: tokenizer,
      })
      await trainer.saveModel(folder)
      const embed = await pipeline('feature-extraction', folder, { threads: 0 })
      const [auto, same, mean] = [
        await embed(['w1 w2 w3'], { pooling: 'auto' }),
        await embed(['w1 w2 w3'], { pooling: 'cls', normalize: true }),
        await embed(['w1 w2 w3'], { pooling: 'mean', normalize: true }),
      ]
      expect(auto.data).toEqual(same.data)
      expect(auto.data).not.toEqual(mean.data)
      await embed.dispose()
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('batches without duplicates', () => {
  const TEXTS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  // Every example shares its first text with three others.
  const dataset = { length: 16, texts: (i: number): string[] => [TEXTS[i % 4]!, `${TEXTS[4 + (i % 4)]} ${i}`] }
  const batches = new Batches(16, { seed: 5, size: 2, parts: 2, apart: textNumbers(dataset) }, undefined)

  it('no step has a text twice, every example comes once an epoch, and each epoch has its own order', () => {
    for (const epoch of [0, 1, 2]) {
      const steps = [...batches.steps(epoch)]
      for (const step of steps) {
        const texts = step.flatMap((part) => [...part].flatMap((i) => dataset.texts(i)))
        expect(new Set(texts).size).toBe(texts.length)
      }
      expect(steps.flatMap((step) => step.flatMap((part) => [...part])).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 16 }, (_, i) => i),
      )
      expect(steps).toHaveLength(4)
    }
    expect([...batches.steps(1)]).not.toEqual([...batches.steps(0)])
    expect(batches.count(2.5)).toBe(10)
  })

  it('without duplicates the order is that of every other epoch', () => {
    const apart = Array.from({ length: 9 }, (_, i) => Int32Array.of(i))
    const options = { seed: 5, size: 2, parts: 2 }
    expect([...new Batches(9, { ...options, apart }, undefined).steps(1)]).toEqual([...new Batches(9, options, undefined).steps(1)])
  })
})

describe('what is wrong is said', () => {
  const collate = (features: unknown): unknown => sentenceCollator(features as SentenceFeature[])
  it.each([
    [
      'a text that is not tokenised',
      [{ anchor: 'a text', positive: [5] }],
      /features\[0\]\.anchor: expected token ids, got "a text"\. Tokenise texts first/,
    ],
    ['no tokens', [{ anchor: [], positive: [5] }], /features\[0\]\.anchor: expected token ids/],
    ['other columns', [{ anchor: [5], positive: [5] }, { positive: [5], anchor: [5] }], /features\[1\]: expected the columns of the first, anchor, positive, got positive, anchor/], // prettier-ignore
  ])('%s', (_, features, message) => expect(() => collate(features)).toThrow(message))

  it('options that do not go together', () => {
    const model = fresh()
    expect(() => new Trainer({ model, pooling: 'cls' })).toThrow(/loss: expected a loss on sentence embeddings/)
    const args = { batch_sampler: 'no_duplicates', max_tokens_per_batch: 100 } as const
    expect(() => new Trainer({ model, args })).toThrow(/max_tokens_per_batch: expected nothing beside/)
  })
})
