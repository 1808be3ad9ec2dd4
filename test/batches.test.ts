// Batches of a training that are cut by tokens.
import { describe, expect, it } from 'vitest'
import { BertForSequenceClassification } from '../src/index.node.ts'
import { Trainer, type Dataset, type Feature, type StepInfo, type TrainingArgumentsOptions } from '../src/training.ts'
import { Batches } from '../src/training/batches.ts'
import { epochOrder } from '../src/training/dataset.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, sequences } from './support/models.ts'

const SEED = 6
const features: Feature[] = sequences(23, { longest: 40, seed: 4 }).map((input_ids, i) => ({ input_ids, label: i % 3 }))
const lengths = features.map(({ input_ids }) => input_ids.length)
const batches = (most: { tokens?: number; size?: number; parts?: number }): Batches =>
  new Batches(features.length, { seed: SEED, size: 1 << 20, parts: 1, ...most }, (i) => ({ tokens: lengths[i]! }))
const sum = (indices: ArrayLike<number>): number => Array.from(indices).reduce((tokens, i) => tokens + lengths[i]!, 0)

/** The tokens of each step, the steps that were planned, and what the run says of itself. */
async function run(args: TrainingArgumentsOptions, train_dataset: readonly Feature[] | Dataset = features) {
  const model = await BertForSequenceClassification.fromPretrained(memorySource(checkpoint(), 'tiny'), {
    threads: 0,
    initialize_missing: true,
    num_labels: 3,
    seed: 2,
  })
  const steps: StepInfo[] = []
  let planned = 0
  try {
    const callback = {
      on_step_end: (_: unknown, state: { max_steps: number }, __: unknown, { step }: { step?: StepInfo }) => {
        steps.push(step!)
        planned = state.max_steps
      },
    }
    const trainer = new Trainer({ model, args: { seed: SEED, ...args }, train_dataset, callbacks: [callback] })
    const { metrics } = await trainer.train()
    const { specs, engine } = model.loaded
    return { tokens: steps.map(({ tokens }) => tokens), planned, metrics, weights: specs.map(({ held }) => engine.store.read(held)) }
  } finally {
    await model.dispose()
  }
}

describe('batches up to a number of tokens', () => {
  it.each([1, 40, 64, 200, 1e6])('of %d: full, in the order of the seed, every example once', (tokens) => {
    for (const epoch of [0, 1]) {
      const parts = [...batches({ tokens }).steps(epoch)].flat()
      expect(parts.flatMap((part) => [...part])).toEqual([...epochOrder(features.length, SEED, epoch)])
      parts.forEach((part, i) => {
        if (part.length > 1) expect(sum(part)).toBeLessThanOrEqual(tokens)
        const next = parts[i + 1]?.[0]
        if (next !== undefined) expect(sum(part) + lengths[next]!).toBeGreaterThan(tokens)
      })
    }
  })

  it('hold no more examples than were asked for, and steps no more parts', () => {
    const steps = [...batches({ tokens: 200, size: 3, parts: 2 }).steps(0)]
    expect(Math.max(...steps.flat().map(({ length }) => length))).toBe(3)
    expect(steps.slice(0, -1).every(({ length }) => length === 2)).toBe(true)
  })

  it('are counted over epochs that are cut differently, and over a part of one', () => {
    const cut = batches({ tokens: 64 })
    const [first, second] = [cut.steps(0).length, cut.steps(1).length]
    expect(cut.count(1)).toBe(first)
    expect(cut.count(2)).toBe(first + second)
    expect(cut.count(1.5)).toBe(first + Math.ceil(second / 2))
    expect(batches({ size: 5 }).count(2.5)).toBe(Math.ceil(2.5 * 5))
  })

  it('train: as many steps as were counted, with the same bits however a part is named', async () => {
    const max_tokens_per_batch = 64
    const { tokens, planned, metrics } = await run({ max_tokens_per_batch, num_train_epochs: 2 })
    expect(planned).toBe(batches({ tokens: 64 }).count(2))
    expect(tokens).toEqual([0, 1].flatMap((epoch) => [...batches({ tokens: 64 }).steps(epoch)].map(([part]) => sum(part!))))
    expect(metrics.epoch).toBe(2)
    const whole = await run({ max_tokens_per_batch: 1e6, num_train_epochs: 2 })
    expect(whole.weights).toEqual((await run({ per_device_train_batch_size: 23, num_train_epochs: 2 })).weights)
  })

  it('want data that tell their sizes', () =>
    expect(run({ max_tokens_per_batch: 64 }, { length: 23, get: (i) => features[i]! })).rejects.toThrow(
      /max_tokens_per_batch: expected a train_dataset that tells its sizes.*size\(index\)/,
    ))

  it.each([0, -5, 1.5, '64'])('%s is refused', (most) =>
    expect(run({ max_tokens_per_batch: most as number })).rejects.toThrow(/max_tokens_per_batch: expected a whole number from 1/),
  )
})
