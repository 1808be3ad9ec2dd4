import { checkOptions, expected } from '../errors.ts'
import type { AddedToken } from './added.ts'
import { cleanUpJoined, joinTokens } from './decode.ts'
import { Encoder } from './encoder.ts'
import type { SpecialTokens, TokenizerParts } from './load.ts'
import { batchOf, oneOf, resolve, type Settings, type TextInput, type TokenizeOptions } from './options.ts'
import { Pieces } from './pieces.ts'
import { tokenizerFiles } from './save.ts'
import { seenLength, windowsOf, type Range, type Window } from './windows.ts'

export interface TokenizerOutput {
  readonly input_ids: number[][]
  readonly attention_mask: number[][]
  readonly token_type_ids: number[][]
  /** Per token [start, end) in string indices of its text; [0, 0] for special tokens. */
  readonly offset_mapping?: [number, number][][]
  /** 1 for special tokens and padding. */
  readonly special_tokens_mask?: number[][]
  /** Per token the word of its text, counted from 0; null for special tokens and padding. */
  readonly word_ids?: (number | null)[][]
  /** Per row the text that it is of, when overflowing tokens are returned. */
  readonly overflow_to_sample_mapping?: number[]
}

export interface DecodeOptions {
  readonly skip_special_tokens?: boolean
  /** Take out spaces before punctuation in the joined text, beyond what the decoder of tokenizer.json does; as tokenizer_config.json says. */
  readonly clean_up_tokenization_spaces?: boolean
}

export type NewToken = string | ({ readonly content: string } & Partial<Omit<AddedToken, 'id' | 'content' | 'special'>>)

interface Row {
  readonly ids: number[]
  readonly types: number[]
  readonly attention: number[]
  readonly offsets: [number, number][]
  readonly special: number[]
  readonly words: (number | null)[]
}

/** BERT's tokenizer: cleaning, splitting and WordPiece, with the ids and offsets of the official library. */
export class BertTokenizer {
  readonly special: SpecialTokens
  private added: readonly AddedToken[]
  private addedIds: ReadonlyMap<string, number>
  private addedTokens: ReadonlyMap<number, AddedToken>
  private encoder: Encoder
  // Filled again by every text: the first and the second of a pair.
  private readonly a = new Pieces()
  private readonly b = new Pieces()

  constructor(readonly parts: TokenizerParts) {
    this.special = parts.special
    ;({ added: this.added, addedIds: this.addedIds, addedTokens: this.addedTokens, encoder: this.encoder } = this.with(parts.added))
  }

  /** Of the vocabulary and the added tokens together. */
  get length(): number {
    return this.parts.vocabulary.size + this.added.filter(({ id }) => this.parts.vocabulary.token(id) === undefined).length
  }

  id(token: string): number | undefined {
    return this.addedIds.get(token) ?? this.parts.vocabulary.id(token)
  }

  token(id: number): string | undefined {
    return this.addedTokens.get(id)?.content ?? this.parts.vocabulary.token(id)
  }

  get all_special_ids(): number[] {
    const ids = Object.values(this.special).map((token) => this.id(token))
    const more = this.added.filter(({ special }) => special).map(({ id }) => id)
    return [...new Set([...ids, ...more])].filter((id) => id !== undefined)
  }

  get_vocab(): Map<string, number> {
    return new Map([...this.parts.vocabulary.entries(), ...this.addedIds])
  }

  /** Adds tokens that are found whole in texts; how many are new. The model's word embeddings must be resized to `length` then. */
  add_tokens(tokens: NewToken | readonly NewToken[], special: boolean): number {
    const before = this.length
    const added = [...this.added]
    // After the last id of both, as the official library counts.
    let next = Math.max(this.parts.vocabulary.size, ...added.map(({ id }) => id + 1))
    const list: readonly NewToken[] = Array.isArray(tokens) ? (tokens as NewToken[]) : [tokens as NewToken]
    for (const [i, token] of list.entries()) {
      const given = typeof token === 'string' ? { content: token } : token
      checkOptions(`add_tokens[${i}]`, given, ['content', 'single_word', 'lstrip', 'rstrip', 'normalized'])
      const { content, single_word = false, lstrip = false, rstrip = false, normalized = !special } = given
      if (typeof content !== 'string' || content === '') throw expected(`add_tokens[${i}]`, 'a text that is not empty', content)
      for (const [name, flag] of Object.entries({ single_word, lstrip, rstrip, normalized })) oneOf(name, flag, [true, false])
      const known = this.id(content) ?? added.find((other) => other.content === content)?.id
      const entry = { id: known ?? next++, content, single_word, lstrip, rstrip, normalized, special }
      const place = added.findIndex((other) => other.content === content)
      if (place >= 0) added[place] = entry
      else added.push(entry)
    }
    Object.assign(this, this.with(added))
    return this.length - before
  }

  /** Tokens of a text, without special ones. */
  tokenize(text: string): string[] {
    if (typeof text !== 'string') throw expected('tokenize', 'a text', text)
    this.fill(this.a, [text], false)
    return this.convert_ids_to_tokens([...this.a.ids.subarray(0, this.a.length)])
  }

  convert_ids_to_tokens(ids: readonly number[]): string[] {
    return ids.map((id) => this.token(id) ?? this.special.unk_token)
  }

  convert_tokens_to_ids(tokens: readonly string[]): number[] {
    const unknown = this.id(this.special.unk_token)!
    return tokens.map((token) => this.id(token) ?? unknown)
  }

  convert_tokens_to_string(tokens: readonly string[]): string {
    return joinTokens(tokens, this.parts.vocabulary.prefix, this.parts.cleanup)
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    checkOptions('decode', options, ['skip_special_tokens', 'clean_up_tokenization_spaces'])
    for (const [name, value] of Object.entries(options)) oneOf(name, value, [true, false])
    if (!Array.isArray(ids)) throw expected('decode', 'an array of ids', ids)
    const tokens: string[] = []
    for (const id of ids as readonly number[]) {
      const token = this.token(id)
      // The official library leaves out what is no token.
      if (token === undefined || (options.skip_special_tokens && this.addedTokens.get(id)?.special)) continue
      tokens.push(token)
    }
    const text = this.convert_tokens_to_string(tokens)
    return (options.clean_up_tokenization_spaces ?? this.parts.clean_up_tokenization_spaces) ? cleanUpJoined(text) : text
  }

  files(): Record<string, string> {
    return tokenizerFiles(this.parts, this.added)
  }

  /** Rows of ids, ragged unless padding is asked for. */
  encode_batch(texts: TextInput, options: TokenizeOptions = {}): TokenizerOutput {
    const settings = resolve(options, this.parts)
    const firsts = batchOf('tokenizer', texts, settings.split)
    const { text_pair } = options
    const pairs = text_pair === undefined || text_pair === null ? undefined : batchOf('text_pair', text_pair, settings.split)
    if (pairs && pairs.length !== firsts.length) throw expected('text_pair', `${firsts.length} texts, as many as the first`, pairs)
    const extra = settings.special ? (pairs ? 3 : 2) : 0
    const room = (settings.max_length ?? 0) - extra
    if (settings.truncation && room < 0) throw expected('max_length', `at least ${extra}, the special tokens of a row`, settings.max_length)

    const rows: Row[] = []
    const samples: number[] = []
    let longest = 0
    firsts.forEach((first, i) => {
      this.fill(this.a, first, settings.split)
      if (pairs) this.fill(this.b, pairs[i]!, settings.split)
      const truncation = settings.truncation && {
        ...settings.truncation,
        room,
        firstIsLonger: pairs !== undefined && this.firstIsLonger(settings),
      }
      const windows = windowsOf(this.a.length, pairs && this.b.length, truncation)
      // Overflow is padded to the same length, and not counted for it.
      longest = Math.max(longest, windowLength(windows[0]!) + extra)
      for (const window of settings.truncation?.overflow ? windows : windows.slice(0, 1)) {
        rows.push(this.row(window, settings))
        samples.push(i)
      }
    })
    if (settings.padding) this.pad(rows, settings.padding === 'max_length' ? settings.max_length! : longest, settings)
    return {
      input_ids: rows.map(({ ids }) => ids),
      attention_mask: rows.map(({ attention }) => attention),
      token_type_ids: rows.map(({ types }) => types),
      ...(settings.offsets && { offset_mapping: rows.map(({ offsets }) => offsets) }),
      ...(settings.mask && { special_tokens_mask: rows.map(({ special }) => special) }),
      ...(settings.words && { word_ids: rows.map(({ words }) => words) }),
      ...(options.return_overflowing_tokens && { overflow_to_sample_mapping: samples }),
    }
  }

  private with(added: readonly AddedToken[]) {
    const unknown = this.parts.vocabulary.id(this.special.unk_token)!
    const { vocabulary, normalizer, longest } = this.parts
    return {
      added,
      addedIds: new Map(added.map(({ content, id }) => [content, id])),
      addedTokens: new Map(added.map((token) => [token.id, token])),
      encoder: new Encoder({ vocabulary, normalizer, added, unknown, longest }),
    }
  }

  private fill(pieces: Pieces, texts: readonly string[], split: boolean): void {
    pieces.length = 0
    texts.forEach((text, i) => this.encoder.encode(text, pieces, split ? i : -1))
  }

  private firstIsLonger({ split, max_length, truncation }: Settings): boolean {
    // Words that come split already are tokenized to their ends.
    const [a, b] = [this.a, this.b].map((pieces) => (split ? pieces.length : seenLength(pieces, max_length!, truncation!.side)))
    return a! > b!
  }

  private row({ a, b }: Window, settings: Settings): Row {
    const [cls, sep] = settings.special ? [[this.id(this.special.cls_token)!], [this.id(this.special.sep_token)!]] : [[], []]
    const second = cls.length + a[1] - a[0] + sep.length
    const length = second + (b ? b[1] - b[0] + sep.length : 0)
    const ids = new Array<number>(length)
    const row: Row = {
      ids,
      types: new Array<number>(length).fill(0).fill(1, second),
      attention: new Array<number>(length).fill(1),
      offsets: settings.offsets ? Array.from({ length }, () => [0, 0]) : [],
      special: settings.mask ? new Array<number>(length).fill(1) : [],
      words: settings.words ? new Array<number | null>(length).fill(null) : [],
    }
    if (settings.special) {
      ids[0] = cls[0]!
      ids[second - 1] = ids[length - 1] = sep[0]!
    }
    putPieces(row, cls.length, this.a, a, settings)
    if (b) putPieces(row, second, this.b, b, settings)
    return row
  }

  private pad(rows: readonly Row[], length: number, { padding_side, multiple }: Settings): void {
    const width = Math.ceil(length / multiple) * multiple
    const pad = this.id(this.special.pad_token)!
    for (const row of rows) {
      const missing = width - row.ids.length
      if (missing <= 0) continue
      const put = <T>(values: T[], filler: () => T): void => {
        const fillers = Array.from({ length: missing }, filler)
        if (padding_side === 'right') values.push(...fillers)
        else values.unshift(...fillers)
      }
      put(row.ids, () => pad)
      put(row.types, () => 0)
      put(row.attention, () => 0)
      put(row.offsets, () => [0, 0])
      put(row.special, () => 1)
      put(row.words, () => null)
    }
  }
}

function windowLength({ a, b }: Window): number {
  return a[1] - a[0] + (b ? b[1] - b[0] : 0)
}

function putPieces(row: Row, at: number, { ids, starts, ends, words }: Pieces, [from, to]: Range, settings: Settings): void {
  const shift = at - from
  for (let i = from; i < to; i++) row.ids[i + shift] = ids[i]!
  if (settings.offsets) for (let i = from; i < to; i++) row.offsets[i + shift] = [starts[i]!, ends[i]!]
  if (settings.mask) row.special.fill(0, at, to + shift)
  if (settings.words) for (let i = from; i < to; i++) row.words[i + shift] = words[i]!
}
