// Few-shot classifiers: the solved head against scikit-learn (test/golden/generate_logistic.py), what comes out, and what is refused.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { AutoModel, BertForSequenceClassification, BertModel, pipeline, Tokenizer, type Sink } from '../src/index.node.ts'
import { contrastivePairs } from '../src/training/contrastive.ts'
import { fewShot, type FewShotOptions } from '../src/training/few-shot.ts'
import { log, logisticRegression } from '../src/training/logistic.ts'
import { LABELS, TEXTS } from './conformance/few-shot.ts'
import { readSafetensors } from './support/safetensors.ts'

interface Problem {
  readonly name: string
  readonly width: number
  readonly classes: number
  readonly C: number
  readonly rows: number[]
  readonly labels: number[]
  readonly coef: number[]
  readonly intercept: number[]
}

const { cases } = JSON.parse(await readFile(path.join(import.meta.dirname, 'golden/logistic.json'), 'utf8')) as { cases: Problem[] }

describe('the logistic head', () => {
  it.each(cases)('$name: the weights of scikit-learn', ({ width, classes, C, rows, labels, coef, intercept }) => {
    const { weight, bias, gradient } = logisticRegression({ rows: Float32Array.from(rows), width, labels, classes, C })
    const two = classes === 2
    // Of two classes scikit-learn has one vector: what the rows differ by.
    const own = two ? Array.from({ length: width }, (_, j) => weight[width + j]! - weight[j]!) : [...weight]
    const biases = two ? [bias[1]! - bias[0]!] : [...bias]
    // A bias that all classes share changes no probability.
    const level = (values: readonly number[]): number[] => values.map((x) => (two ? x : x - values.reduce((a, b) => a + b) / values.length))
    const off = (a: readonly number[], b: readonly number[]): number => Math.hypot(...a.map((x, i) => x - b[i]!)) / Math.hypot(...b)
    expect(gradient).toBeLessThanOrEqual(1e-9 * Math.max(1, C * labels.length))
    expect(off(own, coef)).toBeLessThan(1e-6)
    expect(off(level(biases), level(intercept))).toBeLessThan(1e-6)
  })

  it('log is good to 4 units in the last place', () => {
    for (const x of [1, 1 + 2 ** -40, 1.4142135, 1.5, 2, 7.25, 1000, 123456.789])
      expect(Math.abs(log(x) - Math.log(x))).toBeLessThanOrEqual(2 ** -50 * Math.log(x))
  })
})

const WORDS = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  ...['good', 'fine', 'bad', 'poor', 'red', 'blue', 'film', 'book', 'the', 'a', 'was'],
]
const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': WORDS.join('\n') })
const SHAPE = {
  vocab_size: WORDS.length,
  hidden_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 40,
  max_position_embeddings: 16,
}
const held: { dispose(): Promise<void> }[] = []
const keep = <T extends { dispose(): Promise<void> }>(thing: T): T => (held.push(thing), thing)
afterEach(async () => void (await Promise.all(held.splice(0).map((each) => each.dispose()))))
const all = async (pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Uint8Array[]> => {
  const list: Uint8Array[] = []
  for await (const piece of pieces) list.push(piece)
  return list
}
const into = (files: Record<string, Uint8Array>): Sink => ({
  write: async (name, pieces) => void (files[name] = new Uint8Array(Buffer.concat(await all(pieces)))),
})
const trunk = (threads = 1): BertModel => keep(new BertModel(SHAPE, { seed: 2, threads, add_pooling_layer: false }))
const logitsOf = async (model: BertForSequenceClassification): Promise<Float32Array> =>
  (await model(tokenizer(['a good film', 'the poor book was bad', 'red'], { padding: true }))).logits.data
const made = async (options: FewShotOptions & { threads?: number } = {}): Promise<Awaited<ReturnType<typeof fewShot>>> => {
  const { threads, ...rest } = options
  const result = await fewShot(TEXTS, LABELS, { model: trunk(threads), tokenizer, C: 100, ...rest })
  keep(result.model)
  return result
}

describe('fewShot', () => {
  it('gives a classifier that tells its examples, with the labels’ names', async () => {
    const { model, accuracy, warnings } = await made()
    expect(accuracy).toBe(1)
    expect(warnings).toEqual([])
    expect(model.config.id2label).toEqual({ 0: 'yes', 1: 'no' })
    expect(model).toBeInstanceOf(BertForSequenceClassification)
    const { logits } = await model(tokenizer(TEXTS, { padding: true }))
    LABELS.forEach((label, i) => expect(logits.data[2 * i]! > logits.data[2 * i + 1]! ? 'yes' : 'no', TEXTS[i]).toBe(label))
  })

  it('its logits are W e + b of the sentence embedding', async () => {
    for (const [pooling, normalize] of [
      ['mean', true],
      ['cls', false],
    ] as const) {
      // prettier-ignore
      const base = trunk()
      const { model } = await made({ model: base, pooling, normalize })
      const inputs = tokenizer(['a good film', 'the poor book was bad', 'red'], { padding: true })
      const { data } = await base.features(inputs, { pooling, normalize })
      const folder = new Map<string, Uint8Array>()
      await model.savePretrained({ write: async (name, pieces) => void folder.set(name, Buffer.concat(await all(pieces))) })
      const again = keep(await BertForSequenceClassification.fromPretrained(Object.fromEntries(folder)))
      const store = again.loaded.engine.store
      const [weight, bias] = [store.read('classifier.weight'), store.read('classifier.bias')]
      const logits = await logitsOf(model)
      logits.forEach((logit, at) => {
        const [i, k] = [Math.floor(at / 2), at % 2]
        let sum = bias[k]!
        for (let j = 0; j < 24; j++) sum += weight[k * 24 + j]! * data[i * 24 + j]!
        expect(Math.abs(logit - sum)).toBeLessThan(1e-5)
      })
    }
  })

  it('the same bits on any number of threads, and the trunk stays as it was', async () => {
    const base = trunk()
    const before = (await base({ input_ids: [[2, 5, 3]] })).last_hidden_state.data
    const [one, three] = [await made({ model: base }), await made({ threads: 3 })]
    expect(await logitsOf(three.model)).toEqual(await logitsOf(one.model))
    expect((await base({ input_ids: [[2, 5, 3]] })).last_hidden_state.data).toEqual(before)
  })

  it('saved, it is a checkpoint as any other; its head alone goes onto the trunk', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
    try {
      const { model, saveHead } = await made()
      const logits = await logitsOf(model)
      await model.savePretrained(path.join(folder, 'whole'), { tokenizer })
      await saveHead(path.join(folder, 'head'))
      const classify = keep(await pipeline('text-classification', path.join(folder, 'whole'), { threads: 0 }))
      expect(await classify('a fine film')).toMatchObject([{ label: 'yes' }])
      const loaded = keep(await AutoModel.fromPretrained(path.join(folder, 'whole'), { threads: 1 }))
      expect(await logitsOf(loaded as unknown as BertForSequenceClassification)).toEqual(logits)
      const head = keep(await trunk().withHead(BertForSequenceClassification, path.join(folder, 'head')))
      expect(await logitsOf(head)).toEqual(logits)
      expect((await readFile(path.join(folder, 'head/model.safetensors'))).length).toBeLessThan(1000)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it.each([
    ['a frozen trunk: its head alone', false, 3_000],
    ['a tuned trunk: all of it', { body_learning_rate: 3e-3, max_steps: 2 }, 50_000],
  ] as const)('saves an adapter of %s, which gives the same bits over the model that it was made of', async (_, contrastive, most) => {
    const base: Record<string, Uint8Array> = {}
    await trunk().savePretrained(into(base), { tokenizer })
    const { model, saveAdapter } = await made({ contrastive, pooling: 'cls' })
    const adapter: Record<string, Uint8Array> = {}
    await saveAdapter(into(adapter))
    expect(Object.keys(adapter).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'config.json'])
    expect(adapter['adapter_model.safetensors']!.length).toBeLessThan(most)
    const names = [...readSafetensors(adapter['adapter_model.safetensors']!).keys()]
    expect(names.filter((name) => !contrastive || /classifier|layer\.1\.output\.dense\.bias/.test(name))).toEqual([
      ...(contrastive ? ['base_model.model.bert.encoder.layer.1.output.dense.bias'] : []),
      'base_model.model.classifier.bias',
      'base_model.model.classifier.weight',
    ])
    const again = keep(await BertForSequenceClassification.fromPretrained(base, { adapter, threads: 1 }))
    expect(await logitsOf(again)).toEqual(await logitsOf(model))
    expect(again.config).toMatchObject({ id2label: { 0: 'yes', 1: 'no' }, classifier_pooling: 'cls', num_labels: 2 })
    // Saved again it is the same file.
    const saved: Record<string, Uint8Array> = {}
    await again.savePretrained(into(saved))
    expect(saved['adapter_model.safetensors']).toEqual(adapter['adapter_model.safetensors'])
    const classify = keep(await pipeline('text-classification', base, { adapter, threads: 0 }))
    const { id2label } = classify.model.config
    expect(id2label).toEqual({ 0: 'yes', 1: 'no' })
    expect(await classify('a fine film')).toHaveLength(1)
  })

  it('tunes the trunk by pairs when asked: the same bits on any number of threads, and classes move apart', async () => {
    const contrastive = { body_learning_rate: 3e-3, batch_size: 8, num_epochs: 2, max_steps: 9 }
    const losses: number[] = []
    const base = trunk()
    const one = await made({ model: base, contrastive: { ...contrastive, onStep: ({ loss }) => losses.push(loss) } })
    const three = await made({ threads: 3, contrastive })
    expect(await logitsOf(three.model)).toEqual(await logitsOf(one.model))
    expect(losses).toHaveLength(9)
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2)
    const plain = await made()
    expect(await logitsOf(plain.model)).not.toEqual(await logitsOf(one.model))
  })

  it('pairs are as many of one class as of two, each text with itself too', () => {
    const pairs = contrastivePairs([0, 0, 1, 2], 1)
    // 10 pairs: 5 of one class, 5 of two.
    expect(pairs).toHaveLength(10)
    expect(pairs.filter(([, , label]) => label === 1)).toHaveLength(5)
    for (const [i, j, label] of pairs) expect(label).toBe([0, 0, 1, 2][i] === [0, 0, 1, 2][j] ? 1 : 0)
    const more = contrastivePairs([0, 0, 0, 1], 1)
    expect(more.filter(([, , label]) => label === 0)).toHaveLength(7)
    expect(contrastivePairs([0, 0, 1, 2], 2)).not.toEqual(pairs)
  })
})

describe('what is wrong is said, and the model stays usable', () => {
  it.each([
    ['no texts', [], [], {}, /fewShot: expected a non-empty array of texts/],
    ['a text that is none', ['a', 5], ['x', 'y'], {}, /texts\[1\]: expected a text, got 5/],
    ['too few labels', ['a', 'b'], ['x'], {}, /labels: expected 2 labels, one a text, got 1/],
    [
      'a single class',
      ['a', 'b'],
      ['x', 'x'],
      {},
      /labels: expected two classes or more, got only "x"\. A classifier has to tell one from another/,
    ],
    ['an empty class, by number', ['a', 'b'], [0, 2], {}, /class "LABEL_1": expected at least one text, got none/],
    [
      'an empty class, by name',
      ['a', 'b'],
      ['x', 'y'],
      { id2label: { 0: 'x', 1: 'y', 2: 'z' } },
      /class "z": expected at least one text, got none/,
    ],
    ['a label that is not named', ['a', 'b'], ['x', 'q'], { id2label: { 0: 'x', 1: 'y' } }, /labels\[1\]: expected one of x, y, got "q"/],
    ['numbers and names', ['a', 'b'], ['x', 1], {}, /labels\[1\]: expected a name, as the others, got 1/],
    ['C', ['a', 'b'], [0, 1], { C: 0 }, /C: expected a number above 0, got 0/],
    ['another option', ['a', 'b'], [0, 1], { contrastiv: true }, /fewShot: unknown option "contrastiv"\. Did you mean "contrastive"/],
    ['another setting', ['a', 'b'], [0, 1], { contrastive: { epochs: 2 } }, /contrastive: unknown option "epochs"/],
    ['no tokenizer', ['a', 'b'], [0, 1], { tokenizer: undefined }, /tokenizer: expected the model's Tokenizer/],
  ])('%s', async (_, texts, labels, options, message) => {
    const model = trunk(0)
    await expect(fewShot(texts as string[], labels as string[], { model, tokenizer, ...options } as never)).rejects.toThrow(message)
    expect((await model({ input_ids: [[2, 3]] })).last_hidden_state.dims).toEqual([1, 2, 24])
  })

  it('the same text with two labels is a warning', async () => {
    const result = await fewShot(['a film', 'a book', 'a film'], ['x', 'y', 'y'], { model: trunk(), tokenizer })
    keep(result.model)
    expect(result.warnings).toEqual(['texts 0 and 2 are the same, "a film", and their labels are not: "x" and "y"'])
  })
})
