// Texts that no one meant to write, through every task: an answer of finite numbers and true places, and the next call gives what it always gave.
import { Tensor } from '../../src/index.ts'
import { check, same, type ConformanceCase } from './case.ts'
import { using, wellPlaced, type Place } from './pipeline-behaviour.ts'

const MEGABYTE = 1 << 20
/** With room behind it: the time goes with the words. */
const SENTENCE = 'Ada Lovelace lived in London, and wrote. '.padEnd(256)

const TEXTS: Readonly<Record<string, string>> = {
  nothing: '',
  'white space': ' \n\t\u00a0 ',
  'NUL bytes': '\u0000Ada\u0000 lived\u0000',
  'NUL bytes alone': '\u0000\u0000\u0000',
  'lone surrogates': '\ud83d Ada \ude00',
  'an enormous word': 'a'.repeat(MEGABYTE),
  'a megabyte of text': SENTENCE.repeat(Math.ceil(MEGABYTE / SENTENCE.length)),
}

type Call = readonly [task: string, head: string, args: (text: string) => readonly unknown[]]

/** How each task is asked about a text, with it in every place that takes one. */
const TASKS: readonly Call[] = [
  ['feature-extraction', 'ner', (text) => [['cat', text], { pooling: 'mean' }]],
  ['feature-extraction', 'ner', (text) => [text, { prompt: text, pooling: 'max', truncate_dim: 8 }]],
  ['fill-mask', 'mlm', (text) => [`[MASK] ${text}`, { top_k: 2 }]],
  ['text-classification', 'sentiment', (text) => [[text, { text: 'cat', text_pair: text }], { top_k: null }]],
  ['zero-shot-classification', 'nli', (text) => [text, ['cat', 'dog']]],
  ['token-classification', 'ner', (text) => [text, { aggregation_strategy: 'first', ignore_labels: [] }]],
  // What is empty is refused here, by a message of its own; the question may be longer than the context.
  ['question-answering', 'qa', (text) => ['who was it that lived in london and wrote?', `Ada ${text}`, { top_k: 3 }]],
  ['text-ranking', 'single', (text) => [text, ['cat', text]]],
  ['sentence-similarity', 'ner', (text) => [text, ['cat', text]]],
  ['next-sentence-prediction', 'nsp', (text) => [{ text, text_pair: text }]],
  ['multiple-choice', 'choice', (text) => [{ text, choices: ['cat', text] }]],
]

/** All numbers and places in a result. */
function* partsOf(value: unknown): Generator<number | Place> {
  if (typeof value === 'number') yield value
  if (value instanceof Tensor) yield* value.data
  else if (typeof value === 'object' && value !== null) {
    if ('start' in value && 'end' in value) yield value as Place
    for (const part of Object.values(value)) yield* partsOf(part)
  }
}

export const ODD_TEXTS: readonly ConformanceCase[] = TASKS.map(([task, head, args], i) => ({
  name: `${task}${TASKS.findIndex((other) => other[0] === task) < i ? ', with a prompt' : ''}`,
  run: (files) =>
    using(files, task, head, async (pipe) => {
      const usual = args('Ada lived in london')
      const want = JSON.stringify(await pipe(...usual))
      for (const [what, text] of Object.entries(TEXTS)) {
        const whole = task === 'question-answering' ? (args(text)[1] as string) : text
        let numbers = 0
        for (const part of partsOf(await pipe(...args(text)))) {
          if (typeof part === 'number') {
            check(Number.isFinite(part), `${what}: expected finite numbers, got ${part}`)
            numbers++
          } else check(wellPlaced(whole, part), `${what}: ${JSON.stringify(part).slice(0, 99)} parts a character`)
        }
        // Of a text without a word there is no token to tag.
        check(numbers > 0 || (task === 'token-classification' && !/\S/.test(text.replaceAll('\u0000', ''))), `${what}: expected numbers`)
        same(JSON.stringify(await pipe(...usual)), want, `the call after ${what}`)
      }
    }),
}))
