// Pre-training data: what must hold of every instance, what must hold on average (a fixed seed: these cannot fail by chance), and what is refused.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Tokenizer } from '../src/models/tokenizer.ts'
import { documents, splitSentences } from '../src/training/documents.ts'
import { predictions } from '../src/training/masking.ts'
import { RandomStream } from '../src/training/random.ts'
import { sentencePairs, type PairOptions, type SentencePair } from '../src/training/sentence-pairs.ts'
import { MemoryStorage, Spool } from '../src/training/spool.ts'
import {
  createPretrainingData,
  trainWordPiece,
  type PretrainingData,
  type PretrainingDataOptions,
  type PretrainingInstance,
} from '../src/training.ts'

const LINES = readFileSync(path.join(import.meta.dirname, 'golden/corpus/pride-and-prejudice.txt'), 'utf8').split('\n')
const CHAPTERS = { sentences: 'split', document_break: /^Chapter \d+/ } as const

let tokenizer: Tokenizer
beforeAll(async () => {
  tokenizer = await trainWordPiece(LINES, { vocab_size: 600 })
})

const make = (options: PretrainingDataOptions = {}, lines: readonly string[] = LINES): Promise<PretrainingData> =>
  createPretrainingData(lines, tokenizer, { ...CHAPTERS, ...options })

async function all(data: PretrainingData, epoch = 0): Promise<PretrainingInstance[]> {
  const found: PretrainingInstance[] = []
  for await (const instance of data.instances({ epoch })) found.push(instance)
  return found
}

const original = ({ input_ids, labels }: PretrainingInstance): number[] => input_ids.map((id, i) => (labels[i] === -100 ? id : labels[i]!))

/** Half the width of the interval that holds a share of `count` independent draws but for one time in a million: 5 standard errors. */
const within = (p: number, count: number): number => 5 * Math.sqrt((p * (1 - p)) / count)

describe('every instance', () => {
  it.each<PretrainingDataOptions>([
    { dupe_factor: 2 },
    { dupe_factor: 1, max_seq_length: 16, max_predictions_per_seq: 2 },
    { dupe_factor: 2, do_whole_word_mask: true, next_sentence: 'google' },
    { dupe_factor: 1, max_seq_length: 300, max_predictions_per_seq: 100, masked_lm_prob: 0.3, masking: 'dynamic' },
  ])('is a row as google-research/bert makes it: %j', async (options) => {
    const { max_seq_length = 128, max_predictions_per_seq = 20, masked_lm_prob = 0.15 } = options
    const instances = await all(await make(options))
    expect(instances.length).toBeGreaterThan(50)
    const { cls_token_id: cls, sep_token_id: sep } = tokenizer
    for (const instance of instances) {
      const { input_ids, token_type_ids, masked_lm_positions: positions, labels, next_sentence_label } = instance
      expect(input_ids.length).toBeLessThanOrEqual(max_seq_length)
      const seps = input_ids.flatMap((id, i) => (id === sep && labels[i] === -100 ? [i] : []))
      expect([input_ids[0], seps.at(-1)]).toEqual([cls, input_ids.length - 1])
      const second = token_type_ids.indexOf(1)
      // A and B have tokens, and stand between the special ones.
      expect(second).toBeGreaterThan(2)
      expect(second).toBeLessThan(input_ids.length - 1)
      expect(seps).toContain(second - 1)
      expect(token_type_ids).toEqual(input_ids.map((_, i) => (i < second ? 0 : 1)))
      const special = [0, second - 1, input_ids.length - 1]
      expect(positions.filter((i) => special.includes(i))).toEqual([])
      expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b))
      expect(labels.flatMap((label, i) => (label === -100 ? [] : [i]))).toEqual(positions)
      const most = Math.min(max_predictions_per_seq, Math.max(1, Math.round(input_ids.length * masked_lm_prob)))
      // Half a token either way is settled below.
      if ((input_ids.length * masked_lm_prob) % 1 !== 0.5) expect(positions.length).toBeLessThanOrEqual(most)
      if (!options.do_whole_word_mask)
        expect(positions.length).toBe(predictions(input_ids.length, { max_predictions_per_seq, masked_lm_prob, do_whole_word_mask: false }))
      expect([0, 1]).toContain(next_sentence_label)
    }
  })

  it.each([
    [3, 1],
    [10, 2], // 1.5
    [30, 4], // 4.5, to even
    [23, 3],
    [128, 19],
    [140, 20],
    [512, 20],
  ])('of %i tokens has %i to find, as Python rounds', (length, wanted) => {
    expect(predictions(length, { masked_lm_prob: 0.15, max_predictions_per_seq: 20, do_whole_word_mask: false })).toBe(wanted)
  })

  it('has whole words to find, when asked', async () => {
    const whole = async (do_whole_word_mask: boolean): Promise<number> => {
      let cut = 0
      for (const instance of await all(await make({ do_whole_word_mask, dupe_factor: 1 }))) {
        const tokens = tokenizer.convert_ids_to_tokens(original(instance))
        const chosen = new Set(instance.masked_lm_positions)
        tokens.forEach((token, i) => {
          if (token.startsWith('##') && tokens[i - 1] !== '[CLS]' && tokens[i - 1] !== '[SEP]' && chosen.has(i) !== chosen.has(i - 1)) cut++
        })
      }
      return cut
    }
    expect(await whole(true)).toBe(0)
    expect(await whole(false)).toBeGreaterThan(100)
  })

  it('is text of the corpus, in which B follows A exactly where its label says so', async () => {
    const joinedDocuments: string[] = []
    for await (const document of documents(LINES, CHAPTERS))
      joinedDocuments.push(` ${tokenizer(document, { add_special_tokens: false }).input_ids.flat().join(' ')} `)
    expect(joinedDocuments).toHaveLength(23)
    const places = (ids: readonly number[]): number[] =>
      joinedDocuments.flatMap((text, i) => (text.includes(` ${ids.join(' ')} `) ? [i] : []))
    let sure = 0
    for (const instance of await all(await make({ dupe_factor: 1, short_seq_prob: 0.5 }))) {
      const second = instance.token_type_ids.indexOf(1)
      const ids = original(instance)
      const [a, b] = [ids.slice(1, second - 1), ids.slice(second, -1)]
      // No piece of text crosses a document's end.
      expect(places(a).length).toBeGreaterThan(0)
      expect(places(b).length).toBeGreaterThan(0)
      if (a.length < 8 || b.length < 8) continue
      sure++
      const together = places(a).filter((i) => places(b).includes(i))
      expect(together.length > 0).toBe(instance.next_sentence_label === 0)
    }
    expect(sure).toBeGreaterThan(100)
  })
})

describe('on average', () => {
  it('15 % are chosen, of which 80 % are [MASK], 10 % random and 10 % kept', async () => {
    const instances = await all(await make({ dupe_factor: 10 }))
    let [tokens, chosen, masked, kept] = [0, 0, 0, 0]
    const drawn: number[] = []
    for (const { input_ids, labels, masked_lm_positions: positions } of instances) {
      tokens += input_ids.length
      chosen += positions.length
      for (const i of positions) {
        if (input_ids[i] === tokenizer.mask_token_id) masked++
        else if (input_ids[i] === labels[i]) kept++
        else drawn.push(input_ids[i]!)
      }
    }
    // Rounding moves a row by half a token at most, and 20 are the most.
    expect(Math.abs(chosen / tokens - 0.15)).toBeLessThan(0.5 / (tokens / instances.length))
    const n = tokenizer.total_size
    const [p, q] = [0.8 + 0.1 / n, 0.1 + 0.1 / n]
    expect(Math.abs(masked / chosen - p)).toBeLessThan(within(p, chosen))
    expect(Math.abs(kept / chosen - q)).toBeLessThan(within(q, chosen))
    // Random ones come from the whole vocabulary, evenly: its quarters.
    for (let quarter = 0; quarter < 4; quarter++) {
      const share = drawn.filter((id) => Math.floor((4 * id) / n) === quarter).length / drawn.length
      expect(Math.abs(share - 0.25)).toBeLessThan(within(0.25, drawn.length))
    }
    expect(drawn.length).toBeGreaterThan(1000)
  })

  it("half of the pairs are random by default, and more by google's procedure", async () => {
    const share = async (next_sentence: 'paper' | 'google'): Promise<{ random: number; count: number }> => {
      const instances = await all(await make({ next_sentence, dupe_factor: 20 }))
      return {
        random: instances.filter((instance) => instance.next_sentence_label === 1).length / instances.length,
        count: instances.length,
      }
    }
    const paper = await share('paper')
    expect(paper.count).toBeGreaterThan(5000)
    expect(Math.abs(paper.random - 0.5)).toBeLessThan(within(0.5, paper.count))
    const google = await share('google')
    expect(google.random).toBeGreaterThan(0.5 + within(0.5, google.count))
  })

  it('a tenth of the documents aims at a shorter length, evenly from 2 on', async () => {
    // Sentences of one token: the first pair, if B is the actual next text, has the target's length.
    const document = Array.from({ length: 200 }, () => [1])
    const options: PairOptions = { longest: 101, short_seq_prob: 0.1, next_sentence: 'paper' }
    const lengths: number[] = []
    for (let i = 0; i < 5000; i++) {
      const pairs = sentencePairs(document, () => Promise.resolve(document), options, new RandomStream(1, [i, 0, 1]))
      const { value: pair } = (await pairs.next()) as { value: SentencePair }
      if (!pair.is_random_next) lengths.push(pair.a.length + pair.b.length)
    }
    const short = lengths.filter((length) => length < 101)
    const p = 0.1 * (99 / 100)
    expect(Math.abs(short.length / lengths.length - p)).toBeLessThan(within(p, lengths.length))
    expect(Math.min(...short)).toBe(2)
    const lower = short.filter((length) => length <= 51).length / short.length
    expect(Math.abs(lower - 50 / 99)).toBeLessThan(within(0.5, short.length))
  })
})

/** Pairs of a document whose sentences are numbered, with B's of another whose are numbered from 1000 on. */
async function pairsOf(lengths: readonly number[], options: Partial<PairOptions>, seed: number): Promise<SentencePair[]> {
  const number = (from: number) => (length: number, i: number) => new Array<number>(length).fill(from + i)
  const [document, other] = [lengths.map(number(0)), [3, 3, 3].map(number(1000))]
  const found: SentencePair[] = []
  const all_: PairOptions = { longest: 1000, short_seq_prob: 0, next_sentence: 'paper', ...options }
  for await (const pair of sentencePairs(document, () => Promise.resolve(other), all_, new RandomStream(seed, [0, 0, 1]))) found.push(pair)
  return found
}
const sentencesOf = (ids: readonly number[]): number[] => [...new Set(ids)]

describe('pairs', () => {
  it.each(['paper', 'google'] as const)(
    '%s: what a random B leaves unused begins the next pair, and nothing is left out',
    async (next_sentence) => {
      let [random, actual] = [0, 0]
      for (let seed = 0; seed < 200; seed++) {
        // Chunks of four sentences: 4 x 10 tokens reach the 40 of the target.
        const pairs = await pairsOf(new Array<number>(9).fill(10), { longest: 40, next_sentence }, seed)
        let next = 0
        pairs.forEach(({ a, b, is_random_next }, i) => {
          const [first, second] = [sentencesOf(a), sentencesOf(b)]
          const last = i === pairs.length - 1
          // A last sentence left over takes the one before it along, if B is to follow it.
          if (next_sentence === 'paper' && last && next === 8 && !is_random_next) next = 7
          expect(first).toEqual(first.map((_, k) => next + k))
          next += first.length
          if (is_random_next) {
            random++
            expect(second.every((sentence) => sentence >= 1000)).toBe(true)
          } else {
            actual++
            expect(second).toEqual(second.map((_, k) => next + k))
            next += second.length
          }
        })
        expect(next).toBe(9)
      }
      expect(Math.min(random, actual)).toBeGreaterThan(200)
    },
  )

  it('of one sentence: google takes a random B, the paper has no pair', async () => {
    for (let seed = 0; seed < 20; seed++) {
      expect(await pairsOf([5], {}, seed)).toEqual([])
      expect(await pairsOf([5], { next_sentence: 'google' }, seed)).toMatchObject([{ is_random_next: true }])
      // A sentence as long as the target is a chunk of its own.
      for (const { is_random_next } of await pairsOf([50, 50, 50], { longest: 40, next_sentence: 'google' }, seed))
        expect(is_random_next).toBe(true)
    }
  })

  it('lose the first or last token of the longer text until they fit', async () => {
    const ends = new Set<string>()
    for (let seed = 0; seed < 50; seed++) {
      const document = [Array.from({ length: 30 }, (_, i) => i), Array.from({ length: 60 }, (_, i) => 100 + i)]
      const options: PairOptions = { longest: 41, short_seq_prob: 0, next_sentence: 'paper' }
      for await (const { a, b, is_random_next } of sentencePairs(
        document,
        () => Promise.resolve([[7]]),
        options,
        new RandomStream(seed, [0, 0, 1]),
      )) {
        expect(a.length + b.length).toBeLessThanOrEqual(41)
        for (const text of [a, b]) expect(text).toEqual(text.map((_, i) => text[0]! + i))
        if (is_random_next) continue
        expect([a.length, b.length]).toEqual([21, 20])
        ends.add(b[0]! > 100 ? 'first' : '').add(b.at(-1)! < 159 ? 'last' : '')
      }
    }
    expect([...ends].sort()).toEqual(['first', 'last'])
  })
})

describe('seeds and epochs', () => {
  it('the same seed gives the same instances, another does not', async () => {
    const [one, two, three] = [
      await make({ seed: 7, dupe_factor: 1 }),
      await make({ seed: 7, dupe_factor: 1 }),
      await make({ seed: 8, dupe_factor: 1 }),
    ]
    expect(await all(two)).toEqual(await all(one))
    expect(await all(three)).not.toEqual(await all(one))
  })

  it('an epoch has its own order, goes on where it was left, and masks anew only when masking is dynamic', async () => {
    for (const masking of ['static', 'dynamic'] as const) {
      const data = await make({ masking, dupe_factor: 1 })
      expect([...data.order(1)]).not.toEqual([...data.order(0)])
      expect([...data.order(1)].sort((a, b) => a - b)).toEqual([...data.order(0).keys()])
      const rest: PretrainingInstance[] = []
      for await (const instance of data.instances({ epoch: 1, from: 10 })) rest.push(instance)
      expect(rest).toEqual((await all(data, 1)).slice(10))
      const [before, after] = [await data.get(3, 0), await data.get(3, 1)]
      expect(original(after)).toEqual(original(before))
      if (masking === 'static') expect(after).toEqual(before)
      else expect(after.masked_lm_positions).not.toEqual(before.masked_lm_positions)
    }
  })

  it('passes differ in pairs and masks', async () => {
    const [once, twice] = [await make({ dupe_factor: 1 }), await make({ dupe_factor: 2 })]
    expect(await twice.get(0)).toEqual(await once.get(0))
    expect(await twice.get(once.length)).not.toEqual(await once.get(0))
    expect((await make({ masking: 'dynamic' })).length).toBe(once.length)
  })

  it('any storage gives the same instances', async () => {
    const bytes: number[][] = []
    const storage = () => {
      const own: number[] = []
      bytes.push(own)
      return {
        append: async (more: Uint8Array) => void (await Promise.resolve(), own.push(...more)),
        // At an odd place of a larger buffer.
        read: (start: number, end: number) => Promise.resolve(Uint8Array.from([0, ...own.slice(start, end)]).subarray(1)),
      }
    }
    const lines = LINES.slice(0, 600)
    expect(await all(await make({ storage, dupe_factor: 2 }, lines))).toEqual(await all(await make({ dupe_factor: 2 }, lines)))
    expect(bytes).toHaveLength(2)
  })

  it('a spool keeps lists of any length, across blocks of memory, in both widths', async () => {
    const random = new RandomStream(3, [0, 0, 1])
    for (const [width, most] of [
      [Uint16Array, 0x10000],
      [Int32Array, 0x7fffffff],
    ] as const) {
      const spool = new Spool(new MemoryStorage(), width)
      const records = Array.from({ length: 400 }, () =>
        Array.from({ length: random.below(5) }, () => Array.from({ length: random.below(3000) }, () => random.below(most))),
      )
      for (const record of records) await spool.add(record)
      expect(spool.length).toBe(400)
      for (let i = 399; i >= 0; i -= 7) expect((await spool.get(i)).map((list) => [...list])).toEqual(records[i])
    }
  })
})

describe('text', () => {
  const collect = async (lines: readonly string[], options?: Parameters<typeof documents>[1]): Promise<string[][]> => {
    const found: string[][] = []
    for await (const document of documents(lines, options)) found.push(document)
    return found
  }

  it('one sentence a line, a blank line between documents', async () => {
    expect(await collect(['', 'a', ' b ', '', ' \t', '', 'c'])).toEqual([['a', 'b'], ['c']])
    expect(await collect(['a', '', 'b', '', '', 'c'], { document_break: 2 })).toEqual([['a', 'b'], ['c']])
    expect(await collect([' = T = ', 'a', '', 'b', ' = U = ', 'c'], { document_break: /^ = \w+ = $/ })).toEqual([
      ['= T =', 'a', 'b'],
      ['= U =', 'c'],
    ])
  })

  it('running text: lines are joined, sentences split by the stated rule', async () => {
    expect(await collect(['It is. A', 'truth! So', '', 'no end', '', '', 'Next'], { sentences: 'split', document_break: 2 })).toEqual([
      ['It is.', 'A truth!', 'So', 'no end'],
      ['Next'],
    ])
    expect(
      splitSentences('“My dear Mr. Bennet,” said she. “Have you heard?” he cried. J. S. Mill vs. Dr. Hill... Yes. 3.14 is pi! a.b'),
    ).toEqual(['“My dear Mr. Bennet,” said she.', '“Have you heard?” he cried.', 'J. S. Mill vs. Dr. Hill...', 'Yes.', '3.14 is pi! a.b'])
    expect(splitSentences('你好。我们走！')).toEqual(['你好。', '我们走！'])
    // A paragraph without an end is handed on in parts.
    const long = Array.from({ length: 5000 }, (_, i) => `This is sentence ${i}.`)
    expect((await collect(long, { sentences: 'split' }))[0]).toEqual(long)
  })
})

describe('what cannot be', () => {
  it.each<[string, readonly string[], PretrainingDataOptions, RegExp]>([
    ['nothing', [], {}, /corpus: expected documents of sentences, got no line with tokens/],
    ['blank lines', ['', ' '], {}, /got no line with tokens/],
    [
      'no document breaks',
      ['one', 'two', 'three'],
      {},
      /corpus: expected two documents or more.*got one\. Put a blank line between documents.*document_break.*'google'/,
    ],
    [
      'no sentence breaks',
      ['One. Two.', '', 'Three. Four.'],
      {},
      /corpus: expected documents of two sentences or more, got 2 of one\. Write one sentence a line, or pass sentences: 'split'/,
    ],
    ['paragraphs as documents', ['One.', '', 'Two.'], { sentences: 'split' }, /2 of one\. .*document_break/],
    ['short rows', ['a'], { max_seq_length: 4 }, /max_seq_length: expected a whole number from 5/],
    ['a share above 1', ['a'], { masked_lm_prob: 15 }, /masked_lm_prob: expected a number from 0 to 1, got 15/],
    ['no passes', ['a'], { dupe_factor: 0 }, /dupe_factor/],
    ['another kind of pairs', ['a'], { next_sentence: 'half' as 'paper' }, /next_sentence: expected "paper" or "google", got "half"/],
    ['another kind of masks', ['a'], { masking: 'none' as 'static' }, /masking: expected "static" or "dynamic"/],
    ['a break of no lines', ['a'], { document_break: 0 }, /document_break: expected a number of blank lines/],
    ['a typo', ['a'], { dupefactor: 2 } as object, /unknown option "dupefactor"\. Did you mean "dupe_factor"/],
  ])('%s', async (_, lines, options, message) => {
    await expect(createPretrainingData(lines, tokenizer, options)).rejects.toThrow(message)
  })

  it('one document is enough for google, which takes B from itself', async () => {
    const data = await createPretrainingData(['one', 'two', 'three'], tokenizer, { next_sentence: 'google', dupe_factor: 5 })
    expect(data.length).toBeGreaterThanOrEqual(5)
    expect(data.documents).toBe(1)
    await expect(data.get(data.length)).rejects.toThrow(/index: expected a whole number from 0 to/)
  })

  it('stops when it is told to', async () => {
    for (const status of ['tokenize', 'pair']) {
      const stop = new AbortController()
      const lines = Array.from({ length: 400 }, (_, i) => (i % 3 === 2 ? '' : `line ${i}`))
      const options = {
        signal: stop.signal,
        progress_callback: (progress: { status: string }) => (progress.status === status ? stop.abort(new Error('enough')) : undefined),
      }
      await expect(createPretrainingData(lines, tokenizer, options)).rejects.toThrow('enough')
    }
  })
})
