// Which tokens of a text, or of a pair, stay: truncation, and the windows over what it cuts off. As truncate_encodings() and
// Encoding::truncate() of the official library do it.
import { BertletError, expected } from '../errors.ts'
import type { Side } from './load.ts'
import type { Pieces } from './pieces.ts'

export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second'

export interface TruncationOptions {
  readonly strategy: TruncationStrategy
  /** Most tokens of a row, special ones not counted. */
  readonly room: number
  /** Tokens that a window shares with the one before. */
  readonly stride: number
  readonly side: Side
  /** Whether all windows are wanted, or the first. */
  readonly overflow: boolean
  /** Whether the first text of a pair counts as the longer one, see seenLength(). */
  readonly firstIsLonger: boolean
}

/** Tokens [start, end) of the first text and of the second. */
export interface Window {
  readonly a: Range
  readonly b: Range | undefined
}
export type Range = readonly [start: number, end: number]

/** The row that stays, then its overflow. */
export function windowsOf(a: number, b: number | undefined, truncation: TruncationOptions | undefined): Window[] {
  const excess = truncation === undefined ? 0 : a + (b ?? 0) - truncation.room
  if (truncation === undefined || excess <= 0) return [{ a: [0, a], b: b === undefined ? undefined : [0, b] }]
  const [keepA, keepB] = kept(a, b, excess, truncation)
  const [first, ...moreFirst] = cut(a, keepA, truncation)
  if (b === undefined) return [first!, ...moreFirst].map((range) => ({ a: range, b: undefined }))
  const [second, ...moreSecond] = cut(b, keepB, truncation)
  const windows: Window[] = [{ a: first!, b: second! }]
  for (const range of moreFirst) for (const other of [second!, ...moreSecond]) windows.push({ a: range, b: other })
  for (const other of moreSecond) windows.push({ a: first!, b: other })
  return windows
}

/**
 * How long a text is to the official library: it stops tokenizing at the end of the word that reaches max_length. Two texts beyond that
 * are compared by these lengths, which tell the one that keeps one more of an odd number of places.
 */
export function seenLength({ length, words }: Pieces, max_length: number, side: Side): number {
  if (length <= max_length || max_length === 0) return length
  let seen = max_length
  const word = (count: number): number => words[side === 'right' ? count - 1 : length - count]!
  while (seen < length && word(seen + 1) === word(seen)) seen++
  return seen
}

function kept(a: number, b: number | undefined, excess: number, { strategy, room, firstIsLonger }: TruncationOptions): [number, number] {
  if (room === 0) return [0, 0]
  if (strategy !== 'longest_first') {
    const length = strategy === 'only_first' ? a : b
    if (length === undefined) throw expected('truncation', '"longest_first" or "only_first" for a single text', strategy)
    if (length <= excess)
      throw new BertletError(
        'invalid_argument',
        `truncation: ${strategy === 'only_first' ? 'the first' : 'the second'} text has ${length} tokens, and ${excess} must go`,
        'Pass a larger max_length or truncation: "longest_first"',
      )
    return strategy === 'only_first' ? [a - excess, b ?? 0] : [a, length - excess]
  }
  if (b === undefined) return [room, 0]
  // The longer text first; once both are equal, of an odd number of places the longer one keeps one more.
  const short = Math.min(a, b)
  const long = Math.max(short, room - short)
  const [less, more] = short + long > room ? [Math.floor(room / 2), Math.ceil(room / 2)] : [short, long]
  return firstIsLonger ? [more, less] : [less, more]
}

/** The ranges of `keep` tokens over `length`, from the side that stays; without a place left, nothing and then all. */
function cut(length: number, keep: number, { stride, side, overflow }: TruncationOptions): Range[] {
  if (keep >= length) return [[0, length]]
  if (keep === 0)
    return overflow
      ? [
          [0, 0],
          [0, length],
        ]
      : [[0, 0]]
  if (!overflow) return [side === 'right' ? [0, keep] : [length - keep, length]]
  if (stride >= keep)
    throw expected(
      'stride',
      `less than ${keep}, the tokens of a window without its special ones`,
      stride,
      'Pass a larger max_length or a smaller stride',
    )
  const ranges: Range[] = []
  for (let done = 0; ; done += keep - stride) {
    const end = Math.min(done + keep, length)
    ranges.push(side === 'right' ? [done, end] : [length - end, length - done])
    if (end === length) return ranges
  }
}
