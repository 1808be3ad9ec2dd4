// What models do beside their numbers: heads on one trunk, fresh weights, vocabularies that change, checkpoints that lack something.
import {
  AutoModel,
  BertConfig,
  BertForMaskedLM,
  BertForMultipleChoice,
  BertForPreTraining,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
  type Tensor,
} from '../../src/index.ts'
import { memorySource, type Source } from '../../src/weights/source.ts'
import { checkpoint, rectangle, sequences, type HeadTensors, type TinyConfig } from '../support/models.ts'
import { readSafetensors } from '../support/safetensors.ts'
import { check, rejects, same, type ConformanceCase } from './case.ts'
import { save } from './saved.ts'

const one = { threads: 1 }
const batch = rectangle(sequences(4, { seed: 21 }))
const source = (config: TinyConfig = {}, heads: readonly HeadTensors[] = [], seed = 1): Source =>
  memorySource(checkpoint(config, seed, heads), 'tiny')

/** The same bits. */
function sameBits(got: Tensor | undefined, want: Tensor | undefined, what: string): void {
  same([got?.dims, [...(got?.data ?? [])]], [want?.dims, [...(want?.data ?? [])]], what)
}

/** A model for the length of some work. */
async function using<M extends { dispose(): Promise<void> }, T>(model: M | Promise<M>, work: (model: M) => Promise<T>): Promise<T> {
  const loaded = await model
  try {
    return await work(loaded)
  } finally {
    await loaded.dispose()
  }
}

const SHAPES: readonly [architecture: string, heads: readonly HeadTensors[], outputs: Record<string, readonly number[]>][] = [
  ['BertModel', [], { last_hidden_state: [4, 37, 48], pooler_output: [4, 48] }],
  ['BertForPreTraining', ['cls'], { prediction_logits: [4, 37, 120], seq_relationship_logits: [4, 2] }],
  ['BertForMaskedLM', ['cls'], { logits: [4, 37, 120] }],
  ['BertForNextSentencePrediction', ['cls'], { logits: [4, 2] }],
  ['BertForSequenceClassification', ['classifier'], { logits: [4, 2] }],
  ['BertForTokenClassification', ['classifier'], { logits: [4, 37, 2] }],
  ['BertForQuestionAnswering', ['qa_outputs'], { start_logits: [4, 37], end_logits: [4, 37] }],
]

const autoModel = SHAPES.map(([architecture, heads, outputs]): ConformanceCase => ({
  name: `AutoModel loads ${architecture} as architectures says, and its outputs have their names and shapes`,
  run: () =>
    using(AutoModel.fromPretrained(source({ architectures: [architecture] }, heads), one), async (model) => {
      same(model.info().architecture, architecture, 'architecture')
      const { weights } = await AutoModel.estimate(source({ architectures: [architecture] }), one)
      same(model.info().bytes.weights, weights, 'bytes of weights as estimated')
      const columns = batch.input_ids[0]!.length
      const dims = Object.fromEntries(Object.entries(await model(batch)).map(([name, output]) => [name, (output as Tensor).dims]))
      const wanted = Object.fromEntries(Object.entries(outputs).map(([name, dims]) => [name, dims.map((n) => (n === 37 ? columns : n))]))
      same(dims, wanted, 'dims')
    }),
}))

export const MODEL_CASES: readonly ConformanceCase[] = [
  ...autoModel,
  {
    name: 'AutoModel takes BertModel where architectures is empty, and refuses decoders and strangers by name',
    run: async () => {
      await using(AutoModel.fromPretrained(source({ architectures: [] }), one), async (model) =>
        same(model.info().architecture, 'BertModel', 'architecture'),
      )
      await rejects(
        () => AutoModel.fromPretrained(source({ architectures: ['BertLMHeadModel'] })),
        /BertLMHeadModel, a decoder/,
        'a decoder',
      )
      await rejects(
        () => AutoModel.fromPretrained(source({ architectures: ['BertForMaskdLM'] })),
        /got "BertForMaskdLM".*Did you mean BertForMaskedLM/,
        'a stranger',
      )
    },
  },
  {
    name: 'several heads share one trunk: the bits of models of their own, the bytes of one',
    run: async () => {
      const labels = { 0: 'a', 1: 'b', 2: 'c' }
      const files = source({ architectures: ['BertForPreTraining'], id2label: labels }, ['cls', 'classifier', 'qa_outputs'])
      const alone = {
        lm: await using(BertForPreTraining.fromPretrained(files, one), (model) => model(batch)),
        ner: await using(BertForTokenClassification.fromPretrained(files, one), (model) => model(batch)),
        qa: await using(BertForQuestionAnswering.fromPretrained(files, one), (model) => model(batch)),
      }
      const trunk = await BertModel.fromPretrained(files, one)
      const before = trunk.info().bytes.weights
      const lm = await trunk.withHead(BertForPreTraining, files)
      const ner = await trunk.withHead(BertForTokenClassification, files)
      const qa = await ner.withHead(BertForQuestionAnswering, files)
      const head = 4 * (48 * 48 + 48 + 2 * 48 + 120 + (8 * 48 + 2) + (8 * 48 + 3) + (8 * 48 + 2)) // panels hold 8 rows at least
      same(trunk.info().bytes.weights - before, head, 'bytes of the heads')
      const words = await lm(batch)
      sameBits(words.prediction_logits, alone.lm.prediction_logits, 'prediction_logits')
      sameBits(words.seq_relationship_logits, alone.lm.seq_relationship_logits, 'seq_relationship_logits')
      await trunk.dispose()
      sameBits((await ner(batch)).logits, alone.ner.logits, 'token logits, when the model that loaded the trunk is gone')
      await rejects(() => trunk(batch), /disposed of/, 'the disposed trunk')
      await lm.dispose()
      await ner.dispose()
      sameBits((await qa(batch)).start_logits, alone.qa.start_logits, 'start_logits')
      await qa.dispose()
      await rejects(() => qa.withHead(BertForTokenClassification), /disposed of/, 'a head on a disposed model')
    },
  },
  {
    name: 'two heads of one class on one trunk keep apart',
    run: () =>
      using(BertModel.fromPretrained(source(), one), async (trunk) => {
        const a = await trunk.withHead(BertForSequenceClassification, null, { num_labels: 3, seed: 1 })
        const b = await trunk.withHead(BertForSequenceClassification, null, { num_labels: 3, seed: 2 })
        const first = (await a(batch)).logits
        same(first.dims, [4, 3], 'dims')
        check(
          first.data.some((x, i) => x !== b.config.initializer_range && i >= 0),
          'values',
        )
        check(JSON.stringify([...(await b(batch)).logits.data]) !== JSON.stringify([...first.data]), 'heads of other seeds must differ')
        sameBits((await a(batch)).logits, first, 'the first head after the second ran')
        await a.dispose()
        await b.dispose()
      }),
  },
  {
    name: 'a head that does not fit the trunk is refused, and the trunk stays usable',
    run: () =>
      using(BertModel.fromPretrained(source(), one), async (trunk) => {
        const before = trunk.info().bytes.weights
        const other = source({ hidden_size: 40 }, ['classifier'])
        await rejects(
          () => trunk.withHead(BertForTokenClassification, other),
          /hidden_size: expected 48, the trunk's, got 40/,
          'another size',
        )
        await rejects(
          () => trunk.withHead(BertForTokenClassification, source()),
          /2 missing: classifier\.weight, classifier\.bias/,
          'no head',
        )
        await rejects(() => trunk.withHead({} as typeof BertModel), /withHead: expected a model class/, 'no class')
        await rejects(
          () => trunk.withHead(BertForTokenClassification, null, { treads: 1 } as object),
          /unknown option "treads"/,
          'an option',
        )
        same(trunk.info().bytes.weights, before, 'bytes of weights')
        same((await trunk(batch)).last_hidden_state.dims[0], 4, 'rows')
      }),
  },
  {
    name: 'fresh weights: the same for a seed, whatever the head and the layout; biases 0, LayerNorm 1, the padding row 0',
    run: async () => {
      const config = BertConfig.preset('bert-tiny', { vocab_size: 90, max_position_embeddings: 64 })
      const ids = rectangle(sequences(3, { vocab: 90, longest: 30 }))
      const base = await using(new BertModel(config, { ...one, seed: 5 }), (model) => model({ ...ids, output_hidden_states: true }))
      const lm = await using(new BertForMaskedLM(config, { ...one, seed: 5 }), (model) => model({ ...ids, output_hidden_states: true }))
      sameBits(lm.hidden_states!.at(-1), base.last_hidden_state, 'the trunk under another head, its word table in a panel')
      const other = await using(new BertModel(config, { ...one, seed: 6 }), (model) => model(ids))
      check(JSON.stringify([...other.last_hidden_state.data]) !== JSON.stringify([...base.last_hidden_state.data]), 'seeds must differ')
      const saved = await using(new BertModel(config, { ...one, seed: 5 }), (model) => save(model))
      const tensors = new Map([...readSafetensors(saved['model.safetensors']!)].map(([name, { data }]) => [name, data as Float32Array]))
      check(
        tensors.get('embeddings.LayerNorm.weight')!.every((x) => x === 1),
        'LayerNorm weights are 1',
      )
      check(
        tensors.get('encoder.layer.1.output.dense.bias')!.every((x) => x === 0),
        'biases are 0',
      )
      const words = tensors.get('embeddings.word_embeddings.weight')!
      check(
        words.subarray(0, 128).every((x) => x === 0),
        "the padding token's row is 0",
      )
      const deviation = Math.sqrt(words.subarray(128).reduce((sum, x) => sum + x * x, 0) / (words.length - 128))
      // Five standard errors of a deviation: sigma / sqrt(2n).
      check(
        Math.abs(deviation - 0.02) < (5 * 0.02) / Math.sqrt(2 * words.length),
        `initializer_range 0.02, got a deviation of ${deviation}`,
      )
    },
  },
  {
    name: 'resizeTokenEmbeddings keeps the words that stay, and what is computed of them',
    run: () =>
      using(BertForMaskedLM.fromPretrained(source({}, ['cls']), one), async (model) => {
        const before = (await model(batch)).logits
        await model.resizeTokenEmbeddings(131, { seed: 4 })
        same(model.config.vocab_size, 131, 'vocab_size')
        const grown = (await model(batch)).logits
        same(grown.dims.at(-1), 131, 'width')
        const old = Float32Array.from({ length: before.size }, (_, i) => grown.data[Math.floor(i / 120) * 131 + (i % 120)]!)
        same([...old], [...before.data], 'scores of the old words')
        await model({ input_ids: [[130]] })
        await model.resizeTokenEmbeddings(120)
        sameBits((await model(batch)).logits, before, 'logits after shrinking back')
        await rejects(() => model({ input_ids: [[120]] }), /from 0 to 119/, 'an id that is gone')
        await rejects(() => model.resizeTokenEmbeddings(0), /a number of words/, 'no words')
        const ner = await model.withHead(BertForTokenClassification)
        await rejects(() => model.resizeTokenEmbeddings(100), /other models work on this trunk/, 'a shared trunk')
        await ner.dispose()
      }),
  },
  {
    name: 'missing head tensors are listed, and initialised only when asked for',
    run: async () => {
      await rejects(
        () => BertForSequenceClassification.fromPretrained(source(), one),
        /2 missing: classifier\.weight, classifier\.bias.*initialize_missing: true/,
        'a trunk alone',
      )
      const options = { ...one, initialize_missing: true, num_labels: 5, seed: 9 }
      await using(BertForSequenceClassification.fromPretrained(source(), options), async (model) => {
        same(model.info().initialized, ['classifier.weight', 'classifier.bias'], 'initialized')
        same((await model(batch)).logits.dims, [4, 5], 'dims')
      })
    },
  },
  {
    name: 'labels that do not fit the head are refused, and can be told anew',
    run: async () => {
      const three = (id2label: Record<number, string>): Source => {
        const files = checkpoint({ id2label: { 0: 'a', 1: 'b', 2: 'c' } }, 1, ['classifier'])
        const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as object
        return memorySource({ ...files, 'config.json': new TextEncoder().encode(JSON.stringify({ ...config, id2label })) }, 'three')
      }
      const load = (from: Source, options = {}): Promise<BertForSequenceClassification> =>
        BertForSequenceClassification.fromPretrained(from, { ...one, ...options })
      await rejects(
        () => load(three({ 0: 'a', 1: 'b' })),
        /classifier\.weight.*shape \[2, 48\], config\.json names 2 labels.*got \[3, 48\]/,
        'two',
      )
      await rejects(() => load(three({ 0: 'a', 2: 'b', 3: 'c' })), /id2label: expected the numbers 0 to 2.*got 2/, 'a gap')
      await using(load(three({ 0: 'a', 1: 'b' }), { id2label: { 0: 'x', 1: 'y', 2: 'z' } }), async (model) => {
        same(model.config.label2id, { x: 0, y: 1, z: 2 }, 'label2id')
        same((await model(batch)).logits.dims, [4, 3], 'dims')
      })
    },
  },
  {
    name: 'BertModel without its pooler needs no pooler tensors and gives no pooler_output',
    run: async () => {
      const files = source({ architectures: ['BertModel'] })
      const whole = await using(BertModel.fromPretrained(files, one), (model) => model(batch))
      await using(BertModel.fromPretrained(files, { ...one, add_pooling_layer: false }), async (model) => {
        const output = await model(batch)
        same(Object.keys(output), ['last_hidden_state'], 'outputs')
        sameBits(output.last_hidden_state, whole.last_hidden_state, 'last_hidden_state')
        same(model.info().unexpected, ['pooler.dense.weight', 'pooler.dense.bias'], 'unexpected')
      })
    },
  },
  {
    name: 'bad calls of heads say what was expected, and the model stays usable',
    run: async () => {
      await using(BertForMaskedLM.fromPretrained(source({}, ['cls']), one), async (model) => {
        const call = (inputs: object): Promise<unknown> => model(inputs)
        const embeds = { data: new Float32Array(2 * 3 * 48), dims: [2, 3, 48] }
        const bad = { ...embeds, data: embeds.data.map((x, i) => (i === 50 ? NaN : x)) }
        const masked = { input_ids: [[1, 2]], attention_mask: [[1, 0]] }
        await rejects(() => call({ input_ids: [[1]], inputs_embeds: embeds }), /input_ids or inputs_embeds, got both/, 'both')
        await rejects(() => call({ inputs_embeds: { ...embeds, dims: [2, 144] } }), /data with dims \[B, L, 48\]/, 'dims')
        await rejects(() => call({ inputs_embeds: [[[1, 2]]] }), /rows of 1 vectors of 48/, 'width')
        await rejects(() => call({ inputs_embeds: bad }), /inputs_embeds\[0\]\[1\]\[2\]: expected a finite number, got NaN/, 'NaN')
        await rejects(
          () => call({ ...masked, logits_positions: [[1]] }),
          /logits_positions\[0\]\[0\].*attention_mask keeps, got 1/,
          'masked',
        )
        await rejects(() => call({ ...masked, logits_positions: [[2]] }), /a whole number from 0 to 1, a column, got 2/, 'a column')
        await rejects(() => call({ ...masked, logits_positions: [[]] }), /at least one position/, 'none')
        await rejects(() => call({ ...masked, logits_positions: [[0], [0]] }), /each of the 1 rows/, 'rows')
        same((await model({ inputs_embeds: embeds })).logits.dims, [2, 3, 120], 'dims')
      })
      const choice = BertForMultipleChoice.fromPretrained(source(), { ...one, initialize_missing: true })
      await using(choice, async (model) => {
        await rejects(() => model({ input_ids: [[1, 2]] as never }), /input_ids: expected examples of as many choices each/, 'a matrix')
        await rejects(() => model({ input_ids: [[[1], [2]], [[3]]] }), /another shape in example 1/, 'ragged')
        await rejects(() => model({ input_ids: { data: [1, 2], dims: [1, 2] } }), /3 dims, \[B, C, L\], got \[1, 2\]/, 'dims')
        same((await model({ input_ids: { data: [1, 2, 3, 4, 5, 6], dims: [1, 3, 2] } })).logits.dims, [1, 3], 'dims')
      })
      await rejects(() => BertConfig.preset('bert-base-uncase'), /Did you mean bert-base-uncased/, 'a preset')
      await rejects(() => new BertModel(BertConfig.preset('bert-tiny'), { seed: -1 }), /seed: expected a whole number/, 'a seed')
    },
  },
]
