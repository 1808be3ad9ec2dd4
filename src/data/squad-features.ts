// Questions to windows over their contexts, with the answer's tokens.
import { checkOptions, expected } from '../errors.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import type { Dataset, Feature } from '../training/dataset.ts'
import type { SquadQuestion } from './squad.ts'

export interface SquadFeatureOptions {
  /** 384: tokens of a window, with the question and special ones. */
  readonly max_length?: number
  /** 128, at most half a window: tokens that neighbouring windows share, as in Hugging Face transformers. (google-research/bert means the step from window to window.) */
  readonly doc_stride?: number
  /** 64: what is longer of a question is cut off. */
  readonly max_query_length?: number
  readonly signal?: AbortSignal
}

/** A window: the question, and a piece of the context. */
export interface SquadWindow {
  /** Of the question in the list. */
  readonly question: number
  readonly input_ids: Int32Array
  readonly token_type_ids: Uint8Array
  /** Where each token stands in the context, [start, end) one after the other; -1 for those that are not of it. */
  readonly offsets: Int32Array
  /** 1 for tokens whose best window this is: an answer starts in that one alone. */
  readonly best: Uint8Array
  /** The first and the last token of the first answer; 0, [CLS], where this window has none. */
  readonly start: number
  readonly end: number
}

const OPTIONS = ['max_length', 'doc_stride', 'max_query_length', 'signal']

/**
 * SQuAD for a Trainer: a window is an example. An answer that a window does not hold as a whole is no answer there, which [CLS] stands for.
 *
 *     const train_dataset = new SquadFeatures(questions, tokenizer, { max_length: 384, doc_stride: 128 })
 */
export class SquadFeatures implements Dataset {
  readonly windows: readonly SquadWindow[]

  constructor(
    readonly questions: readonly SquadQuestion[],
    tokenizer: Tokenizer,
    options: SquadFeatureOptions = {},
  ) {
    checkOptions('SquadFeatures', options, OPTIONS)
    const { signal } = options
    const settings = settingsOf(options)
    const windows: SquadWindow[] = []
    questions.forEach((question, i) => {
      if (i % 256 === 0) signal?.throwIfAborted()
      windows.push(...windowsOf(question, i, tokenizer, settings))
    })
    this.windows = windows
  }

  get length(): number {
    return this.windows.length
  }

  get(index: number): Feature {
    const { input_ids, token_type_ids, start, end } = this.windows[index]!
    return { input_ids, token_type_ids, start_positions: start, end_positions: end }
  }

  size(index: number): { tokens: number } {
    return { tokens: this.windows[index]!.input_ids.length }
  }
}

interface Settings {
  readonly max_length: number
  readonly doc_stride: number
  readonly max_query_length: number
}

function settingsOf(options: SquadFeatureOptions): Settings {
  const { max_length = 384, doc_stride = Math.min(128, max_length >> 1), max_query_length = 64 } = options
  const whole = (name: string, value: number, least: number): void => {
    if (!Number.isInteger(value) || value < least) throw expected(name, `a whole number of ${least} or more`, value)
  }
  whole('max_length', max_length, 5)
  whole('max_query_length', max_query_length, 1)
  whole('doc_stride', doc_stride, 0)
  return { max_length, doc_stride, max_query_length }
}

function windowsOf(question: SquadQuestion, index: number, tokenizer: Tokenizer, settings: Settings): SquadWindow[] {
  const { max_length, doc_stride, max_query_length } = settings
  const { context, place } = question
  const asked = shortened(question.question, tokenizer, max_query_length)
  const room = max_length - 3 - asked.tokens
  if (doc_stride >= room)
    throw expected(
      'doc_stride',
      `less than ${Math.max(room, 1)}, what max_length, ${max_length}, leaves beside the ${asked.tokens} tokens of ${place}`,
      doc_stride,
      'Pass a smaller doc_stride or max_query_length, or a larger max_length',
    )
  const encoded = tokenizer(asked.text, {
    text_pair: context,
    truncation: 'only_second',
    truncation_side: 'right',
    max_length,
    stride: doc_stride,
    return_overflowing_tokens: true,
    return_offsets_mapping: true,
    return_special_tokens_mask: true,
  })
  const rows = encoded.input_ids.map((ids, row) => {
    const [types, special] = [encoded.token_type_ids[row]!, encoded.special_tokens_mask![row]!]
    const offsets = new Int32Array(2 * ids.length).fill(-1)
    ids.forEach((_, t) => {
      if (types[t] === 1 && special[t] === 0) offsets.set(encoded.offset_mapping![row]![t]!, 2 * t)
    })
    return { input_ids: Int32Array.from(ids), token_type_ids: Uint8Array.from(types), offsets }
  })
  const best = bestWindows(rows.map(({ offsets }) => offsets))
  return rows.map((row, i) => ({ question: index, ...row, best: best[i]!, ...spanOf(question, row.offsets) }))
}

/** A question of at most so many tokens. */
function shortened(question: string, tokenizer: Tokenizer, most: number): { text: string; tokens: number } {
  const how = { add_special_tokens: false, truncation: false, return_offsets_mapping: true } as const
  for (let text = question.trimStart(), keep = most; ; keep--) {
    const { input_ids, offset_mapping } = tokenizer(text, how)
    if (input_ids[0]!.length <= most) return { text, tokens: input_ids[0]!.length }
    // A word that is cut may become more pieces than it had.
    text = text.slice(0, offset_mapping![0]![keep - 1]![1])
  }
}

/** The first answer's tokens, if all of it is in the window. */
function spanOf({ answers }: SquadQuestion, offsets: Int32Array): { start: number; end: number } {
  const none = { start: 0, end: 0 }
  if (answers.length === 0) return none
  const { start, text } = answers[0]!
  const end = start + text.length
  let [first, last] = [-1, -1]
  let [from, to] = [Infinity, -1]
  for (let t = 0; 2 * t < offsets.length; t++) {
    const [a, b] = [offsets[2 * t]!, offsets[2 * t + 1]!]
    if (a < 0) continue
    from = Math.min(from, a)
    to = Math.max(to, b)
    // The tokens that have characters of the answer.
    if (b > start && a < end) {
      if (first < 0) first = t
      last = t
    }
  }
  // An answer whose tokens go on beyond the window is not all in it.
  return first < 0 || from > start || to < end ? none : { start: first, end: last }
}

/** Per window 1 where a token of the context has more context around it than in the others; the first of equals. */
function bestWindows(windows: readonly Int32Array[]): Uint8Array[] {
  const best = new Map<number, { score: number; window: number; token: number }>()
  windows.forEach((offsets, window) => {
    const tokens = Array.from({ length: offsets.length / 2 }, (_, t) => t).filter((t) => offsets[2 * t]! >= 0)
    const [first, last] = [tokens[0]!, tokens.at(-1)!]
    for (const token of tokens) {
      // min(left, right context), and a hundredth of the window's length: google-research/bert's _check_is_max_context().
      const score = Math.min(token - first, last - token) + 0.01 * (last - first + 1)
      const place = offsets[2 * token]!
      const other = best.get(place)
      if (other === undefined || score > other.score) best.set(place, { score, window, token })
    }
  })
  const marks = windows.map((offsets) => new Uint8Array(offsets.length / 2))
  for (const { window, token } of best.values()) marks[window]![token] = 1
  return marks
}
