// What pipelines do beside their numbers: streams, progress, aborts, places in the text, and bad input.
import { Tensor, type Source } from '../../src/index.ts'
import { quantize, type Ranges } from '../../src/pipelines/vectors.ts'
import { random } from '../support/random.ts'
import { writeSafetensors } from '../support/safetensors.ts'
import { check, close, rejects, same, type ConformanceCase, type Files } from './case.ts'
import { HERE } from './heads.ts'
import { open, readGolden, tinySource, type AnyPipeline } from './pipelines.ts'

async function tiny(files: Files, head: string, more: Record<string, string | Uint8Array> = {}): Promise<Source> {
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
function texts(count: number, seed: number): string[] {
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
      [['a', { pooling: 'mean', precision: 'int8', ranges: [[1], [2]] }], /ranges: expected \[min, max\] of 32 numbers each/],
    ],
  ],
  [
    'sentence-similarity',
    'ner',
    ['a', ['b']],
    [
      [[3, ['b']], /sentence-similarity: expected a text to compare with, got 3/],
      [['a', 'b'], /sentences: expected an array of texts, got "b"/],
      [['a', ['b', 3]], /expected a text, got 3/],
    ],
  ],
]

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
          const found = (await pipe(list, { aggregation_strategy, ignore_labels: [] })) as Place[][]
          found.forEach((places, i) => {
            for (const [k, place] of places.entries()) {
              check(wellPlaced(list[i]!, place), `${JSON.stringify(list[i])}: ${JSON.stringify(place)} parts a character`)
              check(place.end > place.start, `${JSON.stringify(place)} is empty`)
              check(k === 0 || place.start >= places[k - 1]!.start, 'expected places in order')
            }
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
  {
    name: 'a task without a model, of another head, or unknown says what fits',
    run: async (files) => {
      await rejects(
        () => open('ner', undefined),
        /expected a model for token-classification, got none.*BertForTokenClassification.*Trainer/,
        'no model',
      )
      await rejects(() => open('sentiment-analysis', null), /BertForSequenceClassification.*bertlet finetune/, 'no classifier')
      const ner = await tiny(files, 'ner')
      await rejects(
        () => open('question-answering', ner, HERE),
        /expected a checkpoint of BertForQuestionAnswering, got "BertForTokenClassification"/,
        'a head',
      )
      await rejects(() => open('fill-masks', ner, HERE), /Did you mean fill-mask\?/, 'a task')
      await using(files, 'text-classification', 'sentiment', async () => undefined)
      await rejects(
        async () => using(files, 'text-ranking', 'sentiment', (pipe) => pipe('a', ['b'])),
        /a model of one label, got 3.*text-classification/,
        'a classifier of three',
      )
    },
  },
  {
    name: "sentence-transformers' files: poolings side by side, length, prompts, and length 1",
    run: async (files) => {
      const json = JSON.stringify
      const modules = ['Transformer', 'Pooling', 'Normalize'].map((type, idx) => ({
        idx,
        name: `${idx}`,
        path: idx === 0 ? '' : `${idx}_${type}`,
        type: `sentence_transformers.models.${type}`,
      }))
      const source = await tiny(files, 'ner', {
        'modules.json': json(modules),
        'sentence_bert_config.json': json({ max_seq_length: 12 }),
        'config_sentence_transformers.json': json({ prompts: { query: 'what: ', no: '' }, default_prompt_name: 'query' }),
        '1_Pooling/config.json': json({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: true, pooling_mode_max_tokens: false }),
      })
      const embed = await open('feature-extraction', source, HERE)
      const vector = async (text: string, options: object): Promise<Tensor> => (await embed(text, options)) as Tensor
      const parts: number[] = []
      for (const pooling of ['cls', 'mean']) parts.push(...(await vector('what: Ada lived in london', { pooling, max_length: 12 })).data)
      const norm = Math.sqrt(parts.reduce((sum, x) => sum + x * x, 0))
      const want = parts.map((x) => x / norm)
      const auto = await vector('Ada lived in london', { pooling: 'auto' })
      same(auto.dims, [1, 64], 'dims')
      close(auto.data, want, 1e-6, 'the model as trained')
      close((await vector('Ada lived in london', { pooling: 'auto', prompt_name: 'query' })).data, want, 1e-6, 'the prompt by name')
      check(
        (await vector('Ada lived in london', { pooling: 'auto', prompt: '' })).data.some((x, i) => Math.abs(x - want[i]!) > 1e-3),
        'expected a prompt to count',
      )
      await rejects(() => embed('a', { prompt_name: 'qery' }), /one of query, no, got "qery". Did you mean query/, 'a prompt')
      await embed.dispose()
    },
  },
  {
    name: 'layers behind the pooling are read and applied; a module that is not known is refused by name',
    run: async (files) => {
      const weight = Array.from({ length: 3 * 32 }, (_, i) => ((i * 7) % 11) / 11 - 0.5)
      const modules = (last: string): string => {
        const types = ['models.Transformer', 'models.Pooling', last]
        return JSON.stringify(types.map((type, idx) => ({ idx, name: `${idx}`, path: `${idx}`, type: `sentence_transformers.${type}` })))
      }
      const more = {
        '1/config.json': JSON.stringify({ pooling_mode: 'mean' }),
        '2/config.json': JSON.stringify({ in_features: 32, out_features: 3, activation_function: 'torch.nn.modules.activation.Tanh' }),
        '2/model.safetensors': writeSafetensors([
          ['linear.weight', [3, 32], weight],
          ['linear.bias', [3], [0.5, -0.5, 0]],
        ]),
      }
      const embed = await open('feature-extraction', await tiny(files, 'ner', { ...more, 'modules.json': modules('models.Dense') }), HERE)
      const mean = [...((await embed('Ada', { pooling: 'mean' })) as Tensor).data]
      const want = [0.5, -0.5, 0].map((bias, n) => Math.tanh(mean.reduce((sum, x, k) => sum + x * weight[n * 32 + k]!, bias)))
      const { data, dims } = (await embed('Ada', { pooling: 'auto' })) as Tensor
      same(dims, [1, 3], 'dims')
      close(data, want, 1e-5, 'tanh of the layer')
      await embed.dispose()
      const other = await tiny(files, 'ner', { ...more, 'modules.json': modules('models.LSTM') })
      await rejects(() => open('feature-extraction', other, HERE), /a module of type LSTM/, 'a module')
    },
  },
  {
    name: 'vectors of a stream are those of the texts alone, in whole numbers too, by ranges of other vectors',
    run: (files) =>
      using(files, 'feature-extraction', 'ner', async (pipe) => {
        const list = texts(12, 5)
        const source = async function* (): AsyncGenerator<string> {
          yield* list
        }
        const sample = (await pipe(list, { pooling: 'max' })) as Tensor
        for (const options of [
          {},
          { pooling: 'mean', normalize: true },
          { pooling: 'max', precision: 'int8', calibration_embeddings: sample },
        ]) {
          let i = 0
          for await (const { dims, data } of pipe(source(), options) as unknown as AsyncIterable<Tensor>) {
            const alone = (await pipe(list[i++]!, options)) as Tensor
            same([dims, [...data]], [alone.dims, [...alone.data]], `text ${i} ${JSON.stringify(Object.keys(options))}`)
          }
          same(i, list.length, 'vectors')
        }
        const whole = (await pipe(list, { pooling: 'max', precision: 'int8', calibration_embeddings: sample })) as Tensor
        same([Math.min(...whole.data), whole.dims], [-128, [12, 32]], 'the least number of each dimension, and dims')
        await rejects(
          async () => {
            for await (const _ of pipe(source(), { pooling: 'mean', precision: 'int8' }) as unknown as AsyncIterable<Tensor>);
          },
          /ranges: expected \[min, max\] for a stream/,
          'a stream without ranges',
        )
      }),
  },
  {
    name: 'vectors in eight bits and in one, by the rules of sentence-transformers',
    run: async () => {
      const vectors = new Tensor(Float32Array.of(-1, 0, 2, 0.5, 1, -0.25, 3, 0, 0.1, -2, 0, 1, 5, -5, 0.5, 1, 2, 2), [2, 9])
      const ranges: Ranges = [new Float32Array(9).fill(-1), new Float32Array(9).fill(1.55)]
      // numpy: step 0.01; below and above the range ends.
      same([...quantize(vectors, 'uint8', ranges).data].slice(0, 4), [0, 100, 255, 150], 'uint8')
      same([...quantize(vectors, 'int8', ranges).data].slice(0, 4), [-128, -28, 127, 22], 'int8')
      // numpy.packbits([[0,0,1,1,1,0,1,0,1],[0,0,1,1,0,1,1,1,1]], axis=1)
      same([...quantize(vectors, 'ubinary', ranges).data], [58, 128, 55, 128], 'ubinary')
      same([...quantize(vectors, 'binary', ranges).data], [-70, 0, -73, 0], 'binary')
      same(quantize(vectors, 'binary', ranges).type, 'int8', 'type')
    },
  },
]
