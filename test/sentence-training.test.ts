// Losses on sentence embeddings are held against PyTorch's float64 with sentence-transformers' formulas: test/golden/generate_sentences.py.
import { beforeAll, describe, expect, it } from 'vitest'
import { BertModel } from '../src/index.node.ts'
import type { HeadTrainingOptions, TrainingInputs } from '../src/training/head-training.ts'
import type { SentenceLoss } from '../src/training/sentence-losses.ts'
import type { SentenceOptions } from '../src/training/sentence-pass.ts'
import { SentenceTraining } from '../src/training/sentence-training.ts'
import { readGolden, type Golden, type GoldenTensor } from './support/golden.ts'

interface Case {
  readonly columns: number
  readonly loss: SentenceLoss
  readonly model: Omit<SentenceOptions, 'loss'>
  readonly losses: readonly number[]
  readonly zero: readonly string[]
}

const CASES = [
  ...['pairs', 'symmetric', 'hard-negatives', 'two-hard-negatives', 'cosent', 'cosine', 'euclidean', 'manhattan', 'cosine-triplet'],
] as const
let golden: Golden
beforeAll(async () => void (golden = await readGolden('sentences')))
const caseOf = (name: string): Case => (golden.json.cases as Record<string, Case>)[name]!

/** The first columns of a [B, texts, L] tensor. */
function first({ data, dims: [rows, texts, length] }: GoldenTensor, columns: number): number[][][] {
  return Array.from({ length: rows! }, (_, i) =>
    Array.from({ length: columns }, (__, c) => Array.from({ length: length! }, (___, t) => Number(data[(i * texts! + c) * length! + t]))),
  )
}

function inputsOf({ columns }: Case): TrainingInputs & { labels: number[] } {
  const tensor = (name: string): GoldenTensor => golden.tensors.get(name)!
  const [input_ids, attention_mask] = ['input_ids', 'attention_mask'].map((name) => first(tensor(name), columns))
  return { input_ids, attention_mask, labels: [...(tensor('labels').data as Float32Array)] }
}

/** A batch in parts of `size` examples. */
const cut = (inputs: TrainingInputs, size: number): TrainingInputs[] => {
  const rows = (inputs.input_ids as unknown[]).length
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) =>
    Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, (values as unknown[]).slice(i * size, (i + 1) * size)])),
  )
}

interface Options {
  readonly threads: number
  readonly budget?: number
  readonly attn_implementation?: 'eager'
  readonly parts?: number
  readonly training?: HeadTrainingOptions
  /** A config of fresh weights, in place of the checkpoint. */
  readonly fresh?: Record<string, number>
}

interface Trained {
  readonly gradients: ReadonlyMap<string, Float32Array>
  readonly losses: readonly number[]
  readonly after: ReadonlyMap<string, Float32Array>
}

async function train(of: Case, { parts, fresh, training: options = { dropout: false }, ...run }: Options): Promise<Trained> {
  const { lr, ...adamW } = golden.json.adamw as { lr: number }
  const load = { add_pooling_layer: false, ...run }
  await using model = fresh ? new BertModel(fresh, { ...load, seed: 1 }) : await BertModel.fromPretrained(golden.folder, load)
  const training = new SentenceTraining(model, { loss: of.loss, ...of.model }, { ...adamW, ...options })
  const whole = inputsOf(of)
  const inputs = parts ? cut(whole, parts) : whole
  const gradients = await training.gradients(inputs)
  const losses: number[] = []
  for (let step = 0; step < of.losses.length; step++) losses.push((await training.step(inputs, lr)).loss)
  const after = await training.gradients(inputs)
  await training.dispose()
  return { gradients, losses, after }
}

const norm = (a: Float32Array): number => Math.hypot(...a)
const distance = (a: Float32Array, b: Float32Array): number => Math.hypot(...b.map((x, i) => a[i]! - x))
const differing = (a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): string[] =>
  [...a].filter(([name, values]) => values.some((x, i) => !Object.is(x, b.get(name)?.[i]))).map(([name]) => name)

it('every case of the golden file is told here', () => {
  expect(Object.keys(golden.json.cases as object)).toEqual(CASES)
})

describe.each(CASES)('%s', (name) => {
  let one: Trained
  beforeAll(async () => void (one = await train(caseOf(name), { threads: 1 })))

  it('every gradient by name equals PyTorch', () => {
    const prefix = `${name}.grad.`
    const wanted = new Map([...golden.tensors].flatMap(([key, { data }]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), data as Float32Array]] : []))) // prettier-ignore
    expect([...one.gradients.keys()].sort()).toEqual([...wanted.keys()].sort())
    const largest = Math.max(...[...wanted.values()].map(norm))
    for (const [parameter, values] of wanted) {
      const bound = caseOf(name).zero.includes(parameter) ? 1e-6 * largest : 1e-5 * norm(values)
      expect(distance(one.gradients.get(parameter)!, values), parameter).toBeLessThanOrEqual(bound)
    }
  })

  it('ten steps of AdamW have its losses', () => {
    const { losses } = caseOf(name)
    expect(losses.length).toBe(10)
    losses.forEach((wanted, step) => expect(Math.abs(one.losses[step]! - wanted) / wanted, `step ${step}`).toBeLessThanOrEqual(1e-5))
  })

  it('the same bits for any number of threads, and however the step is cut into parts and chunks', async () => {
    for (const options of [
      { threads: 0 },
      { threads: 3 },
      { threads: 2, budget: 1 },
      { threads: 1, parts: 1 },
      { threads: 2, budget: 20, parts: 4 },
    ]) {
      const other = await train(caseOf(name), options)
      expect(differing(one.gradients, other.gradients), JSON.stringify(options)).toEqual([])
      expect(other.losses, JSON.stringify(options)).toEqual(one.losses)
      expect(differing(one.after, other.after), JSON.stringify(options)).toEqual([])
    }
  })
})

it('with dropout a step depends on its seed alone, not on threads, parts or chunks', async () => {
  const of = caseOf('hard-negatives')
  const shape = {
    vocab_size: 41,
    hidden_size: 20,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 24,
    max_position_embeddings: 9,
  }
  const fresh = { ...shape, hidden_dropout_prob: 0.3, attention_probs_dropout_prob: 0.3 }
  const one = await train(of, { threads: 1, fresh, training: { seed: 5 } })
  const other = await train(of, { threads: 3, budget: 9, parts: 2, fresh, training: { seed: 5 } })
  expect(other.losses).toEqual(one.losses)
  expect(differing(one.after, other.after)).toEqual([])
  const another = await train(of, { threads: 1, fresh, training: { seed: 6 } })
  expect(another.losses[0]).not.toBe(one.losses[0])
})

describe('memory', () => {
  const SHAPE = {
    vocab_size: 41,
    hidden_size: 20,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 24,
    max_position_embeddings: 40,
  }
  const batch = (examples: number, texts: number, length: number): TrainingInputs => ({
    input_ids: Array.from({ length: examples }, (_, i) => Array.from({ length: texts }, (__, c) => Array.from({ length }, (___, t) => (7 * i + 3 * c + t) % 41))), // prettier-ignore
    labels: Array.from({ length: examples }, (_, i) => i / examples),
  })

  it.each([
    ['MultipleNegativesRankingLoss', 8, 3, 40, 1024],
    // What compares the texts takes more than the passes over them.
    ['MultipleNegativesRankingLoss', 128, 2, 2, 8],
    ['CoSENTLoss', 96, 2, 2, 8],
    ['TripletLoss', 5, 3, 9, 30],
  ] as const)(
    'of %s on %i examples of %i texts of %i tokens is told before, and all that is taken',
    async (loss, examples, texts, length, budget) => {
      for (const threads of [0, 2]) {
        await using model = new BertModel(SHAPE, { threads, budget, add_pooling_layer: false })
        const training = new SentenceTraining(model, { loss })
        const inputs = batch(examples, texts, length)
        const told = training.estimate(inputs)
        expect(training.estimate({ batch_size: examples, texts, sequence_length: length })).toEqual(told)
        expect(training.info()).toBeUndefined()
        const { engine } = model.loaded
        expect(await training.reserve([inputs])).toEqual(told)
        const { bytes } = engine.store
        for (let step = 0; step < 2; step++) await training.step(inputs, 1e-3)
        expect(engine.arenaBytes).toBe(told.arena)
        expect(engine.store.bytes).toBe(bytes)
        await training.dispose()
      }
    },
  )

  it('that is too much is refused before anything is taken', async () => {
    await using model = new BertModel(SHAPE, { threads: 0, budget: 8, add_pooling_layer: false })
    const inputs = batch(128, 2, 2)
    const { total } = new SentenceTraining(model, { loss: 'CoSENTLoss' }).estimate(inputs)
    const { bytes } = model.loaded.engine.store
    const small = new SentenceTraining(model, { loss: 'CoSENTLoss' }, { max_memory: total - 40_000 })
    await expect(small.step(inputs, 1e-3)).rejects.toThrow(/training BertModel: .* is the most/)
    expect(model.loaded.engine.store.bytes).toBe(bytes)
    expect(() => small.estimate({ batch_size: 0 })).toThrow(/batch_size: expected a whole number of 1 or more, got 0/)
  })
})

describe('what is wrong is said', () => {
  const wrong = async (loss: unknown, inputs: unknown, message: RegExp): Promise<void> => {
    await using model = await BertModel.fromPretrained(golden.folder, { threads: 0, add_pooling_layer: false })
    const before = (await model({ input_ids: [[1, 2]] })).last_hidden_state.data
    const step = async (): Promise<unknown> =>
      new SentenceTraining(model, { loss: loss as SentenceLoss }).step(inputs as TrainingInputs, 1e-3)
    await expect(step()).rejects.toThrow(message)
    expect((await model({ input_ids: [[1, 2]] })).last_hidden_state.data).toEqual(before)
  }
  const pair = [[[1, 2], [3, 4]]] // prettier-ignore
  it.each([
    ['another name', 'CosentLoss', { input_ids: pair }, /expected one of .*CoSENTLoss.*Did you mean CoSENTLoss\?/],
    ['another setting', { name: 'CoSENTLoss', scala: 3 }, { input_ids: pair }, /CoSENTLoss: unknown option "scala".*Did you mean "scale"/],
    ['a scale of nothing', { name: 'CoSENTLoss', scale: 0 }, { input_ids: pair }, /scale: expected a number above 0, got 0/],
    ['no labels', 'CoSENTLoss', { input_ids: pair }, /labels: expected 1 numbers, one an example, for CoSENTLoss, got undefined/],
    ['a label that is none', 'CosineSimilarityLoss', { input_ids: pair, labels: [NaN] }, /labels\[0\]: expected a finite number, got NaN/],
    [
      'one text',
      'MultipleNegativesRankingLoss',
      { input_ids: [[[1, 2]]] },
      /expected 2 or more texts an example, for MultipleNegativesRankingLoss, got 1/,
    ],
    ['two texts for three', 'TripletLoss', { input_ids: pair }, /expected 3 texts an example, for TripletLoss, got 2/],
  ])('%s', (_, loss, inputs, message) => wrong(loss, inputs, message))
})
