// SQuAD: files, windows over contexts, answers from logits, evaluation in training.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSquad, squadAnswers, squadComputeMetrics, SquadFeatures, type SquadQuestion } from '../src/data.ts'
import { Tensor, Tokenizer } from '../src/index.node.ts'

const WORDS = 'abcdefghijklmnopqrstuvwxyz'.split('')
const tokenizer = Tokenizer.fromFiles({
  'vocab.txt': ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...WORDS, '##x', '.', ...WORDS.map((word) => `${word}${word}`)].join('\n'),
})

const file = (qas: object[], context = 'a b cc d.'): string =>
  JSON.stringify({ version: '1.1', data: [{ title: 'T', paragraphs: [{ context, qas }] }] })
const qa = (text: string, answer_start: unknown, more: object = {}): object => ({
  id: 'q',
  question: 'e f',
  answers: [{ text, answer_start }],
  ...more,
})

describe("SQuAD's files", () => {
  it('count code points, which strings here do not', async () => {
    const context = '😀😀 b cc 😀 d'
    const [one] = await readSquad(file([qa('cc 😀', 5)], context), 'a.json')
    expect(one).toMatchObject({ id: 'q', question: 'e f', context, answers: [{ text: 'cc 😀', start: 7 }] })
  })

  it('of v2.0 have questions without answer; what might be plausible is none', async () => {
    const plausible_answers = [{ text: 'cc', answer_start: 4 }]
    const none = { id: 'n', question: 'g', answers: [], is_impossible: true, plausible_answers }
    expect((await readSquad(file([qa('cc', 4), none]), 'a.json')).map(({ id, answers }) => [id, answers.length])).toEqual([
      ['q', 1],
      ['n', 0],
    ])
  })

  it('come as tables, too', async () => {
    const parquet = readFileSync(path.join(import.meta.dirname, 'golden/rows.parquet'))
    const questions = await readSquad(parquet, 'rows.parquet')
    expect(questions.map(({ answers }) => answers)).toEqual([
      [{ text: 'London', start: 16 }],
      [{ text: 'Ada', start: 0 }],
      [
        { text: 'lived', start: 7 },
        { text: 'lived in', start: 7 },
      ],
      [],
    ])
    const line = JSON.stringify({ id: 'a', question: 'b', context: 'c d', answers: { text: ['d'], answer_start: [2] } })
    expect(await readSquad(line, 'a.jsonl')).toMatchObject([{ id: 'a', answers: [{ text: 'd', start: 2 }] }])
  })

  it.each([
    [
      'a span beside its answer',
      file([qa('cc', 5)]),
      /a\.json, question "q", answer 0: answer_start: expected where "cc" stands in the context, in code points, got 5, where it says "c ". It stands at 4/,
    ],
    ['UTF-16 units', file([qa('d', 5)], '😀 b d'), /got 5, where it says ""\. It stands at 4/],
    ['an answer that is not there', file([qa('zz', 4)]), /answer_start: expected where "zz".*The context does not have this answer/],
    ['no number', file([qa('cc', '4')]), /answer_start: expected where "cc".*got "4"/],
    ['no question', file([qa('cc', 4, { question: '' })]), /a\.json, question "q": question: expected a text that is not empty, got ""/],
    ['an id twice', file([qa('cc', 4), qa('a', 0)]), /question "q": expected an id of its own/],
    [
      'another layout',
      JSON.stringify({ data: [{ context: 'a' }] }),
      /a\.json, article 0: paragraphs: expected an array of objects.*SQuAD has data/,
    ],
    ['no JSON', 'text', /a\.json: expected JSON/],
    ['nothing', JSON.stringify({ data: [] }), /a\.json: expected questions, got none/],
  ])('with %s are refused', async (_, text, message) => {
    await expect(readSquad(text, 'a.json')).rejects.toThrow(message)
  })
})

const question = (context: string, answer: string | undefined, at = 0): SquadQuestion => {
  const start = answer === undefined ? -1 : context.indexOf(answer, at)
  return { id: 'q', place: 'here', question: 'e f', context, answers: answer === undefined ? [] : [{ text: answer, start }] }
}
/** What a window says between two tokens. */
const text = ({ questions, windows }: SquadFeatures, row: number, first: number, last: number): string => {
  const { offsets, question: of } = windows[row]!
  return questions[of]!.context.slice(offsets[2 * first], offsets[2 * last + 1])
}

describe('windows', () => {
  // 20 words of one piece each; a window of 11 has 3 special tokens, 2 of the question and 6 of the context.
  const context = WORDS.slice(0, 20).join(' ')

  it('share doc_stride tokens, and label the whole answer or [CLS]', () => {
    const features = new SquadFeatures([question(context, 'e f g')], tokenizer, { max_length: 11, doc_stride: 2 })
    expect(features.windows.map((_, i) => text(features, i, 4, features.windows[i]!.input_ids.length - 2))).toEqual([
      'a b c d e f',
      'e f g h i j',
      'i j k l m n',
      'm n o p q r',
      'q r s t',
    ])
    expect(features.windows.map(({ start, end }) => [start, end])).toEqual([
      [0, 0],
      [4, 6],
      [0, 0],
      [0, 0],
      [0, 0],
    ])
    expect(text(features, 1, 4, 6)).toBe('e f g')
    expect(features.get(1)).toMatchObject({ start_positions: 4, end_positions: 6 })
    expect(features.size(4)).toEqual({ tokens: 9 })
  })

  it('know for each token the one with the most around it, the first of equals', () => {
    const { windows } = new SquadFeatures([question(context, 'a')], tokenizer, { max_length: 11, doc_stride: 2 })
    // e and f end the first window and begin the second: e has 1 and 0 words around it at the least, f 0 and 1.
    expect(windows.map(({ best }) => [...best].slice(4, -1).join(''))).toEqual(['111110', '011110', '011110', '011110', '0111'])
    for (const { best } of windows) expect([best[0], best[1], best[2], best[3], best.at(-1)]).toEqual([0, 0, 0, 0, 0])
  })

  it('find answers amid a word, and the place that is meant', () => {
    // axx is three pieces, of which the answer has two.
    const features = new SquadFeatures([question('b axx c axx', 'ax', 8)], tokenizer, {})
    const { start, end } = features.windows[0]!
    expect(text(features, 0, start, end)).toBe('ax')
    expect(features.windows[0]!.offsets[2 * start]).toBe(8)
  })

  it('cut long questions, and refuse what leaves no room', () => {
    const long = { ...question('a b', 'a'), question: Array.from({ length: 70 }, () => 'axx').join(' ') }
    const [window] = new SquadFeatures([long], tokenizer, {}).windows
    expect(window!.token_type_ids.filter((type) => type === 0).length).toBeLessThanOrEqual(2 + 64)
    expect(window!.token_type_ids.filter((type) => type === 0).length).toBeGreaterThan(2 + 60)
    expect(() => new SquadFeatures([question('a', 'a')], tokenizer, { max_length: 9, doc_stride: 4 })).toThrow(
      /doc_stride: expected less than 4, what max_length, 9, leaves beside the 2 tokens of here, got 4/,
    )
    expect(() => new SquadFeatures([], tokenizer, { max_len: 9 } as object)).toThrow(/Did you mean "max_length"\?/)
  })
})

describe('answers', () => {
  const context = 'a b c d e f g h'
  const at = (features: SquadFeatures, scores: Record<number, [start: number, end: number]>[], fill = -5) => {
    const width = Math.max(...features.windows.map(({ input_ids }) => input_ids.length))
    const [start, end] = [0, 1].map((part) => {
      const data = new Float32Array(features.length * width).fill(-100)
      features.windows.forEach(({ input_ids }, row) => {
        for (let t = 0; t < input_ids.length; t++) data[row * width + t] = scores[row]![t]?.[part] ?? fill
      })
      return new Tensor(data, [features.length, width])
    })
    return { start_logits: start!, end_logits: end! }
  }

  it('are the likeliest spans that may be, with probabilities of those that are kept', () => {
    const features = new SquadFeatures([question(context, 'a')], tokenizer, {})
    // Tokens: [CLS] e f [SEP] a b c ...: the question, [CLS] and an end before its start do not count.
    const logits = at(features, [{ 0: [9, 9], 1: [8, 8], 5: [3, -2], 6: [1, 2], 4: [-5, 6] }])
    const [said] = squadAnswers(features, logits, { n_best_size: 4 })
    // Of four starts and four ends: b c (3 + 2), c (1 + 2), b (3 - 2).
    expect(said).toMatchObject({ id: 'q', text: 'b c', start: 2, null_odds: undefined })
    expect(said!.n_best.map((each) => [each.text, each.start_logit, each.end_logit])).toEqual([
      ['b c', 3, 2],
      ['c', 1, 2],
    ])
    const [a, b] = said!.n_best.map(({ probability }) => probability)
    expect(a! / b!).toBeCloseTo(Math.exp(2), 6)
    expect(a! + b!).toBeCloseTo(1, 12)
    expect(squadAnswers(features, logits, { max_answer_length: 1 })[0]!.text).toBe('c')
  })

  it('start where their token has the most context, and count once', () => {
    const features = new SquadFeatures([question('a b c d e f g h i j', 'a')], tokenizer, { max_length: 11, doc_stride: 2 })
    // f is the last of the first window, the second of the next: there it may start.
    const logits = at(features, [{ 9: [9, -5] }, { 5: [1, 1] }])
    expect(squadAnswers(features, logits)[0]).toMatchObject({
      text: 'f',
      start: 10,
      n_best: expect.arrayContaining([expect.objectContaining({ text: 'f', start_logit: 1 })]) as unknown,
    })
  })

  it('may be none in v2.0: the least score of [CLS] over the windows, less the best span', () => {
    const features = new SquadFeatures([question('a b c d e f g h i j', undefined)], tokenizer, { max_length: 11, doc_stride: 2 })
    const logits = at(features, [{ 0: [4, 3], 5: [2, 2] }, { 0: [3, 2.5] }])
    const v2 = { version_2_with_negative: true } as const
    expect(squadAnswers(features, logits, v2)[0]).toMatchObject({ text: '', start: undefined, null_odds: 1.5 })
    expect(squadAnswers(features, logits, { ...v2, null_score_diff_threshold: 1.5 })[0]).toMatchObject({ text: 'b', null_odds: 1.5 })
    expect(
      squadAnswers(features, logits, v2)[0]!
        .n_best.map((each) => each.text)
        .slice(0, 2),
    ).toEqual(['', 'b'])
    expect(squadComputeMetrics(features, v2)({ predictions: logits, label_ids: {} })).toMatchObject({
      exact: 100,
      NoAns_f1: 100,
      best_exact: 100,
    })
  })

  it('are what exact match and F1 are of, in a Trainer', async () => {
    const questions = [question(context, 'b c'), { ...question(context, 'd e'), id: 'r' }]
    const features = new SquadFeatures(questions, tokenizer, {})
    const logits = at(features, [{ 5: [3, 0], 6: [0, 3] }, { 8: [3, 3] }])
    expect(await squadComputeMetrics(features)({ predictions: logits, label_ids: {} })).toEqual({
      exact_match: 50,
      f1: expect.closeTo((100 * (1 + 2 / 3)) / 2, 10) as number,
    })
    expect(() =>
      squadAnswers(features, {
        start_logits: new Tensor(new Float32Array(4), [1, 4]),
        end_logits: new Tensor(new Float32Array(4), [1, 4]),
      }),
    ).toThrow('logits: expected rows for 2 windows, got 1')
  })
})
