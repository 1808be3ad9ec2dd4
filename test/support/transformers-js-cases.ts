// Calls that transformers.js's pipelines and ours both take: those that are equal, and those in which it departs from the Python reference.
import { expect } from 'vitest'

export interface Case {
  readonly task: string
  /** A checkpoint of test/transformers-js.test.ts. */
  readonly model: string
  readonly inputs: readonly unknown[]
  readonly options: object
}

/** What transformers.js has no pipeline for, from the logits of its model: [pairs, labels]. */
export interface PairsCase extends Case {
  readonly own: Case & { of(rows: readonly number[][]): unknown }
}

export interface Departure extends Case {
  /** As docs/transformers-js.md has it. */
  readonly name: string
  /** What transformers.js gives, or the words of its error. */
  theirs?(value: unknown): void
  /** The golden case that ours equals, where that is of another call. */
  readonly reference?: Partial<Case>
  /** Instead of a golden case: a call in which transformers.js does what the reference does, and what ours is of that. */
  readonly as?: Partial<Case> & { of?(value: unknown): unknown }
  /** Instead of both: what ours says, for it refuses the call. */
  readonly refused?: RegExp
}

const ADA = 'Ada Lovelace lived in London.'
const SIGNS = "🎉🙂 the cat sat on 東京 and Zoë's café: e\u0301tude, שלום עולם! ﬁlm İstanbul 👩‍👩‍👧 \u{1d400}b"
const WORD = 'unbelievablyyyyyyyyyy longwords --- in (Paris)'
const TEXTS = [ADA, SIGNS, '', WORD]
const PART = 'Ada Lovelace lived in London, and the king of England was not in Paris! She wrote the first computer program'
const LONG = [
  ...Array.from({ length: 5 }, () => PART),
  ...Array.from({ length: 3 }, () => '🙂 東京都 was the capital; naïve Zoë (ﬁrst) sat on שלום mats...'),
].join(' ')
/** No capitals, no signs, no word twice, at most 15 tokens: an answer is the same whether it is decoded or cut out. */
const PLAIN = 'the cat sat on a mat in london and was very good'
const SENTENCES = ['How do I reset my password?', 'I forgot my login', 'The cat sat on the mat']

const each = (task: string, model: string, inputs: readonly (readonly unknown[])[], options: readonly object[]): Case[] =>
  inputs.flatMap((arguments_) => options.map((option) => ({ task, model, inputs: arguments_, options: option })))

const POOLINGS = ['none', 'mean', 'cls', 'first_token', 'last_token', 'eos']
const LENGTHS = [false, true]

export const CASES: readonly Case[] = [
  ...each(
    'feature-extraction',
    'trunk',
    [[ADA], [SIGNS], [[WORD]]],
    POOLINGS.flatMap((pooling) => LENGTHS.map((normalize) => ({ pooling, normalize }))),
  ),
  ...each(
    'feature-extraction',
    'trunk',
    [[TEXTS]],
    ['mean', 'cls', 'first_token'].flatMap((pooling) => LENGTHS.map((normalize) => ({ pooling, normalize }))),
  ),
  ...each(
    'feature-extraction',
    'trunk',
    [[TEXTS]],
    [{ pooling: 'mean', quantize: true }, ...['binary', 'ubinary'].map((precision) => ({ pooling: 'cls', quantize: true, precision }))],
  ),
  ...each(
    'feature-extraction',
    'minilm',
    [[SENTENCES], [SENTENCES[0]]],
    [{ pooling: 'mean' }, { pooling: 'mean', normalize: true }, { pooling: 'mean', normalize: true, quantize: true, precision: 'ubinary' }],
  ),
  ...each('feature-extraction', 'minilm', [[SENTENCES[0]]], [{}, { normalize: true }, { pooling: 'last_token' }]),
  ...each(
    'fill-mask',
    'mlm',
    [['The [MASK] was good!'], [['[MASK] cat', 'The cat sat on the [MASK] of London.']]],
    [{}, { top_k: 1 }, { top_k: 40 }],
  ),
  ...['sentiment', 'topics', 'nli', 'trained'].flatMap((model) =>
    each('text-classification', model, [[ADA], [SIGNS], [TEXTS]], [{}, { top_k: 1 }, { top_k: 2 }, { top_k: null }]),
  ),
  ...each(
    'token-classification',
    'ner',
    [[ADA], [[ADA, WORD]]],
    [{}, { ignore_labels: [] }, { ignore_labels: ['B-PER', 'I-LOC'] }, { aggregation_strategy: 'simple', ignore_labels: [] }],
  ),
  ...each(
    'question-answering',
    'qa',
    [
      ['who was good?', PLAIN],
      ['where?', 'paris was a city'],
    ],
    [{}, { top_k: 1 }, { top_k: 3 }],
  ),
  ...each(
    'question-answering',
    'qa',
    [
      [
        ['who was good?', 'where?'],
        [PLAIN, 'not in paris'],
      ],
    ],
    [{}, { top_k: 2 }],
  ),
  ...['nli', 'nli-first'].flatMap((model) =>
    each(
      'zero-shot-classification',
      model,
      [
        [ADA, ['film', 'city', 'river', 'the king of england']],
        [SIGNS, ['film']],
        [
          [ADA, WORD],
          ['cat', 'dog'],
        ],
      ],
      [{}, { multi_label: false }, { multi_label: true }, { hypothesis_template: '{}, not what!' }],
    ),
  ),
]

/** Largest first, as ranks and classes come. */
const ranked = <T extends { readonly score: number }>(list: readonly T[]): T[] => [...list].sort((a, b) => b.score - a.score)
const softmax = (row: readonly number[]): number[] => {
  const powers = row.map((x) => Math.exp(x - Math.max(...row)))
  return powers.map((x) => x / powers.reduce((a, b) => a + b))
}
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const DOCUMENTS = [ADA, WORD, 'london', SIGNS]
const QUERY = 'where lived Ada'
const queries = DOCUMENTS.map(() => QUERY)
const ranks = (name: 'none' | 'sigmoid'): PairsCase => ({
  ...{ task: 'logits of pairs', model: 'single', inputs: [queries, DOCUMENTS], options: {} },
  own: {
    ...{ task: 'text-ranking', model: 'single', inputs: [QUERY, DOCUMENTS], options: { function_to_apply: name } },
    of: (rows) => ranked(rows.map(([x], corpus_id) => ({ corpus_id, score: name === 'none' ? x! : sigmoid(x!) }))),
  },
})

export const PAIRS: readonly PairsCase[] = [
  ranks('none'),
  ranks('sigmoid'),
  {
    ...{ task: 'logits of pairs', model: 'sentiment', inputs: [queries, DOCUMENTS], options: {} },
    own: {
      ...{
        task: 'text-classification',
        model: 'sentiment',
        inputs: [DOCUMENTS.map((text_pair) => ({ text: QUERY, text_pair }))],
        options: { top_k: null },
      },
      of: (rows) => rows.map((row) => ranked(softmax(row).map((score, i) => ({ label: ['negative', 'neutral', 'positive'][i]!, score })))),
    },
  },
]

const zeroShot = (inputs: readonly unknown[]): Case => ({ task: 'zero-shot-classification', model: 'nli', inputs, options: {} })
interface Labels {
  readonly labels: string[]
  readonly scores: number[]
}

export const DEPARTURES: readonly Departure[] = [
  { name: 'a text over the limit', task: 'text-classification', model: 'sentiment', inputs: [LONG], options: {} },
  {
    name: 'a pair over the limit',
    ...zeroShot([LONG, ['film', 'city', 'good dog']]),
    reference: { inputs: [LONG, 'film, city ,, good dog'], options: { multi_label: false } },
    // The hypothesis is what was cut off.
    theirs: (value) => (value as Labels).scores.forEach((score) => expect(score).toBeCloseTo(1 / 3, 5)),
  },
  {
    ...{ name: 'one logit', task: 'text-classification', model: 'single', inputs: [ADA], options: { top_k: null } },
    theirs: (value) => expect(value).toEqual([{ label: 'LABEL_0', score: 1 }]),
  },
  {
    ...{ name: 'a score (regression)', task: 'text-classification', model: 'score', inputs: [ADA], options: { top_k: null } },
    theirs: (value) => expect(value).toEqual([{ label: 'score', score: 1 }]),
  },
  {
    name: 'the last token of texts of several lengths',
    task: 'feature-extraction',
    model: 'trunk',
    inputs: [TEXTS],
    options: { pooling: 'last_token' },
  },
  { name: "vectors behind a text's end, without pooling", task: 'feature-extraction', model: 'trunk', inputs: [TEXTS], options: {} },
  { name: 'several masks', task: 'fill-mask', model: 'mlm', inputs: ['The [MASK] sat on the [MASK] of London.'], options: { top_k: 2 } },
  {
    name: 'words that the vocabulary has not',
    task: 'token-classification',
    model: 'ner',
    inputs: [SIGNS],
    options: { ignore_labels: [], aggregation_strategy: 'simple' },
  },
  {
    name: 'entities with O between them',
    task: 'token-classification',
    model: 'ner',
    inputs: [WORD],
    options: { aggregation_strategy: 'simple' },
  },
  {
    name: 'tags that begin with E- or S-',
    task: 'token-classification',
    model: 'other-tags',
    inputs: [ADA],
    options: { aggregation_strategy: 'simple' },
  },
  { name: 'answers', task: 'question-answering', model: 'qa', inputs: ['Who lived in London?', ADA], options: {} },
  { name: 'answers of more than 15 tokens', task: 'question-answering', model: 'qa', inputs: ['Who lived in London?', SIGNS], options: {} },
  { name: 'a context over the limit', task: 'question-answering', model: 'qa', inputs: ['where?', LONG], options: { top_k: 5 } },
  {
    ...{
      name: 'fewer answers than were asked for',
      task: 'question-answering',
      model: 'qa',
      inputs: ['where?', 'london'],
      options: { top_k: 3 },
    },
    as: { options: {} },
  },
  {
    ...{ name: 'labels in one text', ...zeroShot([ADA, 'cat, dog']), as: { inputs: [ADA, ['cat', 'dog']] } },
    theirs: (value) => expect((value as Labels).labels).toEqual(['cat, dog']),
  },
  {
    ...{ name: 'a label with a dollar sign', ...zeroShot([ADA, ["cat $'", 'dog']]) },
    as: {
      inputs: [ADA, ["cat $$'", 'dog']],
      of: (value) => ({ ...(value as Labels), labels: (value as Labels).labels.map((label) => label.replace('$$', '$')) }),
    },
  },
  {
    ...{ name: 'classes whose names begin with entail', ...zeroShot([ADA, ['cat', 'dog', 'film']]), model: 'nli-entails' },
    as: { model: 'nli-entailment' },
  },
  {
    ...{ name: 'labels of equal score', ...zeroShot([ADA, ['cat', 'CAT']]), as: { inputs: [ADA, ['CAT', 'cat']] } },
    theirs: (value) => expect((value as Labels).labels).toEqual(['cat', 'CAT']),
  },
  {
    name: 'labels to ignore that the model has not',
    task: 'token-classification',
    model: 'ner',
    inputs: [ADA],
    options: { ignore_labels: ['B-PERS'] },
    theirs: (value) => expect((value as unknown[]).length).toBeGreaterThan(0),
    refused: /ignore_labels: expected labels of the model, .*got "B-PERS". Did you mean B-PER\?/,
  },
  {
    name: 'options that no one knows',
    task: 'text-classification',
    model: 'sentiment',
    inputs: [ADA],
    options: { topk: 2 },
    theirs: (value) => expect(value).toHaveLength(1),
    refused: /unknown option "topk". Did you mean "top_k"/,
  },
  {
    ...{
      name: 'a classifier without a label that begins with entail, for zero-shot',
      ...zeroShot([ADA, ['cat', 'dog']]),
      model: 'sentiment',
    },
    theirs: (value) => expect((value as Labels).labels).toHaveLength(2),
    refused: /a model trained on NLI, with a label entailment, got negative, neutral, positive/,
  },
]
