import { describe, expect, it } from 'vitest'
import { BertletError } from '../src/errors.ts'
import { BertConfig, HIDDEN_ACTS } from '../src/models/config.ts'
import { pooling, trunkParameters, type ParameterSpec } from '../src/models/parameters.ts'

const parse = (values: object): BertConfig => BertConfig.parse(JSON.stringify(values))

describe('BertConfig', () => {
  it('has the defaults of Hugging Face transformers', () => {
    // huggingface/transformers: models/bert/configuration_bert.py at 008f5c8; labels and problem_type: configuration_utils.py at 008e574
    expect(new BertConfig()).toMatchObject({
      vocab_size: 30522,
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
      hidden_act: 'gelu',
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
      max_position_embeddings: 512,
      type_vocab_size: 2,
      initializer_range: 0.02,
      layer_norm_eps: 1e-12,
      pad_token_id: 0,
      classifier_dropout: null,
      tie_word_embeddings: true,
      problem_type: null,
      id2label: { 0: 'LABEL_0', 1: 'LABEL_1' },
      label2id: { LABEL_0: 0, LABEL_1: 1 },
      num_labels: 2,
    })
  })

  it('takes null for a default, and null where null means something', () => {
    expect(parse({ hidden_act: null, problem_type: null, classifier_dropout: null, id2label: null, architectures: null })).toMatchObject({
      hidden_act: 'gelu',
      problem_type: null,
      architectures: [],
      num_labels: 2,
    })
    expect(parse({ pad_token_id: null }).pad_token_id).toBeNull()
  })

  it('reads label maps', () => {
    const { id2label, label2id, num_labels } = parse({
      id2label: { 0: 'NO', 1: 'MAYBE', 2: 'YES' },
      label2id: { NO: 0, MAYBE: '1', YES: 2 },
    })
    expect(id2label).toEqual({ 0: 'NO', 1: 'MAYBE', 2: 'YES' })
    expect(label2id).toEqual({ NO: 0, MAYBE: 1, YES: 2 })
    expect(num_labels).toBe(3)
    expect(parse({ num_labels: 3 }).id2label).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2' })
  })

  it('saves what it was given, known or not, with every field', () => {
    const given = { hidden_size: 48, num_attention_heads: 4, model_type: 'bert', _name_or_path: 'x', use_cache: true, num_labels: 3 }
    const saved = JSON.parse(JSON.stringify(parse(given))) as Record<string, unknown>
    expect(saved).toMatchObject({ hidden_size: 48, vocab_size: 30522, model_type: 'bert', _name_or_path: 'x', use_cache: true })
    expect(saved).not.toHaveProperty('original')
    expect(saved).not.toHaveProperty('num_labels')
    const again = parse(saved)
    expect(again.num_labels).toBe(3)
    expect(again.toJSON()).toEqual(saved)
  })

  it.each(HIDDEN_ACTS)('knows the hidden_act %s', (hidden_act) => {
    expect(parse({ hidden_act }).hidden_act).toBe(hidden_act)
  })

  const bad: Record<string, [values: object, message: RegExp]> = {
    'an unknown hidden_act': [
      { hidden_act: 'gelu_ner' },
      /config.json: hidden_act: expected one of gelu, .*got "gelu_ner"\. Did you mean "gelu_new"/,
    ],
    'a hidden_act that is no text': [{ hidden_act: 3 }, /hidden_act: expected one of .*got 3/],
    'a size that is text': [{ hidden_size: '768' }, /hidden_size: expected a whole number from 1 to 65536, got "768"/],
    'a size of zero': [{ vocab_size: 0 }, /vocab_size: expected a whole number from 1 .*got 0/],
    'a fractional size': [{ num_hidden_layers: 1.5 }, /num_hidden_layers.*got 1.5/],
    'a size that fills memory': [{ num_hidden_layers: 1e9 }, /num_hidden_layers: .* 1 to 1024, got 1000000000/],
    'heads that do not divide': [
      { hidden_size: 100, num_attention_heads: 12 },
      /hidden_size: expected a multiple of num_attention_heads, 12, got 100/,
    ],
    'a probability above 1': [{ hidden_dropout_prob: 1.1 }, /hidden_dropout_prob: expected a number from 0 to 1, got 1.1/],
    'a classifier_dropout of text': [{ classifier_dropout: 'x' }, /classifier_dropout: expected a number from 0 to 1, or null/],
    'an epsilon of 0': [{ layer_norm_eps: 0 }, /layer_norm_eps: expected a number above 0/],
    'a pad token outside the vocabulary': [{ vocab_size: 10, pad_token_id: 10 }, /pad_token_id: expected .* 0 to 9, or null, got 10/],
    'a problem_type': [{ problem_type: 'guess' }, /problem_type: expected one of regression/],
    'tie_word_embeddings of text': [{ tie_word_embeddings: 'no' }, /tie_word_embeddings: expected true or false/],
    'architectures of text': [{ architectures: 'BertModel' }, /architectures: expected an array/],
    'labels that are a list': [{ id2label: ['a', 'b'] }, /id2label: expected an object/],
    'labels whose keys are no numbers': [{ id2label: { a: 'a' } }, /id2label: expected keys that are whole numbers, got "a"/],
    'label ids that are no numbers': [{ label2id: { a: 'b' } }, /label2id\["a"\]: expected a whole number/],
    'num_labels that differ from the labels': [
      { num_labels: 3, id2label: { 0: 'a' } },
      /num_labels: expected 1, the labels of id2label, got 3/,
    ],
  }
  it.each(Object.entries(bad))('refuses %s', (_, [values, message]) => {
    expect(() => parse(values)).toThrow(message)
    expect(() => parse(values)).toThrow(expect.objectContaining({ code: 'invalid_file' }) as Error)
  })

  it.each([
    [{ model_type: 'roberta' }, /model_type: expected "bert", got "roberta"/],
    [{ is_decoder: true }, /is_decoder: expected false, got true.*decoders are out of scope/],
    [{ add_cross_attention: true }, /add_cross_attention: expected false, got true/],
    [{ position_embedding_type: 'relative_key_query' }, /position_embedding_type: expected "absolute", got "relative_key_query"/],
  ])('refuses by name %j', (values, message) => {
    expect(() => parse(values)).toThrow(message)
    expect(() => parse(values)).toThrow(expect.objectContaining({ code: 'unsupported' }) as Error)
  })

  it.each([['{'], ['[]'], ['null'], ['"x"'], ['['.repeat(1e5)]])('refuses a file of %.10s', (text) => {
    expect(() => BertConfig.parse(text)).toThrow(BertletError)
    expect(() => BertConfig.parse(text)).toThrow(/^config\.json: expected/)
  })
})

const parameters = (config: BertConfig, pooler: boolean): ParameterSpec[] => [
  ...trunkParameters(config, { wordTable: 'rows' }),
  ...(pooler ? pooling(config) : []),
]

describe('parameters', () => {
  it('counts the parameters that the published models have', () => {
    const count = (values: object, pooler: boolean): number =>
      parameters(parse(values), pooler).reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0)
    expect(count({}, true)).toBe(109_482_240) // bert-base-uncased, BertModel of transformers
    expect(count({ hidden_size: 1024, num_hidden_layers: 24, num_attention_heads: 16, intermediate_size: 4096 }, true)).toBe(335_141_888) // bert-large-uncased
    expect(count({}, false)).toBe(109_482_240 - 768 * 769)
  })

  it('says how each is laid out and begins', () => {
    const all = parameters(parse({ num_hidden_layers: 1 }), true)
    const by = new Map(all.map((spec) => [spec.name, spec]))
    expect(by.get('embeddings.word_embeddings.weight')).toMatchObject({ layout: 'rows', init: 'normal', zeroRow: 0 })
    expect(by.get('encoder.layer.0.intermediate.dense.weight')).toEqual({
      name: 'encoder.layer.0.intermediate.dense.weight',
      shape: [3072, 768],
      layout: 'panel',
      init: 'normal',
    })
    expect(by.get('encoder.layer.0.output.LayerNorm.weight')).toMatchObject({ shape: [768], layout: 'vector', init: 'ones' })
    expect(by.get('pooler.dense.bias')).toMatchObject({ layout: 'vector', init: 'zeros' })
    expect(by.size).toBe(all.length)
  })
})
