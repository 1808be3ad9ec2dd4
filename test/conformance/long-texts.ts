// Texts beyond the model's limit, which are read by windows.
import { check, same, type ConformanceCase } from './case.ts'
import { alike } from './pipelines.ts'
import { LONG, using, type Place } from './pipeline-behaviour.ts'

interface Filled {
  readonly score: number
  readonly token_str: string
  readonly sequence: string
}

export const LONG_TEXTS: readonly ConformanceCase[] = [
  {
    name: 'a long text is read by windows as a whole: no token is lost, none comes twice',
    run: (files) =>
      using(files, 'token-classification', 'ner', async (pipe) => {
        const text = LONG.repeat(12)
        const found = (await pipe(text, { ignore_labels: [] })) as (Place & { index: number })[]
        same(
          found.map(({ index }) => index),
          found.map((_, i) => i + 1),
          'indices',
        )
        same(found.map(({ start, end }) => text.slice(start, end)).join(''), text.replaceAll(' ', ''), 'the text')
      }),
  },
  {
    name: 'many questions on one context, pairs and streams of questions give what each alone gives',
    run: (files) =>
      using(files, 'question-answering', 'qa', async (pipe) => {
        const questions = ['who?', 'where was the cat', 'what film?']
        const alone = []
        for (const question of questions) alone.push(await pipe(question, LONG.repeat(9)))
        same(await pipe(questions, LONG.repeat(9)), alone, 'one context')
        same(
          await pipe(
            questions,
            questions.map(() => LONG.repeat(9)),
          ),
          alone,
          'a context each',
        )
        const items = async function* (): AsyncGenerator<object> {
          for (const question of questions) yield { question, context: LONG.repeat(9) }
        }
        const streamed: unknown[] = []
        for await (const answer of pipe(items()) as unknown as AsyncIterable<unknown>) streamed.push(answer)
        same(streamed, alone, 'a stream')
      }),
  },
  {
    name: 'each mask of a long text is filled, in order, from the window with most around it',
    run: (files) =>
      using(files, 'fill-mask', 'mlm', async (pipe) => {
        // A token a word; the limit is 64 with the special ones. Masks: at the start, two that share a window, one alone, at the end.
        const words = Array.from({ length: 200 }, (_, i) => ['the', 'cat', 'sat', 'on', 'mat', 'king', 'of', 'london'][(i * i) % 8]!)
        const masks = [0, 90, 110, 150, 199]
        for (const at of masks) words[at] = '[MASK]'
        const found = (await pipe(words.join(' '), { top_k: 3 })) as Filled[][]
        same(found.length, masks.length, 'a list for each mask')
        // First word of the window of each mask, and which of the window's masks it is.
        const windows = [[0, 0], [69, 0], [69, 1], [119, 0], [138, 1]] as const // prettier-ignore
        for (const [i, [start, nth]] of windows.entries()) {
          const alone = (await pipe(words.slice(start, start + 62).join(' '), { top_k: 3 })) as Filled[] | Filled[][]
          const want = (Array.isArray(alone[0]) ? alone[nth] : alone) as Filled[]
          for (const [k, { score, token_str, sequence }] of found[i]!.entries()) {
            same(token_str, want[k]!.token_str, `mask ${i}, word ${k}`)
            alike(score, want[k]!.score, `mask ${i}, score ${k}`)
            const whole = words.map((word, at) => (at === masks[i] ? token_str : word)).join(' ')
            // Decoding joins pieces and punctuation to what is before.
            const [got, wanted] = [sequence, `[CLS] ${whole} [SEP]`].map((each) => each.replaceAll(/ (##)?/g, ''))
            same(got, wanted, 'the whole text')
          }
        }
        const [one] = (await pipe(`${LONG.repeat(9)}[MASK]`, { top_k: 1 })) as Filled[]
        check(one!.sequence.startsWith(LONG.toLowerCase().repeat(9).trim()), 'expected one list, and all of the text')
      }),
  },
]
