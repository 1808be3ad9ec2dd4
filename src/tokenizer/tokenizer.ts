import { checkOptions, expected } from '../errors.ts'
import type { TokenizerParts } from './load.ts'
import { words } from './normalize.ts'
import { WordPiece } from './wordpiece.ts'

export interface TokenizeOptions {
  /** The second text of each pair. */
  readonly text_pair?: string | readonly string[] | null
  /** Pad to the longest of the batch, or to max_length; off by default. */
  readonly padding?: boolean | 'longest' | 'max_length'
  /** Cut to max_length, the longer text of a pair first; off by default. */
  readonly truncation?: boolean | 'longest_first'
  /** With special tokens; the model's limit by default. */
  readonly max_length?: number
  readonly add_special_tokens?: boolean
  /** Also return where each token stands in its text. */
  readonly return_offsets_mapping?: boolean
}

export interface TokenizerOutput {
  readonly input_ids: number[][]
  readonly attention_mask: number[][]
  readonly token_type_ids: number[][]
  /** Per token [start, end) in string indices of its text; [0, 0] for special tokens. */
  readonly offset_mapping?: [number, number][][]
}

interface Pieces {
  ids: number[]
  starts: number[]
  ends: number[]
}

const OPTIONS: readonly (keyof TokenizeOptions)[] = [
  'text_pair',
  'padding',
  'truncation',
  'max_length',
  'add_special_tokens',
  'return_offsets_mapping',
]

/** BERT's tokenizer: cleaning, splitting and WordPiece, with the ids and offsets of the reference. */
export class BertTokenizer {
  readonly model_max_length: number | undefined
  readonly cls_token_id: number
  readonly sep_token_id: number
  readonly pad_token_id: number
  readonly unk_token_id: number
  private readonly wordPiece: WordPiece
  private readonly tokens: readonly string[]

  constructor(private readonly parts: TokenizerParts) {
    const { vocab } = parts
    this.model_max_length = parts.model_max_length
    this.cls_token_id = vocab.get('[CLS]')!
    this.sep_token_id = vocab.get('[SEP]')!
    this.pad_token_id = vocab.get('[PAD]')!
    this.unk_token_id = vocab.get(parts.unknown) ?? vocab.get('[UNK]')!
    this.wordPiece = new WordPiece(vocab, this.unk_token_id, parts.prefix, parts.longest)
    const tokens: string[] = []
    for (const [token, id] of vocab) tokens[id] = token
    this.tokens = tokens
  }

  get vocab_size(): number {
    return this.parts.vocab.size
  }

  /** Tokens of a text, without special ones. */
  tokenize(text: string): string[] {
    return this.convert_ids_to_tokens(this.pieces(text).ids)
  }

  convert_ids_to_tokens(ids: readonly number[]): string[] {
    return ids.map((id) => this.tokens[id] ?? '[UNK]')
  }

  convert_tokens_to_ids(tokens: readonly string[]): number[] {
    return tokens.map((token) => this.parts.vocab.get(token) ?? this.unk_token_id)
  }

  /** Rows of ids, ragged unless padding is asked for. */
  encode_batch(texts: string | readonly string[], options: TokenizeOptions = {}): TokenizerOutput {
    checkOptions('tokenizer', options, OPTIONS)
    const firsts = list('tokenizer', texts)
    const pairs = options.text_pair === undefined || options.text_pair === null ? undefined : list('text_pair', options.text_pair)
    if (pairs && pairs.length !== firsts.length) throw expected('text_pair', `${firsts.length} texts, as many as the first`, pairs)
    const limit = this.limit(options)
    const rows = firsts.map((text, i) => this.row(text, pairs?.[i], limit, options.add_special_tokens ?? true))
    const longest = options.padding === 'max_length' ? (limit ?? 0) : Math.max(...rows.map(({ ids }) => ids.length))
    const padded = <T>(values: T[], filler: T): T[] =>
      options.padding && values.length < longest ? [...values, ...Array.from({ length: longest - values.length }, () => filler)] : values
    return {
      input_ids: rows.map(({ ids }) => padded(ids, this.pad_token_id)),
      attention_mask: rows.map(({ ids }) =>
        padded(
          ids.map(() => 1),
          0,
        ),
      ),
      token_type_ids: rows.map(({ types }) => padded(types, 0)),
      ...(options.return_offsets_mapping && { offset_mapping: rows.map(({ offsets }) => padded(offsets, [0, 0])) }),
    }
  }

  private limit({ truncation = false, padding = false, max_length }: TokenizeOptions): number | undefined {
    if (![true, false, 'longest_first'].includes(truncation)) throw expected('truncation', 'true, false or "longest_first"', truncation)
    if (![true, false, 'longest', 'max_length'].includes(padding))
      throw expected('padding', 'true, false, "longest" or "max_length"', padding)
    if (max_length !== undefined && (!Number.isInteger(max_length) || max_length < 0))
      throw expected('max_length', 'a whole number', max_length)
    if (!truncation && padding !== 'max_length') return undefined
    const limit = max_length ?? this.model_max_length
    if (limit === undefined) throw expected('max_length', 'a whole number, as this tokenizer knows no limit', max_length)
    return limit
  }

  private row(
    text: string,
    pair: string | undefined,
    limit: number | undefined,
    special: boolean,
  ): { ids: number[]; types: number[]; offsets: [number, number][] } {
    const a = this.pieces(text)
    const b = pair === undefined ? undefined : this.pieces(pair)
    const extra = special ? (b ? 3 : 2) : 0
    if (limit !== undefined) truncate(a, b, limit - extra)
    const ids: number[] = []
    const types: number[] = []
    const offsets: [number, number][] = []
    const put = (id: number, type: number, start = 0, end = 0): void => {
      ids.push(id)
      types.push(type)
      offsets.push([start, end])
    }
    if (special) put(this.cls_token_id, 0)
    a.ids.forEach((id, i) => put(id, 0, a.starts[i], a.ends[i]))
    if (special) put(this.sep_token_id, 0)
    b?.ids.forEach((id, i) => put(id, 1, b.starts[i], b.ends[i]))
    if (b && special) put(this.sep_token_id, 1)
    return { ids, types, offsets }
  }

  private pieces(text: string): Pieces {
    const pieces: Pieces = { ids: [], starts: [], ends: [] }
    for (const word of words(text, this.parts.normalizer)) {
      this.wordPiece.split(word.text, (id, from, to) => {
        pieces.ids.push(id)
        pieces.starts.push(word.starts[from]!)
        pieces.ends.push(word.ends[to - 1]!)
      })
    }
    return pieces
  }
}

function list(name: string, texts: string | readonly string[]): readonly string[] {
  const all = typeof texts === 'string' ? [texts] : texts
  if (!Array.isArray(all) || all.length === 0) throw expected(name, 'a text or a non-empty array of texts', texts)
  const odd = all.findIndex((text) => typeof text !== 'string')
  if (odd >= 0) throw expected(`${name}[${odd}]`, 'a text', all[odd])
  return all as string[]
}

/** Cuts the longer text from its end until both fit, as the reference does: of an odd number of places the longer one keeps one more. */
function truncate(a: Pieces, b: Pieces | undefined, limit: number): void {
  const room = Math.max(limit, 0)
  const [lengthA, lengthB] = [a.ids.length, b ? b.ids.length : 0]
  let short = Math.min(lengthA, lengthB)
  let long = Math.max(lengthA, lengthB)
  if (short + long > room) {
    long = Math.max(short, room - short)
    if (short + long > room) {
      short = Math.floor(room / 2)
      long = room - short
    }
  }
  const [keepA, keepB] = lengthA > lengthB ? [long, short] : [short, long]
  for (const [p, keep] of [
    [a, keepA],
    [b, keepB],
  ] as const) {
    if (!p) continue
    p.ids.length = keep
    p.starts.length = keep
    p.ends.length = keep
  }
}
