// What the official library says (test/golden/tokenizer.json), and the ids of every code point there is.
import { Tokenizer } from '../../src/index.ts'
import { check, rejects, same, type ConformanceCase, type Files } from './case.ts'

interface GoldenRow {
  text: string
  pair?: string
  options: object
  rows: { ids: number[]; types: number[]; offsets: [number, number][]; words: (number | null)[]; special: number[] }[]
}
interface Golden {
  vocabularies: Record<string, { cases: GoldenRow[]; decoded: { ids: number[]; text: string; plain: string }[] }>
  /** FNV-1a over the ids of all code points, see codePointIds(). */
  hashes: { uncased: string; cased: string }
}

const text = async (files: Files, path: string): Promise<string> => new TextDecoder().decode(await files.read(path))
const golden = async (files: Files): Promise<Golden> => JSON.parse(await text(files, 'tokenizer.json')) as Golden

/** The three vocabularies, as ordinary checkpoint folders hold them. */
export async function goldenTokenizer(files: Files, name: string): Promise<Tokenizer> {
  if (name === 'chinese') return Tokenizer.fromFiles({ 'tokenizer.json': await text(files, 'vocab/chinese.json') }, name)
  const config = JSON.stringify({ do_lower_case: name === 'uncased' })
  return Tokenizer.fromFiles({ 'vocab.txt': await text(files, `vocab/${name}.txt`), 'tokenizer_config.json': config }, name)
}

/** A vocabulary in which almost every character is a token, by itself and inside a word: ids then tell what became of it. */
export function everyCharacter(): string[] {
  const characters = Array.from({ length: 0x30000 }, (_, code) => code)
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code))
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
  return [...special, ...characters, ...characters.map((c) => `##${c}`)]
}

/** Texts with each code point, in order, between an `a` and a `b`, 256 to a text. */
export function* everyCodePoint(): Generator<string> {
  for (let first = 0; first < 0x110000; first += 256) {
    const words = Array.from({ length: 256 }, (_, i) => {
      const code = first + i
      return `a${code >= 0xd800 && code <= 0xdfff ? String.fromCharCode(code) : String.fromCodePoint(code)}b`
    })
    yield words.join(' ')
  }
}

/** FNV-1a over ids as 32-bit numbers. */
export class IdHash {
  private state = 0x811c9dc5

  add(ids: Iterable<number>): void {
    for (const id of ids) {
      for (let shift = 0; shift < 32; shift += 8) this.state = Math.imul(this.state ^ ((id >>> shift) & 255), 0x01000193) >>> 0
    }
  }

  get text(): string {
    return this.state.toString(16).padStart(8, '0')
  }
}

/** As in tokenizer.json: vocab.txt cannot hold line ends. */
export function everyCharacterJson(lowercase: boolean): string {
  const vocab = everyCharacter()
    .map((token, id) => `${JSON.stringify(token)}:${id}`)
    .join(',')
  const normalizer = `{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":${lowercase}}`
  const model = `{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{${vocab}}}`
  return `{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":${normalizer},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"decoder":null,"model":${model}}`
}

const all = { return_offsets_mapping: true, return_word_ids: true, return_special_tokens_mask: true } as const

export const TOKENIZER_CASES: readonly ConformanceCase[] = [
  ...['uncased', 'cased', 'chinese'].map((name) => ({
    name: `rows as the official library makes them: ${name}`,
    run: async (files: Files) => {
      const tokenizer = await goldenTokenizer(files, name)
      const { cases } = (await golden(files)).vocabularies[name]!
      check(cases.length > 100, `${cases.length} cases`)
      for (const { text, pair, options, rows } of cases) {
        const output = tokenizer(text, { ...options, ...all, text_pair: pair })
        const got = output.input_ids.map((ids, i) => ({
          ids,
          types: output.token_type_ids[i],
          offsets: output.offset_mapping![i],
          words: output.word_ids![i],
          special: output.special_tokens_mask![i],
        }))
        same(got, rows, `${JSON.stringify(text)} ${JSON.stringify(options)}`)
      }
    },
  })),
  ...['uncased', 'cased', 'chinese'].map((name) => ({
    name: `decoded as the official library does: ${name}`,
    run: async (files: Files) => {
      const tokenizer = await goldenTokenizer(files, name)
      for (const { ids, text, plain } of (await golden(files)).vocabularies[name]!.decoded) {
        same(tokenizer.decode(ids), text, JSON.stringify(ids))
        same(tokenizer.decode(ids, { skip_special_tokens: true }), plain, JSON.stringify(ids))
      }
    },
  })),
  ...(['uncased', 'cased'] as const).map((name) => ({
    name: `ids of all 1,114,112 code points, ${name}`,
    run: async (files: Files) => {
      const tokenizer = Tokenizer.fromFiles({ 'tokenizer.json': everyCharacterJson(name === 'uncased') }, 'every character')
      const hash = new IdHash()
      for (const text of everyCodePoint()) hash.add(tokenizer.encode(text, { add_special_tokens: false }))
      same(hash.text, (await golden(files)).hashes[name], 'hash of the ids')
    },
  })),
  {
    name: 'files of a tokenizer load again, to the same rows',
    run: async (files) => {
      for (const name of ['uncased', 'cased', 'chinese']) {
        const tokenizer = await goldenTokenizer(files, name)
        const saved = tokenizer.files()
        const { 'tokenizer.json': json, 'vocab.txt': vocab, 'tokenizer_config.json': config } = saved
        for (const again of [{ 'tokenizer.json': json }, { 'vocab.txt': vocab, 'tokenizer_config.json': config }]) {
          const second = Tokenizer.fromFiles(again, 'again')
          for (const { text } of (await golden(files)).vocabularies[name]!.cases)
            same(second(text, all), tokenizer(text, all), `${name}: ${JSON.stringify(text)}`)
        }
      }
    },
  },
  {
    name: 'a tokenizer.json of another model is refused by name',
    run: async () =>
      rejects(
        () => Tokenizer.fromFiles({ 'tokenizer.json': '{"model":{"type":"Unigram","vocab":[]}}' }, 'folder'),
        /folder\/tokenizer\.json: the model is "Unigram", and BERT's is "WordPiece"/,
        'a Unigram model',
      ),
  },
]
