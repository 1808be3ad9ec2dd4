// BERT's normaliser over a whole text, step by step as the official library does it: for what cannot be told character by character.
import { isChinese, isRemoved, isSpace, lower, rankOf, strip, type NormalizeOptions } from './unicode.ts'

export interface Normalized {
  readonly text: string
  /** Characters of the normalised text, and where each came from in the original, in string indices. */
  readonly codes: readonly number[]
  readonly starts: readonly number[]
  readonly ends: readonly number[]
  /** Per unit of `text`, and one more, the character. */
  readonly units: readonly number[]
}

const SPACE = 32

export function normalize(text: string, from: number, to: number, options: NormalizeOptions): Normalized {
  const [codes, starts, ends]: [number[], number[], number[]] = [[], [], []]
  const put = (code: number, start: number, end: number): void => {
    codes.push(code)
    starts.push(start)
    ends.push(end)
  }
  for (let i = from; i < to;) {
    let code = text.codePointAt(i)!
    const end = i + (code > 0xffff ? 2 : 1)
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd
    if (!options.clean_text || !isRemoved(code)) {
      const alone = options.handle_chinese_chars && isChinese(code)
      if (alone) put(SPACE, i, end)
      put(options.clean_text && isSpace(code) ? SPACE : code, i, end)
      if (alone) put(SPACE, i, end)
    }
    i = end
  }
  const ordered = options.strip_accents ? stripInOrder(codes) : codes.map((code, i) => [code, i] as const)
  const result = { codes: [] as number[], starts: [] as number[], ends: [] as number[], units: [] as number[] }
  let folded = ''
  for (const [code, source] of ordered) {
    for (const small of options.lowercase ? lower(code) : [code]) {
      result.units.push(...(small > 0xffff ? [result.codes.length, result.codes.length] : [result.codes.length]))
      result.codes.push(small)
      result.starts.push(starts[source]!)
      result.ends.push(ends[source]!)
      folded += String.fromCodePoint(small)
    }
  }
  result.units.push(result.codes.length)
  return { text: folded, ...result }
}

interface Mark {
  readonly code: number
  readonly rank: number
  /** The first of what one character became: it takes the place of the next original character. */
  readonly first: boolean
  readonly kept: boolean
}

/**
 * Decomposed, marks in canonical order, nonspacing ones left out; with the index of the character that each counts as coming from. The
 * library hands out the original characters in order, after sorting: a mark that moved ahead takes the place of the one it overtook.
 */
function stripInOrder(codes: readonly number[]): (readonly [number, number])[] {
  const result: (readonly [number, number])[] = []
  let next = 0
  let waiting: Mark[] = []
  const release = (): void => {
    for (const { code, first, kept } of waiting.sort((a, b) => a.rank - b.rank)) {
      if (first) next++
      if (kept) result.push([code, Math.max(next - 1, 0)])
    }
    waiting = []
  }
  for (const code of codes) {
    const parts = strip(code)
    const marks = parts.length === 0 ? [{ code, kept: false }] : parts.map((part) => ({ code: part, kept: true }))
    marks.forEach(({ code: part, kept }, i) => {
      const rank = rankOf(part)
      if (rank === 0) release()
      waiting.push({ code: part, rank, first: i === 0, kept })
    })
  }
  release()
  return result
}
