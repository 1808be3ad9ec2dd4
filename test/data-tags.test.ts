// Tagged words: files, rows of pieces with labels, tags from logits.
import { describe, expect, it } from 'vitest'
import { readTagged, tagComputeMetrics, TagFeatures, tagNames, type TaggedWords } from '../src/data.ts'
import { Tensor, Tokenizer } from '../src/index.node.ts'

const WORDS = 'abcdefghijklmnopqrst'.split('')
const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...WORDS, '##x'].join('\n') })

describe('tagged words', () => {
  it('of CoNLL are the first and the last column, a sentence up to an empty line', async () => {
    const text = '-DOCSTART- -X- -X- O\n\nU.N. NNP I-NP B-ORG\nofficial NN I-NP O\r\n\r\n\nDr. NNP I-NP O\n'
    expect(await readTagged(text, 'train.txt')).toEqual([
      { place: 'train.txt, line 3', words: ['U.N.', 'official'], tags: ['B-ORG', 'O'] },
      { place: 'train.txt, line 7', words: ['Dr.'], tags: ['O'] },
    ])
    const [tabs] = await readTagged('1\tNew York\tB-LOC\tx\n', 'a.conll', { words: '1', tags: '2' })
    expect(tabs).toMatchObject({ words: ['New York'], tags: ['B-LOC'] })
    expect(await readTagged('a\nb\n', 'a.conll', { labelled: false })).toMatchObject([{ words: ['a', 'b'], tags: undefined }])
  })

  it('may have a header', async () => {
    const text = 'word\ttag\nAda\tB-PER\n\ntag\tO\n'
    const sentences = await readTagged(text, 'a.tsv')
    expect(sentences.map(({ words }) => words)).toEqual([['Ada'], ['tag']])
    expect(tagNames(sentences)).toEqual(['O', 'B-PER'])
  })

  it('of JSONL are lists; tags may be numbers of names', async () => {
    const line = '{"tokens":["a","b"],"ner_tags":[0,1]}'
    expect(await readTagged(line, 'a.jsonl', { names: ['O', 'B-X'] })).toMatchObject([{ tags: ['O', 'B-X'] }])
    expect(tagNames(await readTagged('b B-X\na A\nc O\n', 'a'))).toEqual(['O', 'A', 'B-X'])
  })

  it.each([
    ['a.conll', 'a O\nb\n', /a\.conll, line 2: expected 2 columns, as lines before, got 1: "b"\. Columns are apart by spaces/],
    ['b.conll', 'a\nb\n', /b\.conll, line 1: expected a word and its tag, got one column: "a"/],
    ['c.conll', 'a,O\n', /c\.conll, line 1: expected a word and its tag, got one column: "a,O"/],
    ['d.jsonl', '{"tokens":["a","b"],"tags":["O"]}', /d\.jsonl, line 1: expected 2 tags, one a word, got 1/],
    [
      'e.jsonl',
      '{"tokens":["a"],"labls":["O"]}',
      /e\.jsonl, line 1: fields: expected a list of tags, in one of tags.*got the fields tokens, labls/,
    ],
    ['f.jsonl', '{"tokens":"a","tags":["O"]}', /f\.jsonl, line 1: tokens: expected a list of words.*got "a"/],
    ['g.conll', '\n\n', /g\.conll: expected tagged words, got none/],
  ])('%s %j is refused', async (name, text, message) => {
    await expect(readTagged(text, name)).rejects.toThrow(message)
  })
})

const sentence = (words: string[], tags: string[]): TaggedWords => ({ place: 'here', words, tags })
const NAMES = ['O', 'B-X', 'I-X']
const plain = (values: unknown): number[] => Array.from(values as Int32Array)

describe('rows of pieces', () => {
  it('label first pieces, or all: B- is I- in what follows', () => {
    const sentences = [sentence(['axx', 'bx', 'c'], ['B-X', 'I-X', 'O'])]
    // [CLS] a ##x ##x b ##x c [SEP]
    expect(plain(new TagFeatures(sentences, tokenizer, { names: NAMES, max_length: 20 }).get(0).labels)).toEqual([
      -100, 1, -100, -100, 2, -100, 0, -100,
    ])
    const all = new TagFeatures(sentences, tokenizer, { names: NAMES, max_length: 20, label_all_tokens: true })
    expect(plain(all.get(0).labels)).toEqual([-100, 1, 2, 2, 2, 2, 0, -100])
  })

  it('of a sentence longer than a row count every word once, where it has the most around it', () => {
    const words = [...WORDS]
    const tags = words.map((_, i) => NAMES[i % 3]!)
    const features = new TagFeatures([sentence(['a'], ['O']), sentence(words, tags)], tokenizer, {
      names: NAMES,
      max_length: 10,
      stride: 4,
    })
    // Rows of 8 words, 4 of them shared: 0-7, 4-11, 8-15, 12-19.
    expect(features.length).toBe(5)
    const counted = Array.from({ length: 4 }, (_, row) =>
      plain(features.get(row + 1).labels)
        .map((label, t) => (label === -100 ? -1 : plain(features.get(row + 1).input_ids)[t]! - 5))
        .filter((word) => word >= 0),
    )
    expect(counted).toEqual([
      [0, 1, 2, 3, 4, 5],
      [6, 7, 8, 9],
      [10, 11, 12, 13],
      [14, 15, 16, 17, 18, 19],
    ])
    // Logits that say each word's own tag at the tokens that count, and nonsense elsewhere.
    const width = 10
    const data = new Float32Array(features.length * width * 3)
    for (let row = 0; row < features.length; row++)
      plain(features.get(row).labels).forEach((label, t) => (data[(row * width + t) * 3 + (label === -100 ? 2 : label)] = 1))
    const logits = new Tensor(data, [features.length, width, 3])
    expect(features.tags(logits)).toEqual([['O'], tags])
    expect(tagComputeMetrics(features)({ predictions: logits, label_ids: {} })).toEqual({ precision: 1, recall: 1, f1: 1, accuracy: 1 })
    expect(() => features.tags(new Tensor(data, [features.length * width, 3]))).toThrow(/logits: expected \[5, tokens, 3\]/)
  })

  it('amid a long word keep its first piece', () => {
    const long = `a${'x'.repeat(12)}`
    const features = new TagFeatures([sentence(['b', long, 'c'], ['O', 'B-X', 'I-X'])], tokenizer, {
      names: NAMES,
      max_length: 8,
      stride: 2,
    })
    const labels = Array.from({ length: features.length }, (_, row) =>
      plain(features.get(row).labels).filter((label) => label !== -100),
    ).flat()
    expect(labels.sort()).toEqual([0, 1, 2])
  })

  it('without a tag for each word, or with one that is none, are refused', () => {
    expect(() => new TagFeatures([sentence(['a', 'b'], ['O'])], tokenizer, { names: NAMES, max_length: 8 })).toThrow(
      'here: expected 2 tags, one a word, got 1',
    )
    expect(() => new TagFeatures([sentence(['a'], ['B-XX'])], tokenizer, { names: NAMES, max_length: 8 })).toThrow(
      /here: tag: expected one of O, B-X, I-X, got "B-XX"\. Did you mean B-X\?/,
    )
  })
})
