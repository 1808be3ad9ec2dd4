// Passages of texts: a table of cases, and what holds for any text.
import { describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import { Tokenizer } from '../src/models/tokenizer.ts'
import { splitText, type SplitOptions } from '../src/retrieval.ts'
import { vocabulary } from './support/models.ts'
import { random } from './support/random.ts'

const tokenizer = await Tokenizer.fromPretrained({ 'vocab.txt': vocabulary() })
const parts = (text: string, options: SplitOptions): string[] => splitText(text, tokenizer, options).map((passage) => passage.text)

describe('splitText', () => {
  // Each letter is a token here, and each sign.
  it.each<[string, string, SplitOptions, string[]]>([
    ['whole sentences together', 'ab. Cd. Ef. Gh.', { max_tokens: 6 }, ['ab. Cd.', 'Ef. Gh.']],
    ['no sentence twice without overlap', 'ab. Cd. Ef.', { max_tokens: 3 }, ['ab.', 'Cd.', 'Ef.']],
    ['the last sentence again', 'ab. Cd. Ef. Gh.', { max_tokens: 6, overlap: 3 }, ['ab. Cd.', 'Cd. Ef.', 'Ef. Gh.']],
    ['no part of a sentence again', 'ab. Cd. Ef. Gh.', { max_tokens: 6, overlap: 2 }, ['ab. Cd.', 'Ef. Gh.']],
    ['a long sentence between words', 'abcd efgh ijk. Lm.', { max_tokens: 8 }, ['abcd efgh', 'ijk. Lm.']],
    ['a long word anywhere', 'abcdefgh', { max_tokens: 3 }, ['abc', 'def', 'gh']],
    ['titles and initials end none', 'Dr. A. Bc met. De.', { max_tokens: 11 }, ['Dr. A. Bc met.', 'De.']],
    ['blank lines end one', 'ab\n\ncd\n \nef', { max_tokens: 3 }, ['ab', 'cd', 'ef']],
    ['tokens', 'abcdefgh', { by: 'token', max_tokens: 4, overlap: 1 }, ['abcd', 'defg', 'gh']],
    ['tokens to the end', 'abcd', { by: 'token', max_tokens: 4, overlap: 1 }, ['abcd']],
    ['nothing', '', {}, []],
    ['nothing but space', ' \n\n ', {}, []],
  ])('%s', (_, text, options, want) => {
    expect(parts(text, options)).toEqual(want)
  })

  it('loses no token, and keeps places, in any text', () => {
    const next = random(5)
    const signs = ['a', 'B', ' ', '. ', '\n\n', '😀', 'é', '漢', 'العربية', '\ud800', '\0', '!', 'the cat ', 'x'.repeat(30), '̈']
    const offsets = (text: string): [number, number][] =>
      tokenizer(text, { add_special_tokens: false, return_offsets_mapping: true, truncation: false }).offset_mapping![0]!
    for (let round = 0; round < 300; round++) {
      const text = Array.from({ length: Math.floor(next() * 60) }, () => signs[Math.floor(next() * signs.length)]).join('')
      const max_tokens = 1 + Math.floor(next() * 20)
      const options: SplitOptions = { max_tokens, overlap: Math.floor(next() * max_tokens), by: next() < 0.5 ? 'token' : 'sentence' }
      const passages = splitText(text, tokenizer, options)
      const all = offsets(text).filter(([start, end]) => end > start)
      for (const passage of passages) {
        expect(text.slice(passage.start, passage.end)).toBe(passage.text)
        expect(all.filter(([start, end]) => start >= passage.start && end <= passage.end).length).toBeLessThanOrEqual(max_tokens)
      }
      const lost = all.filter(([start, end]) => !passages.some((passage) => passage.start <= start && end <= passage.end))
      expect(lost).toEqual([])
      expect(passages.every(({ start }, i) => i === 0 || start > passages[i - 1]!.start)).toBe(true)
    }
  })

  it('refuses what cannot be', () => {
    expect(() => splitText(3 as never, tokenizer)).toThrow(/expected a text/)
    expect(() => splitText('a', tokenizer, { max_tokens: 0 })).toThrow(/max_tokens/)
    expect(() => splitText('a', tokenizer, { max_tokens: 3, overlap: 3 })).toThrow(/less than max_tokens/)
    expect(() => splitText('a', tokenizer, { overlp: 1 } as never)).toThrow(/Did you mean "overlap"/)
  })
})
