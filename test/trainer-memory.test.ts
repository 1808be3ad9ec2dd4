// The memory of a whole training is known and taken before its first step: max_memory, and what does not fit.
import { describe, expect, it } from 'vitest'
import { BertForSequenceClassification, Tokenizer, type AnyModel } from '../src/index.node.ts'
import { createPretrainingData, HeadTraining, memoryFolder, Trainer, type Feature, type TrainingArgumentsOptions } from '../src/training.ts'
import { Batches } from '../src/training/batches.ts'
import { epochOrder, toDataset, type Dataset } from '../src/training/dataset.ts'
import { largestBatches } from '../src/training/largest.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, sequences, vocabulary } from './support/models.ts'

const load = (): Promise<BertForSequenceClassification> =>
  BertForSequenceClassification.fromPretrained(memorySource(checkpoint({ num_hidden_layers: 4 }), 'tiny'), {
    threads: 0,
    initialize_missing: true,
    num_labels: 3,
    seed: 2,
  })
const feature = (length: number, i: number): Feature => ({
  input_ids: Array.from({ length }, (_, at) => 5 + ((at * 7 + i) % 100)),
  label: i % 3,
})
/** Short texts, and a long one that comes in the last of ten steps. */
const SEED = 3
const late = epochOrder(40, SEED, 0).at(-1)!
const features = Array.from({ length: 40 }, (_, i) => feature(i === late ? 400 : 8, i))
const ARGS = { per_device_train_batch_size: 4, num_train_epochs: 1, seed: SEED, logging_steps: 1 }

const bytes = (model: AnyModel): number => model.info().bytes.memory
/** Bytes that a step with the short or the long text takes. */
async function needs(gradient_checkpointing: boolean): Promise<{ short: number; long: number }> {
  const model = await load()
  try {
    const of = (length: number): number =>
      HeadTraining.estimate(model, { gradient_checkpointing }, { input_ids: [feature(length, 0).input_ids as number[]], labels: [0] }).total
    return { short: of(8 * 4), long: of(400) }
  } finally {
    await model.dispose()
  }
}

/** The steps that were made, how it ended, and the model's memory before, after each step and at the end. */
async function run(args: TrainingArgumentsOptions, train_dataset: Dataset | readonly Feature[] = features) {
  const model = await load()
  const memory = [bytes(model)]
  const losses: number[] = []
  try {
    const trainer = new Trainer({
      model,
      args: { ...ARGS, ...args },
      train_dataset,
      callbacks: [
        {
          on_step_end: (_, __, ___, { step }) => {
            losses.push(step!.loss)
            memory.push(bytes(model))
          },
        },
      ],
    })
    const error: unknown = await trainer.train().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    const { specs, engine } = model.loaded
    return { losses, error, memory, after: bytes(model), values: specs.map(({ held }) => engine.store.read(held)) }
  } finally {
    await model.dispose()
  }
}

describe('a training that does not fit', () => {
  it('is refused before its first step, and before anything is allocated, though only its last batch is too large', async () => {
    const [kept, again] = [await needs(false), await needs(true)]
    expect(kept.short).toBeLessThan(kept.long)
    const output_dir = memoryFolder()
    const { losses, error, memory, after } = await run({ output_dir, max_memory: (again.short + again.long) / 2 })
    expect(error).toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(
        /chunks of \d+ tokens need \d+ bytes of memory, and \d+ is the most .*Nothing was allocated\. To lower it, .*smaller/s,
      ) as string,
    })
    expect(losses).toEqual([])
    expect(after).toBe(memory[0])
    expect(await output_dir.list()).toEqual([])
    const wanted = Number(/need (\d+) bytes/.exec((error as Error).message)![1])
    expect(wanted).toBeGreaterThanOrEqual(again.long)
    expect((await run({ max_memory: wanted })).losses).toHaveLength(10)
  })

  it('is told at the step that needs it where the data do not tell their sizes', async () => {
    const { short, long } = await needs(true)
    const dataset: Dataset = { length: features.length, get: (i) => features[i]! }
    const { losses, error } = await run({ max_memory: (short + long) / 2 }, dataset)
    expect(losses).toHaveLength(9)
    expect(error).toMatchObject({ code: 'out_of_memory' })
  })

  it('with max_memory recomputes activations when it must, with the same bits', async () => {
    const [kept, again] = [await needs(false), await needs(true)]
    const [wide, narrow] = [await run({}), await run({ max_memory: (kept.long + again.long) / 2 })]
    expect(narrow.error).toBeUndefined()
    expect(narrow.after).toBeLessThan(wide.after)
    expect(narrow.losses).toEqual(wide.losses)
    expect(narrow.values).toEqual(wide.values)
  })

  it.each([0, -1, NaN, '1GB'])('max_memory: %s is refused', (max_memory) =>
    expect(run({ max_memory: max_memory as number })).rejects.toThrow(/max_memory: expected a number of bytes above 0/),
  )
})

it('a training that fits takes all of its memory before the first step', async () => {
  const { memory, losses } = await run({})
  expect(losses).toHaveLength(10)
  expect(memory[1]).toBeGreaterThan(memory[0]!)
  expect(new Set(memory.slice(1)).size).toBe(1)
})

describe('the largest batches', () => {
  it('are those of the steps that are made, in the order of the seed', async () => {
    const dataset = toDataset('train_dataset', features)
    const batches = new Batches(features.length, { seed: SEED, size: 2, parts: 2 }, undefined)
    const cut = { batches, steps: 10, budget: 1024 }
    const at = async (more: object) =>
      (await largestBatches(dataset, { ...cut, ...more }, undefined)).map(({ step, epoch }) => [step, epoch])
    expect(await at({})).toContainEqual([10, 0])
    expect((await at({ steps: 9 })).every(([step]) => step! < 10)).toBe(true)
    // However far the last step is, some of them are enough.
    expect((await at({ steps: 1e12 })).length).toBeGreaterThan(0)
    expect(new Set((await at({ steps: 20 })).map(String))).toEqual(new Set((await at({})).map(String)))
  })

  it('count what is not masked, every choice, and the words to be found', () => {
    const size = (given: object) => toDataset('train_dataset', [given as Feature]).size!(0)
    expect(size({ input_ids: [1, 2, 0], attention_mask: [1, 1, 0], labels: 2 })).toMatchObject({ tokens: 2 })
    expect(size({ input_ids: [[1, 2], [3]] })).toMatchObject({ tokens: 3 })
    expect(size({ input_ids: Int32Array.of(4, 5, 6), labels: [-100, 7, -100] })).toEqual({ tokens: 3, labelled: 1 })
    // What is wrong with it is told by the step.
    expect(size({ text: 'no ids' })).toEqual({ tokens: 0, labelled: 0 })
  })

  it('of pre-training are known without making an instance', async () => {
    const text = sequences(30, { longest: 9 }).map((row) => row.map((id) => 'abcdefghij'[id % 10]).join(' '))
    const lines = text.flatMap((line, i) => (i % 3 === 2 ? [line, ''] : [line]))
    const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': vocabulary() })
    const data = await createPretrainingData(lines, tokenizer, { max_seq_length: 24, dupe_factor: 2 })
    expect(data.length).toBeGreaterThan(10)
    for (let i = 0; i < data.length; i++) {
      const { input_ids, labels } = await data.get(i)
      const { tokens, labelled } = data.size(i)
      expect(tokens - input_ids.length === 0 || tokens - input_ids.length === 1, `${tokens} and ${input_ids.length}`).toBe(true)
      expect(labelled).toBeGreaterThanOrEqual(labels.filter((label) => label !== -100).length)
    }
  })
})
