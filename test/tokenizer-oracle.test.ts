// Ours beside the official library. A million texts: npm run prove:tokenizer; every line of a folder of files: npm run measure:tokenizer
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { everyCharacterJson, everyCodePoint } from './conformance/tokenizer.ts'
import { random } from './support/random.ts'
import {
  bertSides,
  differences,
  ensureOracle,
  ourRows,
  sides,
  theirRow,
  tokenizerJson,
  vocabLines,
  type Library,
  type Sides,
} from './support/tokenizer-oracle.ts'
import { texts } from './support/tokenizer-texts.ts'
import { theirWindows } from './support/tokenizer-windows.ts'

const COUNT = 20_000
let library: Library
let bert: Sides[]
beforeAll(async () => {
  library = await ensureOracle()
  bert = bertSides(library)
})

describe(`ids, type ids, offsets, word ids and special tokens of ${COUNT} generated texts`, () => {
  it.each([0, 1, 2])('vocabulary %i', async (i) => {
    expect(await differences(bert[i]!, texts(COUNT, 20261124 + i))).toEqual([])
  })
})

describe('options of the normaliser', () => {
  const FLAGS = [true, false]
  const all = FLAGS.flatMap((lowercase) =>
    [true, false, null].flatMap((strip_accents) =>
      FLAGS.flatMap((clean_text) => FLAGS.map((handle_chinese_chars) => ({ lowercase, strip_accents, clean_text, handle_chinese_chars }))),
    ),
  )
  it.each(all)('%o', async (options) => {
    const json = tokenizerJson(vocabLines('uncased'), options)
    expect(await differences(sides(library, 'uncased', json), texts(500, 7))).toEqual([])
  })

  it.each([FLAGS[0]!, FLAGS[1]!])('every code point, lowercase %s', async (lowercase) => {
    const { ours, theirs } = sides(library, 'every character', everyCharacterJson(lowercase))
    let compared = 0
    for (const text of everyCodePoint()) {
      const encoding = await theirs.encode(text, null, { addSpecialTokens: false })
      const row = theirRow(encoding, text)
      const ours1 = ourRows(ours, [text], { add_special_tokens: false })[0]!
      // Compared as text: expect() is slow on long arrays.
      if (JSON.stringify(ours1) !== JSON.stringify(row)) expect(ours1, text.slice(0, 40)).toEqual(row)
      compared += 256
    }
    expect(compared).toBe(0x110000)
  })
})

describe('added tokens', () => {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false }
  const contents = ['ENT', 'élan', 'a', 'the quick', '[X]', 'Ünder', '中', ' gap ', 'ab', 'abc', '.', '👍', 'E\u0301t']
  const tables = Array.from({ length: 8 }, (_, seed) => {
    const next = random(seed + 1)
    const flag = (): boolean => next() < 0.5
    return contents
      .filter(() => next() < 0.6)
      .map((content, i) => ({
        id: 30522 + i,
        content,
        ...flags,
        single_word: flag(),
        lstrip: flag(),
        rstrip: flag(),
        normalized: flag(),
        special: flag(),
      }))
  })
  const woven = texts(700, 5).map((text, i) => {
    const next = random(i)
    const pick = (): string => [...contents, '[MASK]'][Math.floor(next() * (contents.length + 1))]!
    const words = text.split(' ').flatMap((word) => (next() < 0.4 ? [word, pick()] : [word]))
    return words.reduce((sum, word) => sum + [' ', '', '  ', '\u00a0'][Math.floor(next() * 4)]! + word, '')
  })

  // A token that the vocabulary holds has that id there.
  const lines = vocabLines('uncased')
  const withIds = (table: (typeof tables)[number]) => {
    let next = lines.length
    return table.map((token) => ({ ...token, id: lines.includes(token.content) ? lines.indexOf(token.content) : next++ }))
  }
  it.each(tables.map((_, i) => i))('table %i of flags', async (i) => {
    for (const lowercase of [true, false]) {
      const json = tokenizerJson(lines, { lowercase, added: withIds(tables[i]!) })
      expect(await differences(sides(library, `added ${i}`, json), woven)).toEqual([])
    }
  })
})

describe('pairs, truncation, windows, padding', () => {
  it('pairs, whole and truncated longest first, from either side', async () => {
    const [firsts, seconds] = [texts(400, 31), texts(400, 32)]
    for (const { ours, theirs } of bert) {
      for (let i = 0; i < firsts.length; i++) {
        const [text, text_pair] = [firsts[i]!, seconds[i]!]
        expect(ourRows(ours, [text], { text_pair: [text_pair] })[0]).toEqual(
          theirRow(await theirs.encode(text, text_pair), text, text_pair),
        )
        const [max_length, side] = [3 + (i % 23), (['right', 'left'] as const)[i % 2]!]
        theirs.setTruncation(max_length, { strategy: 'LongestFirst', direction: side })
        const cut = await theirs.encode(text, text_pair)
        theirs.disableTruncation()
        const row = ourRows(ours, [text], { text_pair: [text_pair], truncation: true, max_length, truncation_side: side })[0]!
        // See below for the words of what is cut on the left.
        const words = side === 'left' ? { words: row.words } : {}
        expect(row, JSON.stringify({ text, text_pair, max_length, side })).toEqual({ ...theirRow(cut, text, text_pair), ...words })
      }
    }
  })

  it('only first, only second: rows, and an error where the text is too short', async () => {
    const [firsts, seconds] = [texts(300, 33), texts(300, 34)]
    const { ours, theirs } = bert[0]!
    let errors = 0
    for (let i = 0; i < firsts.length; i++) {
      const [text, text_pair, max_length] = [firsts[i]!, seconds[i]!, 8 + (i % 31)]
      for (const [truncation, strategy] of [
        ['only_first', 'OnlyFirst'],
        ['only_second', 'OnlySecond'],
      ] as const) {
        theirs.setTruncation(max_length, { strategy })
        const cut = await theirs.encode(text, text_pair).catch((error: Error) => error.message)
        theirs.disableTruncation()
        const call = () => ourRows(ours, [text], { text_pair: [text_pair], truncation, max_length })[0]
        if (typeof cut === 'string') {
          errors++
          expect(call).toThrow(/must go/)
        } else expect(call()).toEqual(theirRow(cut, text, text_pair))
      }
    }
    expect(errors).toBeGreaterThan(20)
  })

  it('overflowing windows of a text and of both texts of a pair', async () => {
    const [firsts, seconds] = [texts(200, 35), texts(200, 36)]
    for (const { ours, theirs } of bert) {
      for (let i = 0; i < firsts.length; i++) {
        const [text, text_pair, side] = [firsts[i]!, seconds[i]!, (['right', 'left'] as const)[i % 2]!]
        const keep = 1 + (i % 9)
        const options = { return_overflowing_tokens: true, stride: i % keep, truncation_side: side } as const
        expect(ourRows(ours, [text], { ...options, truncation: true, max_length: keep + 2 })).toEqual(
          await theirWindows(theirs, text, undefined, { keep: [keep, 0], stride: i % keep, side }),
        )
        const lengths = [text, text_pair].map((t) => ours.encode(t, { add_special_tokens: false }).length)
        if (Math.min(...lengths) <= keep) continue
        expect(ourRows(ours, [text], { ...options, text_pair: [text_pair], truncation: true, max_length: 2 * keep + 3 })).toEqual(
          await theirWindows(theirs, text, text_pair, { keep: [keep, keep], stride: i % keep, side }),
        )
      }
    }
  })

  it('the library itself loses windows: it stops tokenizing at max_length', async () => {
    const { ours, theirs } = bert[0]!
    const text = 'one two three four five six seven eight nine ten'
    theirs.setTruncation(4, { stride: 0 })
    const encoding = await theirs.encode(text)
    theirs.disableTruncation()
    // PreTokenizedString::tokenize_with_limit: windows are made of the first max_length tokens only. Ours are of all.
    expect([encoding, ...encoding.getOverflowing()]).toHaveLength(2)
    expect(ourRows(ours, [text], { truncation: true, max_length: 4, return_overflowing_tokens: true })).toHaveLength(5)
  })

  it('the library itself counts words from where it began to tokenize, when it cuts on the left', async () => {
    const { ours, theirs } = bert[0]!
    const text = 'one two three four five six'
    theirs.setTruncation(4, { direction: 'left' })
    const encoding = await theirs.encode(text)
    theirs.disableTruncation()
    // The same function drops the words before: "five" is word 2 of the 4 that are left. Ours are words of the text, as everywhere else.
    expect(encoding.getWordIds()).toEqual([null, 2, 3, null])
    const [row] = ourRows(ours, [text], { truncation: true, max_length: 4, truncation_side: 'left' })
    expect(row).toMatchObject({ ids: encoding.getIds(), words: [null, 4, 5, null] })
  })

  it('padding on either side', async () => {
    const { ours, theirs } = bert[0]!
    for (const side of ['left', 'right'] as const) {
      for (const text of texts(100, 37)) {
        const encoding = await theirs.encode(text)
        encoding.pad(24, { direction: side, padId: 0 })
        const [row] = ourRows(ours, [text], { padding: 'max_length', max_length: 24, padding_side: side })
        expect(row).toEqual(theirRow(encoding, text))
        expect(ours(text, { padding: 'max_length', max_length: 24, padding_side: side }).attention_mask[0]).toEqual(
          encoding.getAttentionMask(),
        )
      }
    }
  })
})

describe('words that come split already', () => {
  // The Node binding takes no words ("Failed to convert JavaScript value"), so each is encoded by itself.
  it('have word ids and offsets of their own', async () => {
    for (const { ours, theirs } of bert) {
      for (const text of texts(300, 38)) {
        const words = text.split(' ')
        const encodings = await theirs.encodeBatch(words, { addSpecialTokens: false })
        const rows = encodings.map((encoding, i) => theirRow(encoding, words[i]!))
        const options = { is_split_into_words: true, return_word_ids: true, return_offsets_mapping: true, add_special_tokens: false }
        const output = ours(words, options)
        expect(output.input_ids).toEqual([rows.flatMap(({ ids }) => ids)])
        expect(output.offset_mapping).toEqual([rows.flatMap(({ offsets }) => offsets)])
        expect(output.word_ids).toEqual([rows.flatMap(({ ids }, word) => ids.map(() => word))])
      }
    }
  })
})

describe('back again', () => {
  it('decode, with special tokens and without', async () => {
    for (const { ours, theirs } of bert) {
      const next = random(39)
      for (const text of texts(500, 39)) {
        const ids = [...ours.encode(text), ...Array.from({ length: 8 }, () => Math.floor(next() * 31_000))]
        expect(ours.decode(ids)).toBe(await theirs.decode(ids, false))
        expect(ours.decode(ids, { skip_special_tokens: true })).toBe(await theirs.decode(ids, true))
      }
    }
  })

  it('tokenizer.json is saved byte by byte as the library saves it', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
    try {
      for (const { name, ours, theirs } of bert) {
        const file = path.join(folder, `${name}.json`)
        theirs.save(file, true)
        expect(ours.files()['tokenizer.json'] === (await readFile(file, 'utf8')), name).toBe(true)
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
