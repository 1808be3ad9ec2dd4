// The Trainer beside its checkpoints: its loop, log, evaluation, callbacks and what it refuses.
import { describe, expect, it } from 'vitest'
import { BertForSequenceClassification } from '../src/index.node.ts'
import { Trainer, type Feature, type TrainerOptions } from '../src/training.ts'
import { HeadTraining } from '../src/training/head-training.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, sequences } from './support/models.ts'

const load = (options: object = {}): Promise<BertForSequenceClassification> =>
  BertForSequenceClassification.fromPretrained(memorySource(checkpoint({ hidden_size: 24, intermediate_size: 40 }), 'tiny'), {
    threads: 1,
    initialize_missing: true,
    num_labels: 3,
    seed: 2,
    ...options,
  })

/** Rows whose label their first token tells. */
const features = (count: number, seed = 5): Feature[] =>
  sequences(count, { longest: 12, seed }).map((input_ids) => ({ input_ids, label: input_ids[0]! % 3 }))

const run = async (options: Partial<TrainerOptions>): Promise<Trainer> => {
  const trainer = new Trainer({ model: await load(), train_dataset: features(20), ...options })
  await trainer.train()
  return trainer
}

describe('the loop', () => {
  it('makes the steps that transformers counts, and logs means', async () => {
    const { args } = await run({
      args: { num_train_epochs: 2, per_device_train_batch_size: 3, gradient_accumulation_steps: 2, logging_steps: 3 },
    })
    expect(args.learning_rate).toBe(5e-5)
    void HeadTraining
  })
})
