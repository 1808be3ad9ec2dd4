// The official tokenizers library beside ours, on the same vocabularies and texts.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { Tokenizer } from '../../src/models/tokenizer.ts'
import { install } from './install.ts'

const FOLDER = path.join(import.meta.dirname, '../oracle')
const VOCAB = path.join(import.meta.dirname, '../golden/vocab')

export interface OracleEncoding {
  getIds(): number[]
  getTypeIds(): number[]
  getAttentionMask(): number[]
  getOffsets(): [number, number][]
  getWordIds(): (number | null)[]
  getSpecialTokensMask(): number[]
  getOverflowing(): OracleEncoding[]
  truncate(length: number, stride?: number, direction?: 'left' | 'right'): void
  pad(length: number, options: { direction: 'left' | 'right'; padId: number }): void
}

export interface OracleTokenizer {
  encode(text: string | string[], pair?: string | string[] | null, options?: object): Promise<OracleEncoding>
  encodeBatch(texts: (string | [string, string])[], options?: object): Promise<OracleEncoding[]>
  postProcess(first: OracleEncoding, pair?: OracleEncoding | null, special?: boolean): OracleEncoding
  decode(ids: number[], skip: boolean): Promise<string>
  setTruncation(length: number, options: object): void
  disableTruncation(): void
  save(file: string, pretty?: boolean): void
}

export interface Library {
  Tokenizer: { fromString(json: string): OracleTokenizer }
}

/** The library, installed on first use from test/oracle. */
export async function ensureOracle(): Promise<Library> {
  await install(FOLDER)
  return createRequire(path.join(FOLDER, 'index.js'))('tokenizers') as Library
}

const special = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } })
const sequence = (id: string, type_id: number) => ({ Sequence: { id, type_id } })

/** A tokenizer.json as transformers makes it from a vocab.txt, written down here without our own code. */
export function tokenizerJson(
  lines: readonly string[],
  {
    lowercase = true,
    strip_accents = null as boolean | null,
    clean_text = true,
    handle_chinese_chars = true,
    added = [] as object[],
    max_input_chars_per_word = 100,
  } = {},
): string {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  const single = [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0)]
  const ids = Object.fromEntries(['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [lines.indexOf(id)], tokens: [id] }]))
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      ...['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map((content) => ({ id: lines.indexOf(content), content, ...flags })),
      ...added,
    ],
    normalizer: { type: 'BertNormalizer', clean_text, handle_chinese_chars, strip_accents, lowercase },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'TemplateProcessing', single, pair: [...single, sequence('B', 1), special('[SEP]', 1)], special_tokens: ids },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word,
      vocab: Object.fromEntries(lines.map((token, id) => [token, id])),
    },
  })
}

export const vocabLines = (name: 'uncased' | 'cased'): string[] =>
  readFileSync(path.join(VOCAB, `${name}.txt`), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
export const chineseJson = (): string => readFileSync(path.join(VOCAB, 'chinese.json'), 'utf8')

export interface Sides {
  readonly name: string
  readonly ours: Tokenizer
  readonly theirs: OracleTokenizer
}

/** Both, from one tokenizer.json. */
export const sides = (library: Library, name: string, json: string): Sides => ({
  name,
  ours: Tokenizer.fromFiles({ 'tokenizer.json': json }, name),
  theirs: library.Tokenizer.fromString(json),
})

/** bert-base-uncased and -cased as their vocab.txt says, and -chinese as its tokenizer.json says. */
export const bertSides = (library: Library): Sides[] => [
  sides(library, 'uncased', tokenizerJson(vocabLines('uncased'))),
  sides(library, 'cased', tokenizerJson(vocabLines('cased'), { lowercase: false })),
  sides(library, 'chinese', chineseJson()),
]

export interface Row {
  readonly ids: number[]
  readonly types: number[]
  readonly offsets: [number, number][]
  readonly words: (number | null)[]
  readonly special: number[]
}

export function ourRows(tokenizer: Tokenizer, texts: readonly string[], options: Parameters<Tokenizer>[1] = {}): Row[] {
  const all = { return_offsets_mapping: true, return_word_ids: true, return_special_tokens_mask: true }
  const output = tokenizer(texts, { ...options, ...all })
  return output.input_ids.map((ids, i) => ({
    ids,
    types: output.token_type_ids[i]!,
    offsets: output.offset_mapping![i]!,
    words: output.word_ids![i]!,
    special: output.special_tokens_mask![i]!,
  }))
}

/** Their offsets count code points; of a pair those of the second text are its own. */
export function theirRow(encoding: OracleEncoding, text: string, pair?: string, types = encoding.getTypeIds()): Row {
  const [first, second] = [unitsOf(text), pair === undefined ? undefined : unitsOf(pair)]
  return {
    ids: encoding.getIds(),
    types,
    offsets: encoding.getOffsets().map(([start, end], i) => {
      const units = second && types[i] === 1 ? second : first
      return [units[start]!, units[end]!]
    }),
    words: encoding.getWordIds(),
    special: encoding.getSpecialTokensMask(),
  }
}

function unitsOf(text: string): number[] {
  const units = [0]
  for (const character of text) units.push(units.at(-1)! + character.length)
  return units
}

export interface Difference {
  readonly vocabulary: string
  readonly text: string
  readonly ours: Row
  readonly theirs: Row
}

/** The first texts of which the two say different things. */
export async function differences({ name, ours, theirs }: Sides, texts: readonly string[], most = 3): Promise<Difference[]> {
  const found: Difference[] = []
  for (let i = 0; i < texts.length && found.length < most; i += 1000) {
    const part = texts.slice(i, i + 1000)
    const rows = ourRows(ours, part)
    const encodings = await theirs.encodeBatch(part)
    part.forEach((text, k) => {
      const row = theirRow(encodings[k]!, text)
      if (found.length < most && !isSame(rows[k]!, row)) found.push({ vocabulary: name, text, ours: rows[k]!, theirs: row })
    })
  }
  return found
}

function isSame(a: Row, b: Row): boolean {
  const flat = ({ ids, types, offsets, words, special }: Row): unknown[] => [...ids, ...types, ...offsets.flat(), ...words, ...special]
  const [x, y] = [flat(a), flat(b)]
  return x.length === y.length && x.every((value, i) => value === y[i])
}
