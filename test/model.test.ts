import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BertForTokenClassification, BertModel, Tokenizer } from '../src/index.node.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, rectangle, sequences, vocabulary } from './support/models.ts'

const load = (options = {}, config = {}): Promise<BertModel> =>
  BertModel.fromPretrained(memorySource(checkpoint(config), 'tiny'), { threads: 1, ...options })

describe('bad input leaves the model usable', () => {
  let model: BertModel
  beforeAll(async () => void (model = await load()))
  afterAll(() => model.dispose())

  const cases: Record<string, [inputs: object, message: RegExp]> = {
    'an id out of range': [{ input_ids: [[1, 120]] }, /input_ids\[0\]\[1\]: expected a whole number from 0 to 119, got 120/],
    'a negative id': [{ input_ids: [[-1]] }, /from 0 to 119, got -1/],
    'an id that is no number': [{ input_ids: [['x']] }, /input_ids\[0\]\[0\].*got NaN/],
    'a ragged batch': [{ input_ids: [[1, 2], [3]] }, /rows of one length, 2 .* got 1 in row 1.*padding: true/],
    'an empty batch': [{ input_ids: [] }, /at least one row of at least one token/],
    'an empty row': [{ input_ids: [[]] }, /at least one row of at least one token/],
    'one row that is not nested': [{ input_ids: [1, 2, 3] }, /array of rows.*\[\[101/],
    'no ids': [{}, /expected input_ids/],
    'a text longer than the model': [rectangle([Array.from({ length: 513 }, () => 1)]), /at most 512 tokens.*got 513.*truncation/],
    'a mask of zeros': [
      {
        input_ids: [
          [1, 2],
          [3, 4],
        ],
        attention_mask: [
          [1, 1],
          [0, 0],
        ],
      },
      /row 1 masks every token/,
    ],
    'a mask of another shape': [
      { input_ids: [[1, 2]], attention_mask: [[1]] },
      /attention_mask: expected the shape of input_ids, \[1, 2\]/,
    ],
    'a mask of other numbers': [{ input_ids: [[1]], attention_mask: [[2]] }, /attention_mask\[0\]\[0\]: expected 0 or 1/],
    'a mask of three dimensions': [
      { input_ids: [[1]], attention_mask: [[[1]]] },
      /attention_mask: expected \[B, L\], got more dimensions.*3-D masks/,
    ],
    'a type out of range': [{ input_ids: [[1]], token_type_ids: [[2]] }, /token_type_ids\[0\]\[0\].*from 0 to 1/],
    'a position out of range': [{ input_ids: [[1]], position_ids: [[512]] }, /position_ids\[0\]\[0\].*from 0 to 511/],
    'dims that do not fit': [{ input_ids: { data: new Int32Array(3), dims: [2, 2] } }, /two dims whose product/],
    'an unknown option': [
      { input_ids: [[1]], output_hidden_state: true },
      /unknown option "output_hidden_state".*Did you mean "output_hidden_states"/,
    ],
  }
  for (const [name, [inputs, message]] of Object.entries(cases)) {
    it(name, async () => {
      await expect(model(inputs as never)).rejects.toThrow(message)
      const { dims } = (await model({ input_ids: [[1, 2, 3]] })).last_hidden_state
      expect(dims).toEqual([1, 3, 48])
    })
  }

  it('an unknown or wrong load option', async () => {
    await expect(load({ thread: 2 })).rejects.toThrow(/unknown option "thread".*Did you mean "threads"/)
    await expect(load({ threads: -1 })).rejects.toThrow(/threads: expected a whole number/)
    await expect(load({ dtype: 'f31' })).rejects.toThrow(/dtype: expected one of f32, fp32/)
    await expect(load({ attn_implementation: 'flash' })).rejects.toThrow(/one of sdpa, eager/)
    await expect(load({ budget: 0 })).rejects.toThrow(/budget: expected a whole number of 1 or more, in tokens/)
  })
})

describe('inputs and outputs', () => {
  let model: BertModel
  beforeAll(async () => void (model = await load()))
  afterAll(() => model.dispose())

  it('takes nested arrays, bigints, typed arrays with dims, and rows of typed arrays alike', async () => {
    const ids = [
      [5, 6, 7],
      [8, 9, 10],
    ]
    const { data, dims } = (await model({ input_ids: ids })).last_hidden_state
    expect(dims).toEqual([2, 3, 48])
    for (const input_ids of [
      ids.map((row) => row.map(BigInt)),
      ids.map((row) => Int32Array.from(row)),
      { data: Int32Array.from(ids.flat()), dims: [2, 3] },
      { data: BigInt64Array.from(ids.flat().map(BigInt)), dims: [2, 3] },
    ]) {
      expect((await model({ input_ids })).last_hidden_state.data).toEqual(data)
    }
  })

  it('copies outputs: they stay as they are when the model runs on', async () => {
    const first = (await model({ input_ids: [[1, 2]] })).last_hidden_state
    const before = first.data.slice()
    await model({ input_ids: [[3, 4]] })
    expect(first.data).toEqual(before)
    expect(first.data.buffer).toBeInstanceOf(ArrayBuffer)
    expect(first.tolist()).toHaveLength(1)
  })

  it('leaves zeros at masked positions', async () => {
    const { last_hidden_state } = await model({ input_ids: [[1, 2, 3, 4]], attention_mask: [[0, 1, 0, 1]] })
    const rows = (last_hidden_state.tolist() as number[][][])[0]!
    expect(rows.map((row) => row.every((x) => x === 0))).toEqual([true, false, true, false])
  })

  it('returns hidden states and attention maps with the names of transformers', async () => {
    const batch = rectangle(sequences(3))
    const output = await model({ ...batch, output_hidden_states: true, output_attentions: true })
    const columns = batch.input_ids[0]!.length
    expect(output.hidden_states).toHaveLength(3)
    expect(output.attentions!.map(({ dims }) => dims)).toEqual([
      [3, 4, columns, columns],
      [3, 4, columns, columns],
    ])
    expect(output.hidden_states!.at(-1)!.data).toEqual(output.last_hidden_state.data)
    expect(model.info().attention.why).toMatch(/output_attentions runs eager/)
  })

  it('reads a checkpoint by its path', async () => {
    const folder = path.join(import.meta.dirname, 'golden/bert/tiny')
    const loaded = await BertModel.from_pretrained(folder, { threads: 1, dtype: 'fp32' })
    const known = { architecture: 'BertModel', dtype: { name: 'f32' }, threads: { count: 1 }, build: { name: 'simd' } }
    expect(loaded.info()).toMatchObject(known)
    await loaded.dispose()
  })
})

describe('model.attentions', () => {
  const source = () => memorySource({ ...checkpoint(), 'vocab.txt': vocabulary() }, 'tiny')

  it('gives the tokens of a text or a pair, and the maps that a call with its ids gives', async () => {
    const [model, tokenizer] = [await BertModel.fromPretrained(source(), { threads: 0 }), await Tokenizer.fromPretrained(source())]
    for (const pair of [{}, { text_pair: 'a text' }]) {
      const { tokens, attentions } = await model.attentions('the cats', pair)
      const { input_ids, token_type_ids } = tokenizer('the cats', pair)
      expect(tokens).toEqual(tokenizer.convert_ids_to_tokens(input_ids[0]!))
      expect(tokens[0]).toBe('[CLS]')
      const { attentions: maps } = await model({ input_ids, token_type_ids, output_attentions: true })
      expect(attentions).toHaveLength(model.config.num_hidden_layers)
      attentions.forEach(({ data, dims }, layer) => {
        expect(dims).toEqual([model.config.num_attention_heads, tokens.length, tokens.length])
        expect(data).toEqual(maps![layer]!.data)
      })
    }
    await model.dispose()
  })

  it('is there for heads, and wants a tokenizer where there is no folder', async () => {
    const tagger = await BertForTokenClassification.fromPretrained(source(), { threads: 0, initialize_missing: true })
    expect((await tagger.attentions('the cats')).tokens.at(-1)).toBe('[SEP]')
    await expect(tagger.attentions(['the cats'] as unknown as string)).rejects.toThrow(/attentions: expected a text/)
    await expect(tagger.attentions('a', { pair: 'b' } as object)).rejects.toThrow(/unknown option "pair"/)
    const fresh = new BertModel(tagger.config, { threads: 0 })
    await expect(fresh.attentions('the cats')).rejects.toThrow(
      /expected a tokenizer, as the model was not loaded from a folder.*Give \{ tokenizer \}/,
    )
    const tokenizer = await Tokenizer.fromPretrained(source())
    expect((await fresh.attentions('the cats', { tokenizer })).tokens).toEqual((await tagger.attentions('the cats')).tokens)
    await Promise.all([tagger.dispose(), fresh.dispose()])
  })
})
