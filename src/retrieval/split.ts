// Long texts to passages that a model reads whole: sentences together, up to so many tokens.
import { checkOptions, expected } from '../errors.ts'
import { sentenceStarts } from '../training/documents.ts'

export interface SplitOptions {
  /** `sentence` (default): passages are whole sentences, and only one that is too long is cut, between words. `token`: as many tokens as fit. */
  readonly by?: 'sentence' | 'token'
  /** Most tokens of a passage, special ones not counted; 200 by default. */
  readonly max_tokens?: number
  /** Tokens of a passage's end that the next one begins with, at most; whole sentences with `sentence`. 0 by default. */
  readonly overlap?: number
}

/** `text.slice(start, end)` of the whole text. */
export interface Passage {
  readonly text: string
  readonly start: number
  readonly end: number
}

/** What is needed of a tokenizer. */
export interface OffsetTokenizer {
  (
    text: string,
    options: { readonly add_special_tokens: false; readonly return_offsets_mapping: true; readonly truncation: false },
  ): { readonly offset_mapping?: readonly (readonly (readonly [number, number])[])[] }
}

/**
 * Passages in order; every token is in one of them.
 *
 *     splitText(text, embed.tokenizer, { max_tokens: 200, overlap: 40 }) // [{ text, start, end }, ...]
 *
 * Sentences end by the rule of bertlet/training's `documents` (not by Intl.Segmenter, which differs between engines), and at blank lines.
 */
export function splitText(text: string, tokenizer: OffsetTokenizer, options: SplitOptions = {}): Passage[] {
  checkOptions('splitText', options, ['by', 'max_tokens', 'overlap'])
  const { by = 'sentence', max_tokens = 200, overlap = 0 } = options
  if (typeof text !== 'string') throw expected('splitText', 'a text', text)
  if (by !== 'sentence' && by !== 'token') throw expected('by', '"sentence" or "token"', by)
  if (!Number.isInteger(max_tokens) || max_tokens < 1) throw expected('max_tokens', 'a whole number of 1 or more', max_tokens)
  if (!Number.isInteger(overlap) || overlap < 0 || overlap >= max_tokens)
    throw expected('overlap', `a whole number from 0 to ${max_tokens - 1}, less than max_tokens`, overlap)
  const options_ = { add_special_tokens: false, return_offsets_mapping: true, truncation: false } as const
  const tokens = tokenizer(text, options_).offset_mapping![0]!.filter(([start, end]) => end > start)
  const spans = by === 'token' ? windows(0, tokens.length, max_tokens, overlap) : bySentence(text, tokens, max_tokens, overlap)
  return spans.map(([first, last]) => {
    const [start, end] = [tokens[first]![0], tokens[last - 1]![1]]
    return { text: text.slice(start, end), start, end }
  })
}

/** Tokens [first, last). */
type Span = readonly [first: number, last: number]
type Tokens = readonly (readonly [number, number])[]

function windows(first: number, last: number, most: number, overlap: number): Span[] {
  const spans: Span[] = []
  for (let at = first; at < last; at += most - overlap) {
    spans.push([at, Math.min(at + most, last)])
    if (at + most >= last) break
  }
  return spans
}

function bySentence(text: string, tokens: Tokens, most: number, overlap: number): Span[] {
  const spans: Span[] = []
  const open: Span[] = []
  const size = (list: readonly Span[]): number => (list.length === 0 ? 0 : list.at(-1)![1] - list[0]![0])
  const close = (): void => {
    if (open.length > 0) spans.push([open[0]![0], open.at(-1)![1]])
  }
  for (const sentence of sentencesOf(text, tokens).flatMap((span) => pieces(tokens, span, most))) {
    if (size([...open.slice(0, 1), sentence]) > most && open.length > 0) {
      close()
      // The last sentences that fit in the overlap, and leave room for this one.
      const room = Math.min(overlap, most - size([sentence]))
      while (open.length > 0 && size(open) > room) open.shift()
    }
    open.push(sentence)
  }
  close()
  return spans
}

/** Sentences as tokens; they end at blank lines too. */
function sentencesOf(text: string, tokens: Tokens): Span[] {
  const starts: number[] = []
  let from = 0
  for (const { 0: blank, index } of [...text.matchAll(/\n[^\S\n]*\n\s*/g), { 0: '', index: text.length }]) {
    starts.push(...sentenceStarts(text.slice(from, index)).map((start) => from + start))
    from = index + blank.length
  }
  const spans: Span[] = []
  let first = 0
  for (const next of [...starts.slice(1), Infinity]) {
    let last = first
    while (last < tokens.length && tokens[last]![0] < next) last++
    if (last > first) spans.push([first, last])
    first = last
  }
  return spans
}

/** A sentence of more than `most` tokens in parts, cut where a space is if there is one. */
function pieces(tokens: Tokens, [first, last]: Span, most: number): Span[] {
  const spans: Span[] = []
  while (last - first > most) {
    let cut = first + most
    while (cut > first && tokens[cut - 1]![1] === tokens[cut]![0]) cut--
    if (cut === first) cut = first + most
    spans.push([first, cut])
    first = cut
  }
  return [...spans, [first, last]]
}
