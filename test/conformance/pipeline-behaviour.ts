// What pipelines do beside their numbers: streams, progress, aborts, places in the text, and bad input.
import type { Source } from '../../src/index.ts'
import { random } from '../support/random.ts'
import { check, rejects, same, type ConformanceCase, type Files } from './case.ts'
import { HERE } from './heads.ts'
import { open, readGolden, tinySource, type AnyPipeline } from './pipelines.ts'

export async function tiny(files: Files, head: string, more: Record<string, string | Uint8Array> = {}): Promise<Source> {
  const { heads } = await readGolden(files)
  return tinySource(files, head, heads[head]!, more)
}

/** Runs with a pipeline that is disposed afterwards. */
export async function using<T>(files: Files, task: string, head: string, run: (pipe: AnyPipeline) => Promise<T>): Promise<T> {
  const pipe = await open(task, await tiny(files, head), HERE)
  try {
    return await run(pipe)
  } finally {
    await pipe.dispose()
  }
}

const PARTS = [
  'Ada ',
  '🙂',
  '👩‍👩‍👧',
  'e\u0301',
  'Zoe\u0308',
  '東京',
  'שלום ',
  'عربي',
  ' ',
  '\u0000',
  '\ud800',
  '\udc00',
  'ﬁlm',
  'İ',
  ', ',
  'london',
  '\n',
  '𝐀b',
  '[MASK]',
  '\u200b',
]

/** Seeded texts of everything that makes places go wrong. */
export function texts(count: number, seed: number): string[] {
  const next = random(seed)
  const pick = (): string => PARTS[Math.floor(next() * PARTS.length)]!
  return Array.from({ length: count }, () => Array.from({ length: 1 + Math.floor(next() * 60) }, pick).join(''))
}

export interface Place {
  readonly start: number
  readonly end: number
  readonly answer?: string
}

/** Ends of a place do not part a character of two units. */
export function wellPlaced(text: string, { start, end }: Place): boolean {
  const parts = (at: number): boolean => /[\ud800-\udbff]/.test(text[at - 1] ?? '') && /[\udc00-\udfff]/.test(text[at] ?? '')
  return start >= 0 && start <= end && end <= text.length && !parts(start) && !parts(end)
}

/** What the tokenizer keeps of a text or of pieces: without accents, control characters, white space and case. */
const squeezed = (text: string): string =>
  text
    .replaceAll('##', '')
    // First, as an engine may make U+FFFD of a lone surrogate.
    .replace(/[\p{C}\s]/gu, '')
    .normalize('NFD')
    .replace(/\p{Mn}/gu, '')
    .toLowerCase()

export const LONG = 'Ada Lovelace lived in London, and wrote. '

/** Calls that must be refused, and how; the good call after each works. */
const BAD: readonly [
  task: string,
  head: string,
  good: readonly unknown[],
  bad: readonly (readonly [args: readonly unknown[], message: RegExp])[],
][] = [
  [
    'text-classification',
    'sentiment',
    ['good'],
    [
      [[3], /text-classification: expected a text, or \{ text, text_pair \}, got 3/],
      [[['a', null]], /text-classification\[1\]: expected a text/],
      [[['a', ['b']]], /text-classification\[1\]: expected a text/],
      [['a', { top_k: 0 }], /top_k: expected a whole number of 1 or more, or null for all, got 0/],
      [['a', { topk: 2 }], /unknown option "topk". Did you mean "top_k"/],
      [['a', { function_to_apply: 'relu' }], /one of softmax, sigmoid, none, got "relu"/],
      [['a', { max_length: 99 }], /max_length: expected a whole number from 2 to 64/],
      [['a', { signal: 1 }], /signal: expected an AbortSignal/],
      [['a', { progress_callback: 'x' }], /progress_callback: expected a function/],
    ],
  ],
  [
    'token-classification',
    'ner',
    ['Ada'],
    [
      [[undefined], /token-classification: expected a text, got undefined/],
      [['a', { aggregation_strategy: 'mean' }], /one of none, simple, first, average, max, got "mean"/],
      [['a', { ignore_labels: 'O' }], /ignore_labels: expected an array of labels/],
      [
        ['a', { ignore_labels: ['O', 'B-PERS'] }],
        /ignore_labels: expected labels of the model, O, B-PER, .*got "B-PERS". Did you mean B-PER\?/,
      ],
      [['a', { stride: '2' }], /stride: expected a whole number from 0 to 61, got "2"/],
      [['a', { max_length: 2 }], /max_length: expected a whole number from 3 to 64, the model's limit, got 2/],
      [['a', { stride: 62 }], /stride: expected a whole number from 0 to 61, got 62/],
    ],
  ],
  [
    'fill-mask',
    'mlm',
    ['the [MASK]'],
    [
      [['no mask'], /fill-mask: expected a text with \[MASK\], got "no mask"/],
      [[''], /expected a text with \[MASK\], got ""/],
      [['[MASK]', { max_length: 2 }], /max_length: expected a whole number from 3 to 64/],
      [['[MASK]', { targets: [] }], /targets: expected at least one word/],
      [['[MASK]', { targets: [''] }], /targets\[0\]: expected a word/],
      [['[MASK]', { targets: ['cat', '🦖'] }], /targets\[1\]: expected a word that the vocabulary has pieces for, got "🦖"/],
      [['[MASK]', { targets: [7] }], /targets\[0\]: expected a text, got 7/],
      [['[MASK]', { top_k: '3' }], /top_k: expected a whole number of 1 or more, or null for all, got "3"/],
      [[{ text: '[MASK]' }], /fill-mask: expected a text, got an object with text/],
    ],
  ],
  [
    'question-answering',
    'qa',
    ['who?', 'Ada'],
    [
      [['', 'a'], /question-answering: question: expected a text that is not empty/],
      [['a', ''], /context: expected a text that is not empty/],
      [['a', ' \n '], /question-answering: context: expected a text with words, got " \\n "/],
      [['a', '\u0000'], /context: expected a text with words/],
      [
        [
          ['a', 'b'],
          ['c', '\u00a0'],
        ],
        /question-answering\[1\]: context: expected a text with words/,
      ],
      [[LONG.repeat(9), 'Ada'], /question: expected less than \d+ tokens, got \d+ tokens, which leave 0 of max_seq_len, 64/],
      [['a', LONG.repeat(9), { doc_stride: 60 }], /Shorten it, or pass a smaller doc_stride/],
      [[['a', 'b'], ['c']], /2 contexts, as many as questions/],
      [['a', 'b', { align_to_words: 1 }], /align_to_words: expected true or false/],
      [['a', 'b', { handle_impossible_answer: 'no' }], /handle_impossible_answer: expected true or false, got "no"/],
      [['a', 'b', { max_answer_len: 0 }], /max_answer_len: expected a whole number of 1 or more/],
      [['a', 'b', { max_seq_len: '64' }], /max_seq_len: expected a whole number from 2 to 64/],
      [[3, 'b'], /question: expected a text that is not empty, got 3/],
      [[LONG.repeat(2), 'Ada', { max_seq_len: 16 }], /question: expected less than \d+ tokens/],
    ],
  ],
  [
    'zero-shot-classification',
    'nli',
    ['Ada', ['cat']],
    [
      [['a', []], /labels: expected at least one label/],
      [['a', ' , '], /labels: expected at least one label/],
      [['a', [1]], /labels\[0\]: expected a text, got 1/],
      [['a', ['b'], { hypothesis_template: 'none' }], /hypothesis_template: expected a text with \{\}/],
      [['a', ['b '.repeat(80)]], /labels\[0\]: expected a label that leaves room/],
      [['a', ['b'], { hypothesis_template: 3 }], /hypothesis_template: expected a text with \{\}/],
      [['a', ['b'], { multi_label: 1 }], /multi_label: expected true or false, got 1/],
      [['a', ['b'], { multilabel: true }], /Did you mean "multi_label"/],
      [[7, ['b']], /zero-shot-classification: expected a text, got 7/],
    ],
  ],
  [
    'text-ranking',
    'single',
    ['a', ['b']],
    [
      [['a', 'b'], /documents: expected an array of texts, got "b"/],
      [['a', [1]], /documents\[0\]: expected a text/],
      [['a', ['b'], { return_documents: 'yes' }], /return_documents: expected true or false, got "yes"/],
      [['a', ['b'], { function_to_apply: 'softmax' }], /one of sigmoid, none, got "softmax"/],
      [['a', ['b'], { topk: 1 }], /Did you mean "top_k"/],
    ],
  ],
  [
    'next-sentence-prediction',
    'nsp',
    [{ text: 'a', text_pair: 'b' }],
    [
      [['a'], /expected \{ text, text_pair \}, got "a"/],
      [[{ text: 'a', text_pair: 3 }], /expected \{ text, text_pair \}/],
    ],
  ],
  [
    'multiple-choice',
    'choice',
    [{ text: 'a', choices: ['b'] }],
    [
      [[{ text: 'a', choices: [] }], /choices: expected a non-empty array/],
      [[{ text: 1, choices: ['b'] }], /text: expected a text, got 1/],
      [[null], /choices: expected a non-empty array/],
    ],
  ],
  [
    'feature-extraction',
    'ner',
    ['a', { pooling: 'mean' }],
    [
      [[[]], /a text or a non-empty array of texts/],
      [['a', { pooling: 'sum' }], /pooling: expected one of none, auto, mean/],
      [['a', { precision: 'int8' }], /pooling: expected mean or another/],
      [['a', { truncate_dim: 0 }], /truncate_dim/],
      [['a', { pooling: 'mean', normalize: 'yes' }], /normalize: expected true or false, got "yes"/],
      [['a', { pooling: 'mean', quantize: 1 }], /quantize: expected true or false, got 1/],
      [['a', { prompt: 3 }], /prompt: expected a text, got 3/],
      [[['a', 3]], /feature-extraction\[1\]: expected a text, got 3/],
      [['a', { prompt_name: 'query' }], /prompt_name: expected one of none: the model names no prompts/],
      [
        ['a', { pooling: 'mean', precision: 'int8', calibration_embeddings: 'x' }],
        /calibration_embeddings: expected a Tensor of 32 columns, got "x"/,
      ],
      [['a', { pooling: 'mean', precision: 'int8', calibration_embeddings: [[1, 2]] }], /calibration_embeddings: expected a Tensor of 32/],
      [['a', { pooling: 'mean', precision: 'int8', ranges: [[1], [2]] }], /ranges: expected \[min, max\] of 32 numbers each/],
    ],
  ],
  [
    'sentence-similarity',
    'ner',
    ['a', ['b']],
    [
      [[3, ['b']], /sentence-similarity\[0\]: expected a text, got 3/],
      [['a', 'b'], /sentences: expected an array of texts, got "b"/],
      [['a', ['b', 3]], /expected a text, got 3/],
      [['a', ['b'], { precision: 'int8' }], /sentence-similarity: unknown option "precision"/],
      [['a', ['b'], { pooling: 'none' }], /pooling: expected one that gives a vector a text, got "none"/],
    ],
  ],
]

const isOptions = (part: unknown): boolean => JSON.stringify(part) === JSON.stringify({ pooling: 'mean' })
const REFUSED = /expected an object of options, got (null|3)/

/** Tasks that have no model of their own: what to name, and what trains it. */
const NO_DEFAULT: Readonly<Record<string, RegExp>> = {
  'text-classification': /a checkpoint of BertForSequenceClassification, got none.*npx bertlet finetune text-classification trains one/,
  'token-classification': /BertForTokenClassification.*npx bertlet finetune token-classification trains/,
  'fill-mask': /BertForMaskedLM or BertForPreTraining.*npx bertlet pretrain trains/,
  'question-answering': /BertForQuestionAnswering.*npx bertlet finetune question-answering trains/,
  'zero-shot-classification': /BertForSequenceClassification trained on NLI, such as MNLI, got none.*npx bertlet finetune mnli trains/,
  'text-ranking': /BertForSequenceClassification with one label, a cross-encoder, got none.*npx bertlet finetune trains/,
  'next-sentence-prediction': /BertForNextSentencePrediction.*npx bertlet pretrain trains/,
  'multiple-choice': /BertForMultipleChoice.*npx bertlet finetune multiple-choice trains/,
}

export const PIPELINE_BEHAVIOUR: readonly ConformanceCase[] = [
  ...BAD.map(([task, head, good, bad]): ConformanceCase => ({
    name: `${task} says what is wrong with a call, and the next one works`,
    run: (files) =>
      using(files, task, head, async (pipe) => {
        const want = JSON.stringify(await pipe(...good))
        for (const [args, message] of bad) {
          await rejects(() => pipe(...args), message, JSON.stringify(args).slice(0, 80))
          same(JSON.stringify(await pipe(...good)), want, 'the next call')
        }
        const inputs = good.filter((part, i) => i === 0 || !isOptions(part))
        for (const options of [null, 3]) await rejects(() => pipe(...inputs, options), REFUSED, `options ${options}`)
      }),
  })),
  {
    name: 'a stream gives its results in order, each as soon as nothing more is at hand, and the same as an array',
    run: (files) =>
      using(files, 'text-classification', 'sentiment', async (pipe) => {
        const list = texts(40, 3)
        const want = (await pipe(list, { top_k: null })) as unknown[]
        // Sends the next text only after the answer to the one before.
        let answered = 0
        const asking = async function* (): AsyncGenerator<string> {
          for (const [i, text] of list.entries()) {
            while (answered < i) await new Promise((resolve) => setTimeout(resolve, 0))
            yield text
          }
        }
        const stream = pipe as unknown as (texts: AsyncIterable<string>, options: object) => AsyncIterable<unknown>
        for await (const result of stream(asking(), { top_k: null })) same(result, want[answered++], 'result')
        same(answered, list.length, 'results')
        for (const [i, text] of list.slice(0, 5).entries()) same(await pipe(text, { top_k: null }), want[i], 'alone')
      }),
  },
  {
    name: 'a stream that fails has given the results before, and one that is left ends its source',
    run: (files) =>
      using(files, 'text-classification', 'sentiment', async (pipe) => {
        const stream = pipe as unknown as (texts: AsyncIterable<unknown>) => AsyncIterable<unknown>
        let ended = false
        const source = async function* (items: readonly unknown[]): AsyncGenerator<unknown> {
          try {
            yield* items
          } finally {
            ended = true
          }
        }
        let count = 0
        await rejects(
          async () => {
            for await (const _ of stream(source(['a', 'b', 7, 'c']))) count++
          },
          /text-classification\[2\]: expected a text/,
          'the third',
        )
        same([count, ended], [2, true], 'results before it, and the source ended')
        ended = false
        for await (const _ of stream(source(['a', 'b', 'c']))) break
        await new Promise((resolve) => setTimeout(resolve, 0))
        check(ended, 'expected the source to be ended by a break')
      }),
  },
  {
    name: 'progress is told and a signal stops',
    run: (files) =>
      using(files, 'token-classification', 'ner', async (pipe) => {
        const events: { loaded: number; total?: number; progress?: number }[] = []
        const list = Array.from({ length: 1500 }, (_, i) => `${LONG}${i}`)
        await pipe(list, { progress_callback: (event: (typeof events)[number]) => events.push(event) })
        check(events.length > 1, 'expected more than one event')
        same(events.at(-1), { status: 'progress', task: 'token-classification', loaded: 1500, total: 1500, progress: 100 }, 'the last')
        const controller = new AbortController()
        const progress_callback = (): void => controller.abort()
        await rejects(() => pipe(list, { signal: controller.signal, progress_callback }), /abort/i, 'an abort between batches')
        same(((await pipe(list.slice(0, 2))) as unknown[]).length, 2, 'results of the next call')
      }),
  },
  {
    name: 'places of tokens, entities and answers are of the text, whatever it is made of',
    run: async (files) => {
      const list = texts(120, 11)
      await using(files, 'token-classification', 'ner', async (pipe) => {
        for (const aggregation_strategy of ['none', 'simple', 'first', 'average', 'max']) {
          const found = (await pipe(list, { aggregation_strategy, ignore_labels: [] })) as (Place & { readonly word: string })[][]
          found.forEach((places, i) => {
            for (const [k, place] of places.entries()) {
              check(wellPlaced(list[i]!, place), `${JSON.stringify(list[i])}: ${JSON.stringify(place)} parts a character`)
              check(place.end > place.start, `${JSON.stringify(place)} is empty`)
              const before = list[i]!.slice(places[k - 1]?.end ?? 0, place.start)
              check(place.start >= (places[k - 1]?.end ?? 0), 'expected places in order, apart')
              same(squeezed(before), '', `${JSON.stringify(list[i])}: what no place has`)
              same(
                squeezed(place.word),
                squeezed(list[i]!.slice(place.start, place.end)),
                `${JSON.stringify(list[i])}: the word at ${place.start}`,
              )
            }
            same(squeezed(list[i]!.slice(places.at(-1)?.end ?? 0)), '', `${JSON.stringify(list[i])}: the rest`)
          })
        }
      })
      await using(files, 'question-answering', 'qa', async (pipe) => {
        for (const context of list.filter((text) => /[a-z]/i.test(text))) {
          const answers = [await pipe('who?', context, { top_k: 4 })].flat() as Place[]
          check(answers.length > 0, 'expected an answer')
          for (const answer of answers) {
            check(wellPlaced(context, answer), `${JSON.stringify(context)}: ${JSON.stringify(answer)} parts a character`)
            same(answer.answer, context.slice(answer.start, answer.end), 'the answer')
          }
        }
      })
    },
  },
  ...Object.entries(NO_DEFAULT).map(([task, message]): ConformanceCase => ({
    name: `${task} without a model says which one to name, and what trains it`,
    run: async () => {
      for (const model of [undefined, null]) await rejects(() => open(task, model), message, String(model))
    },
  })),
  {
    name: 'a task of another head, or unknown, says what fits',
    run: async (files) => {
      const ner = await tiny(files, 'ner')
      await rejects(
        () => open('question-answering', ner, HERE),
        /expected a checkpoint of BertForQuestionAnswering, got "BertForTokenClassification".*finetune question-answering/,
        'a head',
      )
      await rejects(() => open('ner', ner, null as never), /pipeline: expected an object of options, got null/, 'options')
      await rejects(() => open('fill-masks', ner, HERE), /Did you mean fill-mask\?/, 'a task')
      await using(files, 'text-classification', 'sentiment', async () => undefined)
      await rejects(
        async () => using(files, 'text-ranking', 'sentiment', (pipe) => pipe('a', ['b'])),
        /a model of one label, got 3.*text-classification/,
        'a classifier of three',
      )
      await rejects(
        async () => using(files, 'zero-shot-classification', 'sentiment', (pipe) => pipe('a', ['b'])),
        /a model trained on NLI, with a label entailment, got negative, neutral, positive.*id2label/,
        'a classifier of sentiment',
      )
      await using(files, 'text-ranking', 'single', async (pipe) => {
        same(await pipe('a', []), [], 'no documents')
        same(await pipe(['a', 'b'], []), [[], []], 'no documents for each of two')
      })
    },
  },
]
