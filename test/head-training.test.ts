// Training beside its numbers, which training-heads.test.ts holds against PyTorch: dropout, steps in parts, what is frozen, what goes back.
import { describe, expect, it } from 'vitest'
import { BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification, BertModel } from '../src/index.node.ts'
import { HeadTraining } from '../src/training/head-training.ts'
import { toHuggingFace } from '../src/weights/names.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from './support/models.ts'

const batch = rectangle(sequences(6, { seed: 41, longest: 14 }))
const labelled = { ...batch, labels: [0, 1, 2, 1, 0, 2] }
const load = (options: object = {}): Promise<BertForSequenceClassification> =>
  BertForSequenceClassification.fromPretrained(memorySource(checkpoint({ hidden_size: 24, intermediate_size: 40 }), 'tiny'), {
    threads: 1,
    initialize_missing: true,
    num_labels: 3,
    seed: 2,
    ...options,
  })

/** Rows first..last-1 of the batch. */
const part = (first: number, last: number): object =>
  Object.fromEntries(Object.entries(labelled).map(([name, list]) => [name, (list as unknown[]).slice(first, last)]))

/** Losses of three steps and a weight after them. */
async function run(
  options: object = {},
  { parts = [[0, 6]], ...training }: { parts?: number[][]; seed?: number; dropout?: boolean } = {},
): Promise<number[]> {
  const model = await load(options)
  const trainer = new HeadTraining(model, training)
  const losses: number[] = []
  for (let step = 0; step < 3; step++)
    losses.push(
      ...Object.values(
        await trainer.step(
          parts.map(([first, last]) => part(first!, last!) as never),
          1e-2,
        ),
      ),
    )
  losses.push(...model.loaded.engine.store.read('encoder.layer.0.output.dense.weight').subarray(0, 20))
  await trainer.dispose()
  await model.dispose()
  return losses
}

describe('dropout', () => {
  it('gives the same bits for any threads, cut and parts, and others for another seed', async () => {
    const one = await run()
    for (const options of [{ threads: 0 }, { threads: 2 }, { threads: 3 }, { budget: 1 }, { threads: 2, budget: 30 }])
      expect(await run(options)).toEqual(one)
    expect(await run({}, { parts: [[0, 1], [1, 4], [4, 6]] })).toEqual(one) // prettier-ignore
    expect(await run({ threads: 2 }, { parts: [[0, 3], [3, 6]] })).toEqual(one) // prettier-ignore
    expect(await run({}, { seed: 1 })).not.toEqual(one)
    expect(await run({}, { dropout: false })).not.toEqual(one)
  })

  it('has the same masks on the fused and on the plain path of attention', async () => {
    const [fused, plain] = [await run(), await run({ attn_implementation: 'eager' })]
    // One mask apart would show in the first loss; rounding does not.
    expect(Math.abs(plain[0]! - fused[0]!)).toBeLessThan(1e-6 * fused[0]!)
    expect(plain).not.toEqual(fused)
  })

  it('has in its backward pass the masks of its forward: gradients equal finite differences of the loss', async () => {
    const model = await load()
    const { store } = model.loaded.engine
    const trainer = new HeadTraining(model)
    const gradients = await trainer.gradients(labelled)
    for (const name of ['embeddings.word_embeddings.weight', 'encoder.layer.0.attention.self.value.weight', 'pooler.dense.weight']) {
      const gradient = gradients.get(name)!
      const length = Math.hypot(...gradient)
      const values = store.read(name)
      const h = 2e-2
      const at = async (t: number): Promise<number> => {
        store.write(name, values.map((x, i) => x + (t * gradient[i]!) / length)) // prettier-ignore
        return trainer.loss(labelled)
      }
      const slope = ((await at(h)) - (await at(-h))) / (2 * h)
      store.write(name, values)
      // As for the first gradients: the third derivative at this h, and f32's noise in two losses.
      expect(Math.abs(slope - length), name).toBeLessThan(5e-3 * length + (2 * 2 ** -23 * 8) / h)
    }
    expect(await trainer.loss(labelled)).toBe(await trainer.loss(labelled))
    await trainer.dispose()
    await model.dispose()
  })
})

describe('the state of the optimizer', () => {
  const STEP = { dropout: false, max_grad_norm: 0 }
  const NONE = { steps: 0, beta1_power: 1, beta2_power: 1 }
  const kept = (training: HeadTraining): Map<string, Float32Array> => new Map(training.states().map(({ name, read }) => [name, read()]))

  it('is none before the first step, and after it what the gradients say, in rows, by the names of Hugging Face', async () => {
    const model = await load()
    const training = new HeadTraining(model, STEP)
    expect(training.states()).toEqual([])
    expect(training.counters).toEqual(NONE)
    const gradients = await training.gradients(labelled)
    await training.step(labelled, 1e-3)
    expect(training.counters).toEqual({ steps: 1, beta1_power: 0.9, beta2_power: 0.999 })
    const states = training.states()
    expect(states.map(({ name }) => name).sort()).toEqual(
      [...gradients.keys()]
        .flatMap((name) => ['exp_avg', 'exp_avg_sq'].map((moment) => `${toHuggingFace(name, 'bert.')}.${moment}`))
        .sort(),
    )
    expect(states.map(({ name }) => name)).toContain('bert.encoder.layer.0.attention.self.query.weight.exp_avg_sq')
    const moment = new Map(states.map((state) => [state.name, state]))
    for (const [name, gradient] of gradients) {
      const [first, second] = ['exp_avg', 'exp_avg_sq'].map((kind) => moment.get(`${toHuggingFace(name, 'bert.')}.${kind}`)!)
      expect(
        first!.shape.reduce((size, n) => size * n, 1),
        name,
      ).toBe(gradient.length)
      expect(second!.shape).toEqual(first!.shape)
      const [m, v] = [first!.read(), second!.read()]
      gradient.forEach((g, i) => {
        expect(Math.abs(m[i]! - 0.1 * g)).toBeLessThanOrEqual(1e-6 * Math.abs(g))
        expect(Math.abs(v[i]! - 0.001 * g * g)).toBeLessThanOrEqual(1e-5 * 0.001 * g * g + 1e-38)
      })
    }
    await training.dispose()
    await model.dispose()
  })

  it('goes to another training, which goes on with the same bits: before its first step, or amid its steps', async () => {
    const [model, other] = [await load(), await load({ threads: 2 })]
    // With dropout: its masks come from the counters too.
    const [training, early, late] = [new HeadTraining(model), new HeadTraining(other), new HeadTraining(other)]
    for (let step = 0; step < 3; step++) await training.step(labelled, 1e-2)
    const [states, counters] = [kept(training), training.counters]
    const weights = new Map([...model.loaded.specs].map(({ held }) => [held, model.loaded.engine.store.read(held) as Float32Array]))
    const after = await training.step(labelled, 1e-2)
    const bits = (of: typeof model): Float32Array[] => [...weights.keys()].map((held) => of.loaded.engine.store.read(held) as Float32Array)
    const wanted = bits(model)
    const asked: string[] = []
    const read = (name: string, shape: readonly number[]): Float32Array => {
      asked.push(name)
      expect(states.get(name)!.length).toBe(shape.reduce((size, n) => size * n, 1))
      return states.get(name)!
    }
    await late.step(labelled, 1e-1)
    for (const each of [early, late]) {
      // The same model under another id of the store.
      const held = other.loaded.specs.map((spec) => spec.held)
      ;[...weights.values()].forEach((values, i) => other.loaded.engine.store.write(held[i]!, values))
      await each.restore(read, counters)
      expect(each.counters).toEqual(counters)
      expect(await each.step(labelled, 1e-2)).toEqual(after)
      expect(held.map((name) => other.loaded.engine.store.read(name))).toEqual(wanted)
      expect(each.counters.steps).toBe(4)
    }
    expect(asked.sort()).toEqual([...states.keys(), ...states.keys()].sort())
    // Moments that do not come would show.
    ;[...weights.values()].forEach((values, i) => other.loaded.engine.store.write(other.loaded.specs[i]!.held, values))
    await early.restore((_, shape) => new Float32Array(shape.reduce((size, n) => size * n, 1)), counters)
    await early.step(labelled, 1e-2)
    expect(other.loaded.specs.map(({ held }) => other.loaded.engine.store.read(held))).not.toEqual(wanted)
    for (const each of [training, early, late]) await each.dispose()
    for (const each of [model, other]) await each.dispose()
  })

  it('that cannot be read is an error of the next step', async () => {
    const model = await load()
    const training = new HeadTraining(model)
    await training.restore((name) => Promise.reject(new Error(`no ${name}`)), { ...NONE, steps: 2 })
    await expect(training.step(labelled, 1e-3)).rejects.toThrow(/no bert\.|no classifier\./)
    await training.dispose()
    await model.dispose()
  })
})

describe('what is trained', () => {
  it('can be the head alone: the trunk keeps its bits, and needs neither gradient nor moments', async () => {
    const trunk = await BertModel.fromPretrained(memorySource(checkpoint(), 'tiny'), { threads: 1 })
    const head = await trunk.withHead(BertForTokenClassification, null, { num_labels: 3 })
    const before = (await trunk(batch)).last_hidden_state.data
    const weights = trunk.info().bytes.weights
    const trainer = new HeadTraining(head, { trainable: (name) => name.startsWith('classifier'), dropout: false })
    const labels = batch.input_ids.map((row) => row.map((id) => id % 3))
    const losses: number[] = []
    for (let step = 0; step < 30; step++) losses.push((await trainer.step({ ...batch, labels }, 1e-1)).loss)
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2)
    expect((await trunk(batch)).last_hidden_state.data).toEqual(before)
    // Three states of 3 rows in a panel of 8, three of its bias, two sums of squares, and the loss.
    expect(trunk.info().bytes.weights - weights).toBe(3 * (8 * 48 + 3) * 4 + 2 * 4 + 4)
    await trainer.dispose()
    expect(trunk.info().bytes.weights).toBe(weights)
    await head.dispose()
    await trunk.dispose()
  })

  it('is refused without labels, and with labels of another kind than before', async () => {
    const model = await load()
    const trainer = new HeadTraining(model)
    await expect(trainer.step(batch, 1e-3)).rejects.toThrow(/training BertForSequenceClassification: expected labels in every batch/)
    await expect(trainer.step([], 1e-3)).rejects.toThrow(/step: expected at least one batch/)
    await trainer.step(labelled, 1e-3)
    const table = { ...batch, labels: batch.input_ids.map(() => [1, 0, 1]) }
    await expect(trainer.step(table, 1e-3)).rejects.toThrow(/labels of the kind of the first batch/)
    expect((await trainer.step(labelled, 1e-3)).loss).toBeGreaterThan(0)
    await trainer.dispose()
    await model.dispose()
  })

  it('learns words with a tied table, at labelled positions only', async () => {
    const model = await BertForMaskedLM.fromPretrained(memorySource(checkpoint({}, 1, ['cls']), 'tiny'), { threads: 2 })
    const trainer = new HeadTraining(model)
    const labels = batch.input_ids.map((row, r) => row.map((id, c) => ((r + c) % 4 === 0 && batch.attention_mask[r]![c] === 1 ? id : -100)))
    const losses: number[] = []
    for (let step = 0; step < 40; step++) losses.push((await trainer.step({ ...batch, labels }, 5e-3)).loss)
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 4)
    await trainer.dispose()
    await model.dispose()
  })
})
