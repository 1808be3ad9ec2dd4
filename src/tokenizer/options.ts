// What a call of the tokenizer takes: the names and meanings of Hugging Face transformers.
import { BertletError, checkOptions, expected, wholeOf } from '../errors.ts'
import type { Side } from './load.ts'
import type { TruncationOptions, TruncationStrategy } from './windows.ts'

/** A text, or a batch of them; with is_split_into_words the words of one, or of each. */
export type TextInput = string | readonly string[] | readonly (readonly string[])[]

export interface TokenizeOptions {
  /** The second text of each pair. */
  readonly text_pair?: TextInput | null
  /** Pad to the longest of the batch, or to max_length; off by default. */
  readonly padding?: boolean | 'longest' | 'max_length' | 'do_not_pad'
  /** Where padding goes: as tokenizer_config.json says, or right. */
  readonly padding_side?: Side
  /** Round the padded length up to a multiple of this. */
  readonly pad_to_multiple_of?: number | null
  /** Cut to max_length: `true` is the longer text of a pair first. Off by default; on if there is a max_length and no padding. */
  readonly truncation?: boolean | TruncationStrategy | 'do_not_truncate'
  /** The side that is cut off: as tokenizer_config.json says, or right. */
  readonly truncation_side?: Side
  /** With special tokens; the model's limit by default. */
  readonly max_length?: number | null
  /** Tokens that an overflowing window shares with the one before. */
  readonly stride?: number
  /** Also return what truncation cuts off, as further rows. */
  readonly return_overflowing_tokens?: boolean
  readonly add_special_tokens?: boolean
  /** The texts are split already, into words that are tokenized one by one. */
  readonly is_split_into_words?: boolean
  /** Also return where each token stands in its text. */
  readonly return_offsets_mapping?: boolean
  /** Also return 1 for special tokens and padding, 0 for the tokens of the texts. */
  readonly return_special_tokens_mask?: boolean
  /** Also return which word of its text each token belongs to. */
  readonly return_word_ids?: boolean
}

/** The same, checked and with the defaults in place. */
export interface Settings {
  readonly padding: 'longest' | 'max_length' | undefined
  readonly padding_side: Side
  readonly multiple: number
  readonly max_length: number | undefined
  readonly truncation: Omit<TruncationOptions, 'room' | 'firstIsLonger'> | undefined
  readonly special: boolean
  readonly split: boolean
  readonly offsets: boolean
  readonly mask: boolean
  readonly words: boolean
}

const SIDES = ['right', 'left'] as const
const FLAGS = [
  'return_overflowing_tokens',
  'add_special_tokens',
  'is_split_into_words',
  'return_offsets_mapping',
  'return_special_tokens_mask',
  'return_word_ids',
] as const
const OPTIONS: readonly (keyof TokenizeOptions)[] = [
  'text_pair',
  'padding',
  'padding_side',
  'pad_to_multiple_of',
  'truncation',
  'truncation_side',
  'max_length',
  'stride',
  ...FLAGS,
]

export interface Defaults {
  readonly model_max_length: number | undefined
  readonly padding_side: Side
  readonly truncation_side: Side
}

export function resolve(options: TokenizeOptions, defaults: Defaults): Settings {
  checkOptions('tokenizer', options, OPTIONS)
  for (const flag of FLAGS) oneOf(flag, options[flag], [true, false])
  oneOf('padding', options.padding, [true, false, 'longest', 'max_length', 'do_not_pad'])
  oneOf('truncation', options.truncation, [true, false, 'longest_first', 'only_first', 'only_second', 'do_not_truncate'])
  oneOf('padding_side', options.padding_side, SIDES)
  oneOf('truncation_side', options.truncation_side, SIDES)
  const max = whole('max_length', options.max_length, 0)
  const multiple = whole('pad_to_multiple_of', options.pad_to_multiple_of, 1)
  const stride = whole('stride', options.stride, 0) ?? 0

  const { padding: pad = false } = options
  const padding = pad === true ? 'longest' : pad === false || pad === 'do_not_pad' ? undefined : pad
  // _get_padding_truncation_strategies() of transformers: a max_length alone truncates.
  const { truncation: asked = max !== undefined && padding === undefined } = options
  const strategy = asked === true ? 'longest_first' : asked === 'do_not_truncate' ? false : asked
  const max_length = max ?? defaults.model_max_length
  if ((strategy !== false || padding === 'max_length') && max_length === undefined)
    throw expected('max_length', 'a whole number, as this tokenizer knows no limit', options.max_length)
  if (strategy !== false && padding !== undefined && multiple !== undefined && max_length! % multiple !== 0)
    throw expected('max_length', `a multiple of pad_to_multiple_of, ${multiple}, when rows are cut and padded`, max_length)
  const overflow = options.return_overflowing_tokens ?? false
  const side = options.truncation_side ?? defaults.truncation_side
  return {
    padding,
    padding_side: options.padding_side ?? defaults.padding_side,
    multiple: multiple ?? 1,
    max_length,
    truncation: strategy === false ? undefined : { strategy, stride, side, overflow },
    special: options.add_special_tokens ?? true,
    split: options.is_split_into_words ?? false,
    offsets: options.return_offsets_mapping ?? false,
    mask: options.return_special_tokens_mask ?? false,
    words: options.return_word_ids ?? false,
  }
}

export function oneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (value === undefined || allowed.includes(value)) return
  const words = allowed.map((word) => JSON.stringify(word))
  throw expected(name, `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`, value)
}

function whole(name: string, value: unknown, least: number): number | undefined {
  return value === undefined || value === null ? undefined : wholeOf(name, value, least)
}

/** The texts of a call, each as one text or as its words. */
export function batchOf(name: string, input: unknown, split: boolean): readonly (readonly string[])[] {
  const isOne = split ? Array.isArray(input) && input.every((word) => typeof word === 'string') : typeof input === 'string'
  const list: unknown = isOne ? [input] : input
  const wanted = split ? 'the words of a text, or a non-empty array of such arrays' : 'a text or a non-empty array of texts'
  if (!Array.isArray(list) || list.length === 0) throw expected(name, wanted, input)
  return list.map((text: unknown, i) => {
    if (!split && typeof text === 'string') return [text]
    if (split && Array.isArray(text)) {
      const odd = text.findIndex((word) => typeof word !== 'string')
      if (odd >= 0) throw expected(`${name}[${i}][${odd}]`, 'a word', text[odd])
      return text as string[]
    }
    if (!split && Array.isArray(text))
      throw new BertletError('invalid_argument', `${name}[${i}]: expected a text, got an array`, 'For words pass is_split_into_words: true')
    throw expected(`${name}[${i}]`, split ? 'an array of words' : 'a text', text)
  })
}
