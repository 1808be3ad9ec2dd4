// What training takes is known before anything is allocated, and recomputation changes bytes, never bits.
import {
  BertForMaskedLM,
  BertForPreTraining,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
  type AnyModel,
  type LoadOptions,
  type ModelClass,
  type Source,
} from '../../src/index.ts'
import { HeadTraining, type HeadTrainingOptions, type TrainingInputs } from '../../src/training.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from '../support/models.ts'
import { check, rejects, same, type ConformanceCase } from './case.ts'

const PAGE = 65536
const batch = rectangle(sequences(8, { seed: 51, longest: 24 }))
const classes = batch.input_ids.map((row) => row[0]! % 3)
const words = batch.input_ids.map((row, r) => row.map((id, c) => ((r + c) % 4 === 0 && batch.attention_mask[r]![c] === 1 ? id : -100)))
const first = batch.input_ids.map(() => 0)

interface Loadable {
  fromPretrained(from: Source, options: LoadOptions): Promise<AnyModel>
}

interface HeadCase {
  readonly type: unknown
  readonly labels: Record<string, unknown>
  readonly load?: LoadOptions
  readonly training?: HeadTrainingOptions
}

const HEADS: Record<string, HeadCase> = {
  'a classifier': { type: BertForSequenceClassification, labels: { labels: classes } },
  'a classifier on the plain chain of attention': {
    type: BertForSequenceClassification,
    labels: { labels: classes },
    load: { attn_implementation: 'eager' },
  },
  'the upper half of a classifier': {
    type: BertForSequenceClassification,
    labels: { labels: classes },
    training: { trainable: (name) => /^(pooler|classifier|encoder\.layer\.[23])\b/.test(name) },
  },
  'masked words and next sentence': { type: BertForPreTraining, labels: { labels: words, next_sentence_label: first } },
  'a question': { type: BertForQuestionAnswering, labels: { start_positions: first, end_positions: first } },
}

async function load(type: unknown, options: LoadOptions = {}, layers = 4): Promise<AnyModel> {
  const files = checkpoint({ hidden_size: 52, intermediate_size: 101, num_hidden_layers: layers }, 5, ['cls', 'qa_outputs'])
  const common = { threads: 1, num_labels: 3, seed: 4, initialize_missing: true }
  const loadable = type as Loadable
  return loadable.fromPretrained(memorySource(files, 'memory'), { ...common, ...options })
}

/** Losses of three steps, and every trained value after them. */
async function steps(
  { type, labels, load: options, training = {} }: HeadCase,
  { run = {}, ...memory }: HeadTrainingOptions & { run?: LoadOptions },
): Promise<{ losses: number[]; values: number[]; arena: number }> {
  const model = await load(type, { ...options, ...run })
  const trainer = new HeadTraining(model, { ...training, ...memory })
  const losses: number[] = []
  for (let step = 0; step < 3; step++) losses.push((await trainer.step({ ...batch, ...labels }, 1e-2)).loss)
  const { specs, engine } = model.loaded
  const values = specs.flatMap(({ held }) => [...engine.store.read(held)])
  const { arena } = trainer.info()!
  await trainer.dispose()
  await model.dispose()
  return { losses, values, arena }
}

const SAME_BITS: ConformanceCase[] = Object.entries(HEADS).map(([name, head]) => ({
  name: `recomputation changes no bit of ${name}, and takes less`,
  run: async () => {
    const kept = await steps(head, { gradient_checkpointing: false })
    check(kept.losses[2] !== kept.losses[0], 'steps change the loss')
    for (const run of [{}, { threads: 3, budget: 40 }, { threads: 0, budget: 1 }]) {
      const again = await steps(head, { gradient_checkpointing: true, run })
      same(again.losses, kept.losses, `losses with ${JSON.stringify(run)}`)
      same(again.values, kept.values, `weights with ${JSON.stringify(run)}`)
      if (!('budget' in run)) check(again.arena < kept.arena, `expected fewer than ${kept.arena} bytes, got ${again.arena}`)
    }
  },
}))

const labelled = { ...batch, labels: classes } as TrainingInputs
const rows = (count: number): TrainingInputs =>
  Object.fromEntries(Object.entries(labelled).map(([name, list]) => [name, (list as unknown[]).slice(0, count)]))

/** Bytes of a model's memory. */
const bytes = (model: AnyModel): number => model.info().bytes.memory

export const TRAINING_MEMORY: readonly ConformanceCase[] = [
  ...SAME_BITS,
  {
    name: 'the arena of 12 layers falls to less than a third with recomputation',
    run: async () => {
      const model = await load(BertForSequenceClassification, {}, 12)
      const [kept, again] = [false, true].map((gradient_checkpointing) =>
        HeadTraining.estimate(model, { gradient_checkpointing }, { batch_size: 8, sequence_length: 128 }),
      )
      check(again!.arena * 3 < kept!.arena, `expected less than a third of ${kept!.arena} bytes, got ${again!.arena}`)
      same([again!.weights, again!.gradients, again!.moments], [kept!.weights, kept!.gradients, kept!.moments], 'the rest')
      await model.dispose()
    },
  },
  {
    name: 'what estimate() says is what is taken, and asking takes nothing',
    run: async () => {
      const shapes = { batch_size: 4, sequence_length: 40, predictions_per_seq: 6 }
      const ids = Array.from({ length: 4 }, (_, r) => Array.from({ length: 40 }, (_, c) => 5 + ((r * 40 + c) % 100)))
      const labels = ids.map((row) => row.map((id, c) => (c < 6 ? id : -100)))
      const all: [unknown, Record<string, unknown>][] = [
        [BertForSequenceClassification, { labels: [0, 1, 2, 0] }],
        [BertForTokenClassification, { labels: ids.map((row) => row.map((id) => id % 3)) }],
        [BertForMaskedLM, { labels }],
      ]
      for (const [type, given] of all) {
        for (const gradient_checkpointing of [false, true]) {
          const model = await load(type, { threads: 2 })
          const before = bytes(model)
          const told = HeadTraining.estimate(model, { gradient_checkpointing }, shapes)
          const toldOfInputs = HeadTraining.estimate(model, { gradient_checkpointing }, { input_ids: ids, ...given })
          same(toldOfInputs, told, 'estimate of inputs and of their shape')
          const unloaded = { type: type as ModelClass, config: model.config, threads: 2 }
          same(HeadTraining.estimate(unloaded, { gradient_checkpointing }, shapes), told, 'estimate before loading')
          same(bytes(model), before, 'bytes after estimate()')
          const trainer = new HeadTraining(model, { gradient_checkpointing })
          same(trainer.info(), undefined, 'info() before the first step')
          await trainer.step({ input_ids: ids, ...given }, 1e-3)
          same(trainer.info(), told, 'info() after a step')
          const { arena, memory, weights } = model.info().bytes
          same(arena, told.arena, 'the arena')
          // Every weight and state begins on a cache line.
          const held = told.weights + told.gradients + told.moments
          check(weights <= held && held < weights + 64 * 400, `${held} bytes of weights and states, the store holds ${weights}`)
          check(
            memory >= told.total && memory - told.total < PAGE,
            `expected a memory of ${told.total} bytes and less than a page, got ${memory}`,
          )
          await trainer.dispose()
          await model.dispose()
        }
      }
    },
  },
  {
    name: 'estimate() tells what it wants of a model and of a shape',
    run: async () => {
      const model = await load(BertForMaskedLM)
      const asked = (of: object, from: unknown = model) => HeadTraining.estimate(from as AnyModel, {}, of)
      await rejects(async () => asked({}, { type: BertForMaskedLM }), /estimate: expected a model, or \{ type: a model class/, 'no config')
      await rejects(async () => asked({ batch: 8 }), /batch_size/, 'a name near it')
      await rejects(async () => asked({ batch_size: 0 }), /batch_size: expected a whole number of 1 or more/, 'no rows')
      await rejects(async () => asked({ sequence_length: 513 }), /expected at most 512 tokens/, 'a text beyond the model')
      await model.dispose()
    },
  },
  {
    name: 'a longer batch takes the place of the plan and arena before it',
    run: async () => {
      const model = await load(BertForSequenceClassification)
      const trainer = new HeadTraining(model, { gradient_checkpointing: false })
      for (const count of [1, 3, 8, 2]) await trainer.step(rows(count), 1e-3)
      const { total } = HeadTraining.estimate(model, { gradient_checkpointing: false }, labelled)
      same(trainer.info()!.total, total, 'the total')
      check(bytes(model) - total < PAGE, `expected a memory of ${total} bytes and less than a page, got ${bytes(model)}`)
      await trainer.dispose()
      await model.dispose()
    },
  },
  {
    name: 'auto recomputes only when it would not fit otherwise, with the same bits',
    run: async () => {
      const head = HEADS['a classifier']!
      const model = await load(head.type)
      const [kept, again] = [false, true].map((on) => HeadTraining.estimate(model, { gradient_checkpointing: on }, labelled).total)
      await model.dispose()
      const wide = await steps(head, { max_memory: kept! + PAGE })
      const narrow = await steps(head, { max_memory: (kept! + again!) / 2 })
      check(narrow.arena < wide.arena, `expected fewer than ${wide.arena} bytes, got ${narrow.arena}`)
      same(wide.arena, (await steps(head, {})).arena, 'the arena with room and without a limit')
      same(narrow.losses, wide.losses, 'losses')
      same(narrow.values, wide.values, 'weights')
    },
  },
  {
    name: 'what does not fit is refused before anything is allocated, with its bytes and what would lower them',
    run: async () => {
      const model = await load(BertForSequenceClassification, { budget: 1024 })
      const before = model.info().bytes
      const { total } = HeadTraining.estimate(model, { gradient_checkpointing: true }, labelled)
      const refused = async (options: HeadTrainingOptions, message: RegExp): Promise<void> => {
        await rejects(() => new HeadTraining(model, options).step(labelled, 1e-3), message, JSON.stringify(options))
        same(model.info().bytes, before, 'bytes after a refusal')
      }
      const needs =
        /training BertForSequenceClassification: chunks of \d+ tokens need \d+ bytes of memory, and \d+ is the most \(weights \d+/
      await refused({ max_memory: total - PAGE }, needs)
      await refused({ max_memory: total - PAGE }, /a smaller budget, now 1024 tokens at once, or make batches smaller; or train fewer/)
      await refused(
        { max_memory: total + PAGE, gradient_checkpointing: false },
        /set gradient_checkpointing: true \(then \d+ bytes\); or load the model/,
      )
      // A training that fits goes on from there, and so does one that has begun when a step that does not is refused.
      const trainer = new HeadTraining(model, { max_memory: total })
      const small = await trainer.step(rows(1), 1e-3)
      check(small.loss > 0, `a loss, got ${small.loss}`)
      const long = rectangle(sequences(40, { seed: 2, longest: 100 }))
      await rejects(() => trainer.step({ ...long, labels: long.input_ids.map(() => 0) }, 1e-3), /need \d+ bytes/, 'a larger step')
      check((await trainer.step(rows(1), 1e-3)).loss < small.loss, 'the next step goes on')
      await trainer.dispose()
      await model.dispose()
      await rejects(async () => new HeadTraining(model, { gradient_checkpointing: 'yes' as never }), /true, false or 'auto'/, 'a word')
      await rejects(async () => new HeadTraining(model, { max_memory: 0 }), /max_memory: expected a number of bytes above 0/, 'no bytes')
    },
  },
  {
    name: 'two trainings of one model, and of two heads on one trunk, keep gradients and moments apart',
    run: async () => {
      // With a rate of 0 weights stay, and the moments are those of a training alone.
      const momentsOf = (trainer: HeadTraining): unknown => trainer.states().map(({ name, read }) => [name, [...read()]])
      const trunk = await load(BertModel)
      const [one, other] = [
        await trunk.withHead(BertForSequenceClassification, null, { num_labels: 3, seed: 1 }),
        await trunk.withHead(BertForSequenceClassification, null, { num_labels: 3, seed: 2 }),
      ]
      const alone = async (model: AnyModel, count: number): Promise<unknown> => {
        const trainer = new HeadTraining(model)
        for (let step = 0; step < 2; step++) await trainer.step(rows(count), 0)
        const moments = momentsOf(trainer)
        await trainer.dispose()
        return moments
      }
      const wanted = [await alone(one, 8), await alone(other, 5), await alone(one, 3)]
      const trainers = [new HeadTraining(one), new HeadTraining(other), new HeadTraining(one)]
      const counts = [8, 5, 3]
      // At the same time: records of one run between those of another.
      for (let step = 0; step < 2; step++) await Promise.all(trainers.map((trainer, i) => trainer.step(rows(counts[i]!), 0)))
      trainers.forEach((trainer, i) => same(momentsOf(trainer), wanted[i], `moments of training ${i}`))
      check(JSON.stringify(wanted[0]) !== JSON.stringify(wanted[2]), 'trainings differ')
      await trainers[0]!.dispose()
      same(momentsOf(trainers[2]!), wanted[2], 'moments when the other has gone')
      await Promise.all(trainers.map((trainer) => trainer.dispose()))
      for (const model of [one, other, trunk]) await model.dispose()
    },
  },
  {
    name: 'steps asked for at once are made one after the other',
    run: async () => {
      const run = async (together: boolean): Promise<unknown> => {
        const model = await load(BertForSequenceClassification, { budget: 40 })
        const trainer = new HeadTraining(model)
        const step = (count: number) => trainer.step(rows(count), 1e-2)
        const results = together ? await Promise.all([step(8), step(5)]) : [await step(8), await step(5)]
        await trainer.dispose()
        await model.dispose()
        return results
      }
      same(await run(true), await run(false), 'losses and norms')
    },
  },
]
