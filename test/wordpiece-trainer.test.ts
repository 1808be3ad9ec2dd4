// The WordPiece vocabulary trainer, held to the official library's vocabularies of a committed corpus: test/golden/wordpiece.py.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { Tokenizer } from '../src/models/tokenizer.ts'
import { VocabularyTrainer } from '../src/tokenizer/train.ts'
import { eachWord } from '../src/tokenizer/words.ts'
import { trainWordPiece, type WordPieceProgress, type WordPieceTrainerOptions } from '../src/training.ts'
import { random } from './support/random.ts'
import { texts } from './support/tokenizer-texts.ts'

interface Golden {
  readonly cases: readonly {
    readonly normalizer: { readonly lowercase: boolean }
    readonly options: WordPieceTrainerOptions & { readonly vocab_size: number }
    /** One run's vocabulary, by id. */
    readonly tokens: readonly string[]
    /** What some runs have and some have not. */
    readonly sometimes: readonly string[]
  }[]
}

const GOLDEN = path.join(import.meta.dirname, 'golden')
const { cases } = JSON.parse(readFileSync(path.join(GOLDEN, 'wordpiece.json'), 'utf8')) as Golden
const LINES = readFileSync(path.join(GOLDEN, 'corpus/pride-and-prejudice.txt'), 'utf8').split('\n')
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']

function wordCounts(lines: readonly string[], lowercase: boolean): Map<string, number> {
  const counts = new Map<string, number>()
  const normalizer = { clean_text: true, handle_chinese_chars: true, strip_accents: lowercase, lowercase }
  for (const line of lines) eachWord(line, normalizer, (word) => counts.set(word, (counts.get(word) ?? 0) + 1))
  return counts
}

function grown(counts: ReadonlyMap<string, number>, options: object, special_tokens = SPECIAL): VocabularyTrainer {
  const all = { vocab_size: 30_000, min_frequency: 2, limit_alphabet: 1000, initial_alphabet: [], wordpieces_prefix: '##', ...options }
  const trainer = new VocabularyTrainer(counts, { ...all, special_tokens })
  while (trainer.tokens.length < all.vocab_size && trainer.step());
  return trainer
}

const tokensOf = (tokenizer: Tokenizer): string[] => tokenizer.files()['vocab.txt']!.trimEnd().split('\n')

describe("the official library's vocabulary", () => {
  it('is asked about several kinds of vocabularies', () => {
    expect(cases).toHaveLength(5)
    expect(LINES.length).toBeGreaterThan(4000)
  })

  it.each(cases)(
    'is found again, every token at its id, with that run’s numbers of ## forms: $options',
    ({ normalizer, options, tokens }) => {
      const prefix = options.wordpieces_prefix ?? '##'
      // All that no merge made: one character, with or without the prefix. Given first, it keeps the library's numbers, which decide ties.
      const made = tokens.slice(SPECIAL.length).findIndex((t) => [...(t.startsWith(prefix) ? t.slice(prefix.length) : t)].length > 1)
      const given = tokens.slice(0, SPECIAL.length + made)
      expect(given.length).toBeGreaterThan(45)
      expect(grown(wordCounts(LINES, normalizer.lowercase), options, given).tokens).toEqual(tokens)
    },
  )

  it.each(cases)('is found again as a set, but for ties, with our own: $options', async ({ normalizer, options, tokens, sometimes }) => {
    // 30000 is the library's default, and more than it found.
    const { vocab_size, ...rest } = options
    const asked = vocab_size === 30_000 ? rest : options
    const ours = tokensOf(await trainWordPiece(LINES, { ...normalizer, ...asked }))
    expect(ours).toHaveLength(tokens.length)
    const counts = wordCounts(LINES, normalizer.lowercase)
    // Frequent as the last token: all that are tied at the cut-off, those included that the size has left no room for.
    const last = tokens.length < vocab_size ? Infinity : grown(counts, options).frequencies.at(-1)!
    const all = grown(counts, { ...options, vocab_size: 30_000 })
    const tied = new Set([...sometimes, ...all.tokens.filter((_, id) => all.frequencies[id] === last)])
    const differs = (a: readonly string[], b: readonly string[]): string[] => {
      const known = new Set(b)
      return a.filter((token) => !known.has(token) && !tied.has(token))
    }
    expect({ onlyOurs: differs(ours, tokens), onlyTheirs: differs(tokens, ours) }).toEqual({ onlyOurs: [], onlyTheirs: [] })
    expect(tied.size).toBeLessThan(tokens.length / 5)
  })
})

describe('a vocabulary', () => {
  it('does not depend on the order of lines', async () => {
    const options = { vocab_size: 900 }
    const forwards = await trainWordPiece(LINES, options)
    const backwards = await trainWordPiece([...LINES].reverse(), options)
    expect(tokensOf(backwards)).toEqual(tokensOf(forwards))
  })

  it('decides ties by ids: special tokens, characters by code point, their ## forms, then as made', async () => {
    // "b a" and "a b" are equally frequent, as are all pairs here.
    const tokenizer = await trainWordPiece(['ba ab ca'], { min_frequency: 1 })
    expect(tokensOf(tokenizer)).toEqual([...SPECIAL, 'a', 'b', 'c', '##a', '##b', 'ab', 'ba', 'ca'])
  })

  it('is of the words that the tokenizer finds', async () => {
    const lines = [...texts(300, 5), 'e\u0323\u0301\u0334 \ud800b', 'ΣΊΣΥΦΟΣ naïve 한국어 東京 👍']
    for (const lowercase of [true, false]) {
      const counts = wordCounts(lines, lowercase)
      const tokenizer = await trainWordPiece(lines, { lowercase, limit_alphabet: 100_000 })
      for (const line of lines.filter((text) => !/\[[A-Z]+\]/.test(text))) {
        const words: string[] = []
        eachWord(line, { clean_text: true, handle_chinese_chars: true, strip_accents: lowercase, lowercase }, (word) => words.push(word))
        for (const word of words) expect(counts.has(word)).toBe(true)
        // Every character is in the alphabet: the pieces of a line spell its words.
        const { input_ids, word_ids } = tokenizer(line, { add_special_tokens: false, return_word_ids: true })
        const spelled: string[] = []
        tokenizer.convert_ids_to_tokens(input_ids[0]!).forEach((token, i) => {
          const word = word_ids![0]![i]!
          spelled[word] = (spelled[word] ?? '') + (spelled[word] !== undefined && token.startsWith('##') ? token.slice(2) : token)
        })
        expect(spelled.map((word, i) => (word === '[UNK]' && [...words[i]!].length > 100 ? words[i] : word))).toEqual(words)
      }
    }
  })

  it('lies in files that load as the same tokenizer', async () => {
    for (const options of [{}, { lowercase: false }, { wordpieces_prefix: '_', strip_accents: false }]) {
      const tokenizer = await trainWordPiece(LINES.slice(0, 500), { vocab_size: 400, model_max_length: 256, ...options })
      expect(tokenizer.vocab_size).toBe(400)
      const text = 'It is a truth universally acknowledged, Élisabeth.'
      const again = Tokenizer.fromFiles(tokenizer.files())
      expect(again.model_max_length).toBe(256)
      expect(again(text)).toEqual(tokenizer(text))
      expect(again.tokenize('Élan')[0]).toBe(
        options.lowercase === false || options.strip_accents === false ? '[UNK]' : tokenizer.tokenize('elan')[0],
      )
    }
  })

  it('streams, reports, and stops when it is told to', async () => {
    async function* stream(): AsyncGenerator<string> {
      for (const line of LINES) yield Promise.resolve(line)
    }
    const seen: WordPieceProgress[] = []
    const options = { vocab_size: 2500, progress_callback: (progress: WordPieceProgress) => seen.push(progress) }
    const tokenizer = await trainWordPiece(stream(), options)
    expect(tokensOf(tokenizer)).toEqual(tokensOf(await trainWordPiece(LINES, { vocab_size: 2500 })))
    expect(seen.filter(({ status }) => status === 'count').length).toBe(Math.floor(LINES.length / 1000))
    expect(seen.at(-1)).toEqual({ status: 'train', done: 2500, total: 2500 })
    for (const status of ['count', 'train']) {
      const stop = new AbortController()
      const progress_callback = (progress: WordPieceProgress): void =>
        progress.status === status ? stop.abort(new Error('enough')) : undefined
      await expect(trainWordPiece(LINES, { vocab_size: 2500, signal: stop.signal, progress_callback })).rejects.toThrow('enough')
    }
  })
})

describe('what cannot be', () => {
  it.each<[WordPieceTrainerOptions, RegExp]>([
    [{ vocab_size: 30_000 }, /vocab_size: expected at most \d+, all that this corpus gives with min_frequency 2, got 30000\. .*more text/],
    [{ vocab_size: 20 }, /vocab_size: expected at least \d+: special tokens, the characters.*got 20\. .*limit_alphabet/],
    [{ vocab_size: 0.5 }, /vocab_size: expected a whole number/],
    [{ min_frequency: -1 }, /min_frequency: expected a whole number/],
    [{ special_tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]'] }, /special_tokens: expected .* among them, got none of \[MASK\]/],
    [{ initial_alphabet: ['ab'] }, /initial_alphabet: expected single characters, got "ab"/],
    [{ wordpieces_prefix: '' }, /wordpieces_prefix: expected a text that is not empty/],
    [{ vocabsize: 3 } as object, /unknown option "vocabsize"\. Did you mean "vocab_size"/],
  ])('%j is refused', async (options, message) => {
    await expect(trainWordPiece(LINES.slice(0, 300), options)).rejects.toThrow(message)
  })

  it('a size that cannot be reached names the one that can', async () => {
    const lines = LINES.slice(0, 300)
    const error = await trainWordPiece(lines, { vocab_size: 30_000 }).catch((reason: Error) => reason.message)
    const size = Number(/at most (\d+)/.exec(error as string)![1])
    expect((await trainWordPiece(lines, { vocab_size: size })).vocab_size).toBe(size)
    expect((await trainWordPiece(lines)).vocab_size).toBe(size)
    const low = await trainWordPiece(lines, { vocab_size: 20 }).catch((reason: Error) => reason.message)
    const least = Number(/at least (\d+)/.exec(low as string)![1])
    expect((await trainWordPiece(lines, { vocab_size: least })).vocab_size).toBe(least)
  })

  it.each([[[]], [['', ' \t', '\u0000']]])('a corpus without words, %j', async (lines) => {
    await expect(trainWordPiece(lines)).rejects.toThrow(/corpus: expected lines with words/)
  })
})

describe('the steps', () => {
  it('are those of a plain rescan of all words', () => {
    const next = random(17)
    const counts = new Map<string, number>()
    for (let i = 0; i < 60; i++) {
      const word = Array.from({ length: 1 + Math.floor(next() * 9) }, () => 'abc'[Math.floor(next() * 3)]).join('')
      counts.set(word, 1 + Math.floor(next() * 50))
    }
    // Equal counts would be decided by ids, which the rescan has too.
    expect(grown(counts, { min_frequency: 5 }).tokens).toEqual(rescan(counts, 5))
  })
})

/** Every pair counted anew before each merge; no pair of equal characters is in its words, as those are counted otherwise. */
function rescan(counts: ReadonlyMap<string, number>, least: number): string[] {
  const tokens = [...SPECIAL, 'a', 'b', 'c', '##a', '##b', '##c']
  let words = [...counts].map(([word, count]) => ({ pieces: [...word].map((c, i) => (i === 0 ? c : `##${c}`)), count }))
  for (;;) {
    const pairs = new Map<string, number>()
    for (const { pieces, count } of words)
      for (let i = 1; i < pieces.length; i++) {
        const pair = `${tokens.indexOf(pieces[i - 1]!)} ${tokens.indexOf(pieces[i]!)}`
        pairs.set(pair, (pairs.get(pair) ?? 0) + count)
      }
    const order = [...pairs].map(([pair, count]) => ({ pair: pair.split(' ').map(Number) as [number, number], count }))
    order.sort((a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1])
    if (order.length === 0 || order[0]!.count < least) return tokens
    const [left, right] = order[0]!.pair.map((id) => tokens[id]!) as [string, string]
    const joined = left + right.slice(2)
    if (!tokens.includes(joined)) tokens.push(joined)
    words = words.map(({ pieces, count }) => {
      const merged: string[] = []
      for (let i = 0; i < pieces.length; i++) {
        if (pieces[i] === left && pieces[i + 1] === right) {
          merged.push(joined)
          i++
        } else merged.push(pieces[i]!)
      }
      return { pieces: merged, count }
    })
  }
}
