import type { BertletError } from '../errors.ts'
import { expected, nearest, oneOf, show } from '../errors.ts'
import { isObject, parseObject, type JsonObject } from '../json.ts'
import { PRESETS } from './presets.ts'

export const HIDDEN_ACTS = ['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'gelu_fast', 'quick_gelu', 'relu', 'silu', 'swish', 'tanh'] as const
export type HiddenAct = (typeof HIDDEN_ACTS)[number]

const PROBLEM_TYPES = ['regression', 'single_label_classification', 'multi_label_classification'] as const
export type ProblemType = (typeof PROBLEM_TYPES)[number]

/** What a field must be. Without it, or where it is null, the field has Hugging Face's default. */
interface Field<T> {
  readonly fallback: T
  readonly wanted: string
  is(value: unknown): boolean
}

const whole = (fallback: number, least: number, most: number): Field<number> => ({
  fallback,
  wanted: `a whole number from ${least} to ${most}`,
  is: (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
})
const real = (fallback: number, wanted: string, is: (value: number) => boolean): Field<number> => ({
  fallback,
  wanted,
  is: (value) => typeof value === 'number' && is(value),
})
const probability = real(0.1, 'a number from 0 to 1', (value) => value >= 0 && value <= 1)
const orNull = <T>(field: Field<T>): Field<T | null> => ({ ...field, fallback: null, wanted: `${field.wanted}, or null` })
const among = <T extends string>(known: readonly T[]): Field<T> => ({
  fallback: known[0]!,
  wanted: `one of ${known.join(', ')}`,
  is: (value) => known.includes(value as T),
})

/** Fields of a config.json and their defaults, those of BertConfig in Hugging Face transformers. The limits keep a hostile file from filling memory. */
const FIELDS = {
  vocab_size: whole(30522, 1, 1 << 24),
  hidden_size: whole(768, 1, 1 << 16),
  num_hidden_layers: whole(12, 1, 1024),
  num_attention_heads: whole(12, 1, 1 << 16),
  intermediate_size: whole(3072, 1, 1 << 20),
  max_position_embeddings: whole(512, 1, 1 << 20),
  type_vocab_size: whole(2, 1, 1 << 16),
  hidden_act: among(HIDDEN_ACTS),
  hidden_dropout_prob: probability,
  attention_probs_dropout_prob: probability,
  classifier_dropout: orNull(probability),
  initializer_range: real(0.02, 'a number of 0 or more', (value) => value >= 0 && value < Infinity),
  layer_norm_eps: real(1e-12, 'a number above 0, at most 1', (value) => value > 0 && value <= 1),
  tie_word_embeddings: { fallback: true, wanted: 'true or false', is: (value) => typeof value === 'boolean' } as Field<boolean>,
  problem_type: orNull(among(PROBLEM_TYPES)),
  architectures: {
    fallback: [],
    wanted: 'an array of class names',
    is: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  } as Field<readonly string[]>,
} as const

type Fields = { readonly [K in keyof typeof FIELDS]: (typeof FIELDS)[K] extends Field<infer T> ? T : never }

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type -- the constructor sets every field of the table
export interface BertConfig extends Fields {}

/** A checked BERT configuration, with the names and defaults of Hugging Face transformers. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class BertConfig {
  readonly model_type = 'bert'
  readonly position_embedding_type = 'absolute'
  /** The token whose fresh embedding is zero; null for none. */
  readonly pad_token_id: number | null
  /** Names of a classifier's outputs. */
  readonly id2label: Readonly<Record<number, string>>
  readonly label2id: Readonly<Record<string, number>>
  /** Where BertForSequenceClassification reads the sentence embedding in place of the pooler: as ModernBERT names it. */
  readonly classifier_pooling?: 'mean' | 'cls'
  /** With it: that embedding has length 1. */
  readonly classifier_normalize?: boolean
  /** config.json as it was given: what is not listed here is kept for saving. */
  readonly original: JsonObject

  /**
   * @param values the fields of a config.json; what is left out has Hugging Face's default.
   * @throws BertletError naming the field, what it should be and what it is; decoders and relative positions are refused by name.
   */
  constructor(values: JsonObject = {}, file = 'config.json') {
    if (!isObject(values)) throw expected(file, 'an object', values)
    refuse(file, values)
    const invalid = (name: string, wanted: string, got: unknown, fix?: string): BertletError =>
      expected(`${file}: ${name}`, wanted, got, fix, 'invalid_file')
    for (const [name, { fallback, wanted, is }] of Object.entries<Field<unknown>>(FIELDS)) {
      const value = values[name] ?? fallback
      if (value !== fallback && !is(value)) throw invalid(name, wanted, value, name === 'hidden_act' ? hint(value) : undefined)
      Object.assign(this, { [name]: value })
    }
    const { hidden_size: h, num_attention_heads: heads, vocab_size: vocab } = this
    if (h % heads !== 0) throw invalid('hidden_size', `a multiple of num_attention_heads, ${heads}`, h)

    const pad = values.pad_token_id === undefined ? 0 : values.pad_token_id
    if (pad !== null && !whole(0, 0, vocab - 1).is(pad))
      throw invalid('pad_token_id', `a token of the vocabulary, 0 to ${vocab - 1}, or null`, pad)
    this.pad_token_id = pad as number | null

    const { classifier_pooling: pooling, classifier_normalize: unit } = values
    if (!isNothing(pooling)) {
      if (pooling !== 'mean' && pooling !== 'cls') throw invalid('classifier_pooling', 'mean or cls', pooling)
      Object.assign(this, { classifier_pooling: pooling, classifier_normalize: unit === true })
    }

    const { id2label, num_labels: count } = values
    if ((count ?? null) !== null && !whole(2, 1, 1 << 24).is(count)) throw invalid('num_labels', 'a whole number of 1 or more', count)
    this.id2label = isNothing(id2label) ? numbered((count as number | null | undefined) ?? 2) : labelsById(id2label, invalid)
    if (!isNothing(count) && count !== this.num_labels) {
      throw invalid('num_labels', `${this.num_labels}, the labels of id2label`, count, 'Leave one of the two out')
    }
    this.label2id = idsByLabel(values.label2id, this.id2label, invalid)
    this.original = values
  }

  /** Reads the text of a config.json; `file` is for messages. */
  static parse(text: string, file = 'config.json'): BertConfig {
    return new BertConfig(parseObject(text, file), file)
  }

  /**
   * The configuration of a published architecture, by its name on the hub.
   *
   *     new BertForMaskedLM(BertConfig.preset('bert-base-uncased'), { seed: 1 })
   *
   * @param values fields that differ from it.
   */
  static preset(name: string, values: JsonObject = {}): BertConfig {
    return new BertConfig({ ...PRESETS[oneOf('BertConfig.preset', name, Object.keys(PRESETS))], ...values }, name)
  }

  get num_labels(): number {
    return Object.keys(this.id2label).length
  }

  /** The fields of a config.json: those that were given, whatever they mean, and these. */
  toJSON(): Record<string, unknown> {
    const { original, ...fields } = this
    const { num_labels: _, ...given } = original // said by id2label
    return { ...given, ...fields }
  }
}

/** What bertlet does not do, by name. */
function refuse(file: string, values: JsonObject): void {
  const unsupported = (name: string, wanted: string, fix: string): never => {
    throw expected(`${file}: ${name}`, wanted, values[name], fix, 'unsupported')
  }
  if (!isNothing(values.model_type) && values.model_type !== 'bert') {
    unsupported('model_type', '"bert"', 'Use a checkpoint of a BERT model: bertlet runs no other architecture')
  }
  for (const name of ['is_decoder', 'add_cross_attention', 'is_encoder_decoder']) {
    if (!isNothing(values[name]) && values[name] !== false) unsupported(name, 'false', 'bertlet runs encoders; decoders are out of scope')
  }
  if (!isNothing(values.position_embedding_type) && values.position_embedding_type !== 'absolute') {
    unsupported('position_embedding_type', '"absolute"', 'Relative positions are out of scope')
  }
}

const isNothing = (value: unknown): value is null | undefined => value === null || value === undefined

function hint(act: unknown): string | undefined {
  const near = typeof act === 'string' ? nearest(act, HIDDEN_ACTS) : undefined
  return near && `Did you mean ${show(near)}?`
}

type Invalid = (name: string, wanted: string, got: unknown, fix?: string) => BertletError

const numbered = (count: number): Record<number, string> => Object.fromEntries(Array.from({ length: count }, (_, i) => [i, `LABEL_${i}`]))

function labelsById(value: unknown, invalid: Invalid): Record<number, string> {
  if (!isObject(value)) throw invalid('id2label', 'an object from number to label', value)
  for (const [id, label] of Object.entries(value)) {
    if (!/^\d{1,9}$/.test(id)) throw invalid('id2label', 'keys that are whole numbers', id)
    // Some exporters write the labels of a score as numbers.
    if (typeof label !== 'string' && typeof label !== 'number') throw invalid(`id2label[${id}]`, 'a text', label)
  }
  const labels = Object.fromEntries(Object.entries(value).map(([id, label]) => [Number(id), String(label)]))
  const ids = Object.keys(labels)
  const odd = ids.find((id, i) => Number(id) !== i) // whole numbers come in ascending order
  if (odd !== undefined) throw invalid('id2label', `the numbers 0 to ${ids.length - 1}, one for each output`, Number(odd), RELABEL)
  return labels
}

const RELABEL = 'Mend config.json, or load with { id2label: {...} } of your own'

function idsByLabel(value: unknown, labels: Readonly<Record<number, string>>, invalid: Invalid): Record<string, number> {
  if (isNothing(value)) return Object.fromEntries(Object.entries(labels).map(([id, label]) => [label, Number(id)]))
  if (!isObject(value)) throw invalid('label2id', 'an object from label to number', value)
  for (const [label, id] of Object.entries(value)) {
    if (!/^\d{1,9}$/.test(String(id))) throw invalid(`label2id[${show(label)}]`, 'a whole number', id)
    if (Number(id) in labels) continue
    throw invalid(`label2id[${show(label)}]`, `a number of id2label, 0 to ${Object.keys(labels).length - 1}`, Number(id), RELABEL)
  }
  return Object.fromEntries(Object.entries(value).map(([label, id]) => [label, Number(id)]))
}
