// What models with adapters do: several on one base, rows with adapters of their own, training on an int8 base, checkpoints, and bad input.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AutoModel, BertForMaskedLM, BertForSequenceClassification, BertModel, type LoraConfig, type Tensor } from '../src/index.node.ts'
import { HeadTraining, memoryFolder, Trainer } from '../src/training.ts'
import { checkpoint, sequences } from './support/models.ts'
import { readSafetensors, writeSafetensors } from './support/safetensors.ts'

const FILES = checkpoint({ architectures: ['BertForSequenceClassification'], id2label: { 0: 'no', 1: 'yes' } }, 1, ['classifier', 'cls'])
const ROWS = sequences(6, { longest: 20, seed: 5 })
const LABELS = [0, 1, 1, 0, 1, 0]
const longest = Math.max(...ROWS.map(({ length }) => length))
const padded = (value: number) => ROWS.map((row) => [...row, ...Array<number>(longest - row.length).fill(value)])
const INPUTS = {
  input_ids: padded(0),
  attention_mask: ROWS.map((row) => Array.from({ length: longest }, (_, i) => (i < row.length ? 1 : 0))),
}

type Files = Record<string, Uint8Array>
async function saved(model: BertModel | BertForSequenceClassification | BertForMaskedLM): Promise<Files> {
  const files: Files = {}
  await model.savePretrained({
    async write(name, pieces) {
      const all: number[] = []
      for await (const piece of pieces) all.push(...piece)
      files[name] = Uint8Array.from(all)
    },
  })
  return files
}

/** Trained a little, so that it does something. */
async function trained(
  base: BertForSequenceClassification,
  config: LoraConfig,
  seed: number,
  name?: string,
): Promise<BertForSequenceClassification> {
  const model = await base.withAdapter(config, { seed, ...(name && { adapter_name: name }) })
  const training = new HeadTraining(model, { seed })
  for (let step = 0; step < 3; step++) await training.step({ ...INPUTS, labels: LABELS.map((label) => (label + seed) % 2) }, 1e-2)
  await training.dispose()
  return model
}

describe('several adapters on one base', () => {
  let base: BertForSequenceClassification
  let one: BertForSequenceClassification
  let two: BertForSequenceClassification
  beforeAll(async () => {
    base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 2 })
    one = await trained(base, { r: 4 }, 1, 'one')
    two = await trained(base, { r: 4 }, 2, 'two')
  })
  afterAll(async () => {
    for (const model of [one, two, base]) await model.dispose()
  })

  it('answer as they do alone on a base of their own, and the base as if there were none', async () => {
    const alone = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
    expect((await base(INPUTS)).logits).toEqual((await alone(INPUTS)).logits)
    for (const model of [one, two]) {
      const own = await alone.withAdapter(await saved(model))
      expect((await own(INPUTS)).logits).toEqual((await model(INPUTS)).logits)
      await own.dispose()
    }
    await alone.dispose()
    const answers = await Promise.all([base, one, two].map(async (model) => (await model(INPUTS)).logits.data.join()))
    expect(new Set(answers).size).toBe(3)
  })

  it('of one shape run one plan, which goes with the last of them', async () => {
    const programs = (base.loaded.engine as unknown as { programs: Map<string, unknown> }).programs
    const count = (): number => [...programs.keys()].filter((key) => key.includes('|adapters') && !key.includes('train')).length
    await one(INPUTS)
    const before = count()
    const third = await base.withAdapter({ r: 4 }, { seed: 3 })
    await third(INPUTS)
    await two(INPUTS)
    expect(count()).toBe(before)
    const other = await base.withAdapter({ r: 5 }, { seed: 3 })
    await other(INPUTS)
    expect(count()).toBe(before + 1)
    await other.dispose()
    expect(count()).toBe(before)
    await third.dispose()
    expect(count()).toBe(before)
  })

  it('answer one batch row by row, with the bits that each has alone', async () => {
    const names = ['one', '__base__', 'two', 'one', 'two', '__base__']
    const options = { output_hidden_states: true, output_attentions: true }
    const mixed = await base({ ...INPUTS, ...options, adapter_names: names })
    for (const [name, model] of Object.entries({ one, two, __base__: base })) {
      const all = await model({ ...INPUTS, ...options })
      const tensors = (out: typeof all): Tensor[] => [out.logits, ...out.hidden_states!, ...out.attentions!]
      for (const [i, got] of tensors(mixed).entries()) {
        const want = tensors(all)[i]!
        expect(got.dims).toEqual(want.dims)
        const width = want.data.length / ROWS.length
        names.forEach((of, row) => {
          if (of === name)
            expect(got.data.slice(row * width, (row + 1) * width), `row ${row}`).toEqual(want.data.slice(row * width, (row + 1) * width))
        })
      }
    }
    // From any model on the base.
    expect(await two({ ...INPUTS, ...options, adapter_names: names })).toEqual(mixed)
    await expect(base({ ...INPUTS, adapter_names: ['one'] })).rejects.toThrow(
      /adapter_names: expected 6 names, one a row, got an array of 1/,
    )
    await expect(base({ ...INPUTS, adapter_names: ['one', '__base__', 'twoo', 'one', 'two', '__base__'] })).rejects.toThrow(
      /adapter_names\[2\]: .*got "twoo"\. Did you mean two\? There are one, two, __base__/,
    )
    await expect(base({ ...INPUTS, labels: LABELS, adapter_names: names })).rejects.toThrow(/adapter_names: expected no labels/)
  })

  it('score chosen words row by row too', async () => {
    const words = await BertForMaskedLM.fromPretrained(checkpoint({}, 1, ['cls']), { threads: 1 })
    const tuned = await words.withAdapter({ target_modules: 'all-linear', init_lora_weights: 'gaussian' }, { seed: 4 })
    const training = new HeadTraining(tuned)
    await training.step({ input_ids: [[5, 6, 7]], labels: [[1, 2, 3]] }, 1e-2)
    await training.dispose()
    const call = { input_ids: [[5, 6, 7], [8, 9, 10], [11, 12, 13]], logits_positions: [[1], [0, 2], []] } // prettier-ignore
    const [plain, own] = [(await words(call)).logits, (await tuned(call)).logits]
    const { logits } = await words({ ...call, adapter_names: ['default', '__base__', 'default'] })
    const width = plain.dims[1]!
    expect(logits.dims).toEqual(plain.dims)
    expect(logits.data.slice(0, width)).toEqual(own.data.slice(0, width))
    expect(logits.data.slice(width)).toEqual(plain.data.slice(width))
    expect(own.data.join()).not.toBe(plain.data.join())
    await tuned.dispose()
    await words.dispose()
  })

  it('outlive the base, and give its memory back with the last', async () => {
    const own = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
    const tuned = await own.withAdapter(await saved(one))
    const { logits } = await tuned(INPUTS)
    await own.dispose()
    await expect(own(INPUTS)).rejects.toThrow(/disposed of/)
    expect((await tuned(INPUTS)).logits).toEqual(logits)
    const second = await tuned.withAdapter(await saved(two))
    expect((await second(INPUTS)).logits).toEqual((await two(INPUTS)).logits)
    await tuned.dispose()
    await second.dispose()
    expect(tuned.loaded.engine.store.live).toBe(false)
  })

  it('have heads of their own width', async () => {
    const trunk = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
    const three = await trunk.withAdapter({}, { num_labels: 3 })
    expect((await three(INPUTS)).logits.dims).toEqual([6, 3])
    expect((await trunk(INPUTS)).logits.dims).toEqual([6, 2])
    await expect(trunk({ ...INPUTS, adapter_names: ['default', ...Array<string>(5).fill('__base__')] })).rejects.toThrow(
      /heads of one width/,
    )
    await expect(trunk.withAdapter({ task_type: null }, { num_labels: 3 })).rejects.toThrow(
      /num_labels: expected 2, the base's, as the adapter has no classifier/,
    )
    await three.dispose()
    await trunk.dispose()
  })
})

describe('training an adapter', () => {
  it('changes neither base nor other adapters, and takes little memory', async () => {
    const base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 2 })
    const before = await saved(base)
    const tuned = await trained(base, { r: 2, lora_dropout: 0.1, bias: 'lora_only' }, 1)
    expect(await saved(base)).toEqual(before)
    const full = HeadTraining.estimate(base, {}, { batch_size: 2, sequence_length: 16 })
    const low = HeadTraining.estimate(tuned, {}, { batch_size: 2, sequence_length: 16 })
    expect(low.gradients).toBeLessThan(full.gradients / 5)
    expect(low.moments).toBeLessThan(full.moments / 5)
    await tuned.merge()
    expect(() => new HeadTraining(tuned)).toThrow(/got a merged one\. Call unmerge\(\) first/)
    await tuned.dispose()
    await base.dispose()
  })

  it.each(['f32', 'int8'] as const)('on a base in %s that is not loaded takes the bytes that it takes on a loaded one', async (dtype) => {
    const [adapter, shape] = [{ r: 2, lora_dropout: 0.1, bias: 'lora_only' } as const, { batch_size: 2, sequence_length: 16 }]
    const base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 2, dtype })
    const tuned = await base.withAdapter(adapter)
    const told = HeadTraining.estimate(tuned, {}, shape)
    const unloaded = { type: BertForSequenceClassification, config: base.config, threads: 2, dtype, adapter }
    expect(await HeadTraining.estimate(unloaded, {}, shape)).toEqual(told)
    await expect(HeadTraining.estimate({ ...unloaded, adapter: { target_modules: ['quary'] } })).rejects.toThrow(/Did you mean query\?/)
    await tuned.dispose()
    await base.dispose()
  })

  it('drops out what the adapter reads: other masks for another seed, the same bits for any cut', async () => {
    const losses: number[][] = []
    for (const [seed, options] of [
      [1, { threads: 1 }],
      [1, { threads: 3, budget: 1 }],
      [2, { threads: 1 }],
    ] as const) {
      const base = await BertForMaskedLM.fromPretrained(checkpoint({}, 1, ['cls']), options)
      const tuned = await base.withAdapter({ lora_dropout: 0.5, target_modules: 'all-linear' })
      const training = new HeadTraining(tuned, { seed })
      const labels = INPUTS.input_ids.map((row) => row.map((id, i) => (i % 3 === 1 ? id : -100)))
      const own: number[] = []
      for (let i = 0; i < 3; i++) own.push((await training.step({ ...INPUTS, labels }, 1e-2)).loss)
      losses.push(own)
      await training.dispose()
      await tuned.dispose()
      await base.dispose()
    }
    expect(losses[1]).toEqual(losses[0])
    expect(losses[2]).not.toEqual(losses[0])
  })

  it('goes on from a checkpoint to the same bits, and saves the adapter alone', async () => {
    const run = async (
      until: number,
      output_dir = memoryFolder(),
      resume = false,
    ): Promise<{ files: Files; output_dir: typeof output_dir }> => {
      const base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 2 })
      const model = await base.withAdapter({ r: 3, lora_dropout: 0.1 }, { seed: 9 })
      const trainer = new Trainer({
        model,
        args: {
          output_dir,
          max_steps: 6,
          per_device_train_batch_size: 2,
          learning_rate: 1e-2,
          save_strategy: 'steps',
          save_steps: 2,
          seed: 4,
        },
        train_dataset: ROWS.map((input_ids, i) => ({ input_ids, label: LABELS[i]! })),
        callbacks: [{ on_step_end: (_, state, control) => void (control.should_training_stop = state.global_step === until) }],
      })
      await trainer.train({ resume_from_checkpoint: resume })
      const files = await saved(model)
      await trainer.saveModel(output_dir.sink('end'))
      expect(await output_dir.source('end').list!()).toEqual(['adapter_config.json', 'config.json', 'adapter_model.safetensors'])
      await model.dispose()
      await base.dispose()
      return { files, output_dir }
    }
    const whole = await run(6)
    const { output_dir } = await run(4)
    expect((await run(6, output_dir, true)).files).toEqual(whole.files)
    const base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
    const other = new Trainer({
      model: await base.withAdapter({ r: 3, lora_dropout: 0.2 }),
      args: { output_dir, max_steps: 6, per_device_train_batch_size: 2, learning_rate: 1e-2, seed: 4 },
      train_dataset: ROWS.map((input_ids, i) => ({ input_ids, label: LABELS[i]! })),
    })
    await expect(other.train({ resume_from_checkpoint: true })).rejects.toThrow(/adapter: expected/)
  })

  it('works on an int8 base: its gradients point where those on f32 do, and the base keeps its bits', async () => {
    const gradients: Map<string, Float32Array>[] = []
    const bits: string[] = []
    for (const [dtype, threads] of [
      ['f32', 1],
      ['int8', 1],
      ['int8', 3],
    ] as const) {
      const base = await BertForSequenceClassification.fromPretrained(FILES, { threads, dtype })
      const before = (await base(INPUTS)).logits.data.join()
      const tuned = await base.withAdapter({ r: 4, target_modules: 'all-linear', init_lora_weights: 'gaussian' }, { seed: 1 })
      const training = new HeadTraining(tuned, { dropout: false })
      await training.step({ ...INPUTS, labels: LABELS }, 1e-2)
      gradients.push(await training.gradients({ ...INPUTS, labels: LABELS }))
      const losses: number[] = []
      for (let i = 0; i < 12; i++) losses.push((await training.step({ ...INPUTS, labels: LABELS }, 1e-2)).loss)
      expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2)
      expect((await base(INPUTS)).logits.data.join()).toBe(before)
      bits.push(losses.join())
      await training.dispose()
      await tuned.dispose()
      await base.dispose()
    }
    expect(bits[2]).toBe(bits[1])
    const [exact, near] = gradients as [Map<string, Float32Array>, Map<string, Float32Array>]
    expect([...near.keys()]).toEqual([...exact.keys()])
    const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
    for (const [name, g] of exact)
      expect(dot(g, near.get(name)!) / Math.hypot(...g) / Math.hypot(...near.get(name)!), name).toBeGreaterThan(0.9)
  })

  it('of heads or biases alone has names', async () => {
    const base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
    const names = async (trainable: 'head' | 'bias'): Promise<string[]> => {
      const training = new HeadTraining(base, { trainable, dropout: false })
      const gradients = await training.gradients({ ...INPUTS, labels: LABELS })
      await training.dispose()
      return [...gradients.keys()]
    }
    expect((await names('head')).sort()).toEqual(['classifier.bias', 'classifier.weight', 'pooler.dense.bias', 'pooler.dense.weight'])
    const biases = base.loaded.specs.map(({ name }) => name).filter((name) => name.endsWith('bias'))
    expect((await names('bias')).sort()).toEqual([...biases, 'classifier.weight', 'pooler.dense.weight'].sort())
    expect(() => new HeadTraining(base, { trainable: 'heads' as never })).toThrow(
      /trainable: expected 'all', 'head', 'bias' or a function of a name, got "heads"\. Did you mean head\?/,
    )
    await base.dispose()
  })
})

describe('a checkpoint and an adapter in one line', () => {
  /** The same trunk, without a head; and without a pooler either. */
  const TRUNK = checkpoint()
  const BARE = {
    ...TRUNK,
    'model.safetensors': writeSafetensors(
      [...readSafetensors(TRUNK['model.safetensors']!)]
        .filter(([name]) => !name.startsWith('pooler'))
        .map(([name, { dims, data }]) => [name, dims, data] as const),
    ),
  }
  let adapter: Files
  let wanted: Tensor
  beforeAll(async () => {
    const base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
    const tuned = await trained(base, { r: 4 }, 1)
    adapter = await saved(tuned)
    wanted = (await tuned(INPUTS)).logits
    await tuned.dispose()
    await base.dispose()
  })

  it.each([{ threads: 0 }, { threads: 3, budget: 20 }])('is the model that was trained, with its head and labels; %o', async (options) => {
    const model = await BertForSequenceClassification.fromPretrained(TRUNK, { adapter, ...options })
    expect((await model(INPUTS)).logits).toEqual(wanted)
    expect(model.config.id2label).toEqual({ 0: 'no', 1: 'yes' })
    expect(model.adapter).toMatchObject({ name: 'default', config: { r: 4 } })
    await model.dispose()
    const auto = await AutoModel.fromPretrained(TRUNK, { adapter, ...options, id2label: { 0: 'a', 1: 'b' } })
    expect(auto).toBeInstanceOf(BertForSequenceClassification)
    expect((await auto(INPUTS)).logits).toEqual(wanted)
    expect(auto.config.id2label).toEqual({ 0: 'a', 1: 'b' })
    await auto.dispose()
  })

  it.each(['f32', 'int8'] as const)('takes the bytes that estimate() tells, %s', async (dtype) => {
    const options = { adapter, threads: 1, dtype }
    const told = await BertForSequenceClassification.estimate(TRUNK, options)
    expect(told.weights).toBeGreaterThan((await BertForSequenceClassification.estimate(TRUNK, { threads: 1, dtype })).weights)
    const model = await BertForSequenceClassification.fromPretrained(TRUNK, options)
    // The base's own head, which the adapter's stands in place of, is gone again.
    expect(model.info().bytes.weights).toBe(told.weights)
    await model.dispose()
  })

  it('a fresh adapter brings what was drawn for its base, so that it can be put on again', async () => {
    const base = await BertForSequenceClassification.fromPretrained(BARE, { threads: 1, initialize_missing: true, seed: 3 })
    const tuned = await trained(base, { r: 2 }, 1)
    const files = await saved(tuned)
    const { logits } = await tuned(INPUTS)
    await tuned.dispose()
    await base.dispose()
    expect([...readSafetensors(files['adapter_model.safetensors']!).keys()]).toContain('base_model.model.bert.pooler.dense.weight')
    const again = await BertForSequenceClassification.fromPretrained(BARE, { adapter: files, threads: 1 })
    expect((await again(INPUTS)).logits).toEqual(logits)
    await again.dispose()
  })

  it('refuses a checkpoint without what the adapter has not either, and what is no adapter of it', async () => {
    const load = (files: Files, more: object = {}): Promise<BertForSequenceClassification> =>
      BertForSequenceClassification.fromPretrained(files, { adapter, threads: 0, ...more })
    await expect(load(BARE)).rejects.toThrow(
      /expected a checkpoint with pooler\.dense\.weight, pooler\.dense\.bias, which the adapter has not either\. Give the model that the adapter was trained on/,
    )
    await (await load(BARE, { initialize_missing: true })).dispose()
    await expect(load(checkpoint({ hidden_size: 64 }))).rejects.toThrow(/expected shape \[4, 64\].*Put the adapter on the model/)
    await expect(load(TRUNK, { num_labels: 3 })).rejects.toThrow(/classifier\.weight: expected shape \[3, 48\].*got \[2, 48\]/)
    const other = JSON.stringify({
      ...(JSON.parse(new TextDecoder().decode(adapter['adapter_config.json'])) as object),
      target_modules: ['quary'],
    })
    await expect(load(TRUNK, { adapter: { ...adapter, 'adapter_config.json': other } })).rejects.toThrow(
      /target_modules: expected names of modules of BertForSequenceClassification, got "quary"\. Did you mean query\?/,
    )
    await expect(load(TRUNK, { adapter: FILES })).rejects.toThrow(/expected a file adapter_config\.json, found none/)
    await expect(load(TRUNK, { adapter: 5 })).rejects.toThrow(/model: expected a folder.*got 5/)
    for (const initialize_missing of [false, true])
      await expect(BertForSequenceClassification.fromPretrained(adapter, { initialize_missing })).rejects.toThrow(
        /expected a weights file model\.safetensors, found only adapter_config\.json.*It holds an adapter: give the model that it was trained on/,
      )
  })
})

describe('what does not fit is refused, and the base stays as it was', () => {
  let base: BertForSequenceClassification
  let files: Files
  let held: number
  beforeAll(async () => {
    base = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
    const tuned = await trained(base, { r: 4 }, 1)
    files = await saved(tuned)
    await tuned.dispose()
    held = base.loaded.engine.store.weightBytes
  })
  afterAll(async () => {
    expect((await base(INPUTS)).logits.dims).toEqual([6, 2])
    expect(base.loaded.engine.store.weightBytes).toBe(held)
    await base.dispose()
  })
  const config = (): Record<string, unknown> =>
    JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as Record<string, unknown>
  const withConfig = (fields: Record<string, unknown>): Record<string, Uint8Array | string> => ({
    ...files,
    'adapter_config.json': JSON.stringify({ ...config(), ...fields }),
  })

  it.each([
    [{ r: 0 }, /withAdapter: r: expected a rank, a whole number from 1 to 4096, got 0/],
    [{ r: 2.5 }, /r: expected a rank/],
    [{ lora_alpha: NaN }, /lora_alpha: expected a number, got NaN/],
    [{ lora_dropout: 1 }, /lora_dropout: expected a probability from 0 to below 1/],
    [{ bias: 'some' }, /bias: expected 'none', 'all' or 'lora_only', got "some"/],
    [{ rank: 4 }, /withAdapter: unknown option "rank"/],
    [
      { target_modules: ['quary'] },
      /target_modules: expected names of modules of BertForSequenceClassification, got "quary"\. Did you mean query\? Linear layers end in query, key, value, dense, classifier/,
    ],
    [{ target_modules: ['query', 'valu'] }, /got "valu"\. Did you mean value\?/],
    [{ target_modules: 'self.query' }, /target_modules: expected names of modules/],
    [{ target_modules: '(' }, /target_modules: expected a regular expression/],
    [{ target_modules: ['LayerNorm'] }, /target_modules: expected linear layers, got ".*LayerNorm"\. Only linear layers can have one/],
    [{ target_modules: ['word_embeddings'] }, /expected linear layers, got "bert.embeddings.word_embeddings"/],
    [{ modules_to_save: ['poler'] }, /modules_to_save: expected names of modules.*Did you mean pooler\?/],
    [{ init_lora_weights: 'pissa' }, /init_lora_weights: expected one of true, false, gaussian/],
  ] as const)('a config of %o', async (fields, message) => {
    await expect(base.withAdapter(fields as never)).rejects.toThrow(message)
  })

  it('an adapter of another rank, base or class', async () => {
    await expect(base.withAdapter(withConfig({ r: 8 }))).rejects.toThrow(
      /adapter_model\.safetensors: tensor .*query\.lora_A\.weight: expected shape \[8, 48\], as adapter_config\.json and the base say, got \[4, 48\]\. Put the adapter on the model that it was trained on/,
    )
    const wide = await BertForSequenceClassification.fromPretrained(
      checkpoint({ hidden_size: 64, num_hidden_layers: 3 }, 1, ['classifier']),
    )
    await expect(wide.withAdapter(files)).rejects.toThrow(
      /expected 14 tensors, 4 missing: encoder\.layer\.2\.attention\.self\.query\.lora_A\.weight/,
    )
    await wide.dispose()
    const narrow = await BertForSequenceClassification.fromPretrained(checkpoint({ hidden_size: 64 }, 1, ['classifier']))
    await expect(narrow.withAdapter(files)).rejects.toThrow(/expected shape \[4, 64\]/)
    await narrow.dispose()
    // What the tensors' shapes do not tell.
    const words = await BertForSequenceClassification.fromPretrained(checkpoint({ vocab_size: 90 }, 1, ['classifier']))
    await expect(words.withAdapter(files)).rejects.toThrow(
      /withAdapter: vocab_size: expected 90, the base's, got 120 in the adapter's config\.json\. Put the adapter on the model that it was trained on/,
    )
    const shallow = await BertForSequenceClassification.fromPretrained(checkpoint({ num_hidden_layers: 1 }, 1, ['classifier']))
    await expect(shallow.withAdapter(files)).rejects.toThrow(
      /expected layers that this base has and adapter_config\.json names, got "base_model\.model\.bert\.encoder\.layer\.1\./,
    )
    for (const model of [words, shallow]) {
      expect(model.loaded.adapters.size).toBe(0)
      expect((await model({ input_ids: [[1, 2]] })).logits.dims).toEqual([1, 2])
      await model.dispose()
    }
    const trunk = await BertModel.fromPretrained(FILES)
    await expect(trunk.withAdapter(withConfig({ target_modules: ['classifier'], modules_to_save: null, task_type: null }))).rejects.toThrow(
      /target_modules: expected names of modules of BertModel, got "classifier"/,
    )
    await trunk.dispose()
  })

  it.each([
    [{ peft_type: 'IA3' }, /peft_type: expected "LORA", got "IA3"/],
    [{ use_dora: true }, /use_dora is true, which bertlet does not compute/],
    [{ layers_to_transform: [0] }, /layers_to_transform is an array of 1, which bertlet does not compute/],
    [{ r: '4' }, /adapter_config\.json: r: expected a rank/],
  ])('a file of %o', async (fields, message) => {
    await expect(base.withAdapter(withConfig(fields))).rejects.toThrow(message)
  })

  it('damaged or missing files, told by name', async () => {
    await expect(base.withAdapter({ 'adapter_model.safetensors': files['adapter_model.safetensors']! })).rejects.toThrow(
      /expected a file adapter_config\.json, found none/,
    )
    await expect(base.withAdapter({ 'adapter_config.json': files['adapter_config.json']! })).rejects.toThrow(
      /expected a file adapter_model\.safetensors, found none/,
    )
    await expect(
      base.withAdapter({ 'adapter_config.json': files['adapter_config.json']!, 'adapter_model.bin': new Uint8Array(9) }),
    ).rejects.toThrow(/found only adapter_model\.bin, which holds Python objects/)
    await expect(base.withAdapter({ ...files, 'adapter_config.json': '{"r": 4' })).rejects.toThrow(/adapter_config\.json: expected JSON/)
    for (const length of [0, 9, 100, files['adapter_model.safetensors']!.length - 1])
      await expect(
        base.withAdapter({ ...files, 'adapter_model.safetensors': files['adapter_model.safetensors']!.slice(0, length) }),
      ).rejects.toThrow(/adapter_model\.safetensors/)
    const tensors = [...readSafetensors(files['adapter_model.safetensors']!)]
    const without = writeSafetensors(tensors.filter(([name]) => !name.includes('classifier')).map(([name, { dims, data }]) => [name, [...dims], [...data]] as const)) // prettier-ignore
    await expect(base.withAdapter({ ...files, 'adapter_model.safetensors': without })).rejects.toThrow(
      /2 missing: classifier\.weight, classifier\.bias/,
    )
  })

  it('a name twice, a head on an adapter, other words under it, and an int8 base to merge into', async () => {
    const tuned = await base.withAdapter(files, { adapter_name: 'a' })
    await expect(base.withAdapter(files, { adapter_name: 'a' })).rejects.toThrow(
      /adapter_name: expected a name that no other adapter of this base has, got "a"/,
    )
    await expect(tuned.withHead(BertForMaskedLM, null)).rejects.toThrow(/withHead: expected a model without an adapter/)
    await expect(tuned.resizeTokenEmbeddings(10)).rejects.toThrow(/other models work on this trunk/)
    await expect(base.merge()).rejects.toThrow(/merge: expected a model with an adapter/)
    const both = await Promise.allSettled([base.withAdapter(files, { adapter_name: 'b' }), base.withAdapter(files, { adapter_name: 'b' })])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    for (const one of both) if (one.status === 'fulfilled') await one.value.dispose()
    await tuned.dispose()
    const int8 = await BertForSequenceClassification.fromPretrained(FILES, { dtype: 'int8' })
    const on8 = await int8.withAdapter(files)
    expect((await on8(INPUTS)).logits.dims).toEqual([6, 2])
    await expect(on8.merge()).rejects.toThrow(/merge: expected a base in f32, got int8/)
    expect(() => new HeadTraining(int8)).toThrow(/train an adapter on it: model\.withAdapter\(\)/)
    await on8.dispose()
    await int8.dispose()
  })
})

it('an adapter of a bare BertModel fits the trunk of a class with a head, and gives features; the other way round too', async () => {
  const trunk = await BertModel.fromPretrained(FILES, { threads: 1 })
  const own = await trunk.withAdapter({ r: 2, target_modules: ['dense'], bias: 'lora_only' }, { seed: 3 })
  for (const { held, name } of own.loaded.specs)
    if (name.endsWith('lora_B.weight')) own.loaded.engine.store.write(held, own.loaded.engine.store.read(held).fill(0.1))
  const files = await saved(own)
  expect([...readSafetensors(files['adapter_model.safetensors']!).keys()][0]).toBe(
    'base_model.model.encoder.layer.0.attention.output.dense.base_layer.bias',
  )
  const options = { pooling: 'mean', normalize: true } as const
  const features = await own.features(INPUTS, options)
  expect(features.data.join()).not.toBe((await trunk.features(INPUTS, options)).data.join())
  const headed = await BertForSequenceClassification.fromPretrained(FILES, { threads: 1 })
  const tuned = await headed.withAdapter(files)
  const [{ hidden_states: got }, { hidden_states: want }] = [
    await tuned({ ...INPUTS, output_hidden_states: true }),
    await own({ ...INPUTS, output_hidden_states: true }),
  ]
  expect(got).toEqual(want)
  const back = await trunk.withAdapter(await saved(tuned))
  expect(await back.features(INPUTS, options)).toEqual(features)
  for (const model of [back, tuned, headed, own, trunk]) await model.dispose()
})
