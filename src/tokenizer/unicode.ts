// What the official library makes of every character, from tables of our own: ids do not depend on the engine's Unicode version.
import * as tables from './unicode-tables.ts'

export interface NormalizeOptions {
  readonly clean_text: boolean
  readonly handle_chinese_chars: boolean
  readonly strip_accents: boolean
  readonly lowercase: boolean
}

export const enum Kind {
  /** Part of a word, as another single unit perhaps. */
  Letter = 0,
  Space = 1,
  Removed = 2,
  /** A word of its own. */
  Alone = 3,
  /** More than one unit, before or after folding: `expand()` tells. */
  Several = 4,
  /** A combining mark that stripping accents keeps: the text must be put in canonical order first. */
  Mark = 5,
}

/** Per UTF-16 unit its kind and what it folds to. */
export interface UnitTable {
  readonly kind: Uint8Array
  readonly fold: Uint16Array
}

const CHINESE = [0x4e00, 0x9fff, 0x3400, 0x4dbf, 0xf900, 0xfaff, 0x20000, 0x2a6df, 0x2a700, 0x2b73f, 0x2b740, 0x2b81f]
CHINESE.push(0x2b920, 0x2ceaf, 0x2f800, 0x2fa1f)
// Never extended since Unicode 6.3.
const SPACES = [9, 10, 11, 12, 13, 32, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]
const HANGUL = { first: 0xac00, last: 0xd7a3, lead: 0x1100, vowel: 0x1161, tail: 0x11a7, vowels: 21, tails: 28 }

// --- decoding: digits of base 64 carry 5 bits, the sixth says that more follow; a row stands behind the number of its repetitions ---

function rows(text: string, width: number, row: (values: number[]) => void): void {
  let at = 0
  const number = (): number => {
    let [value, scale] = [0, 1]
    for (;;) {
      const digit = digitOf(text.charCodeAt(at++))
      value += (digit & 31) * scale
      if (digit < 32) return value
      scale *= 32
    }
  }
  while (at < text.length) {
    const count = number()
    const values = Array.from({ length: width }, number)
    // A width of 2 with a list behind: code point, length, code points.
    if (width === 0) values.push(number(), ...Array.from({ length: number() }, number))
    for (let i = 0; i < count; i++) row(values)
  }
}

function digitOf(code: number): number {
  if (code >= 97) return code - 71
  if (code >= 65) return code - 65
  return code === 43 ? 62 : code === 47 ? 63 : code + 4
}

/** Sorted [start, end) pairs. */
function ranges(text: string): Int32Array {
  const bounds: number[] = []
  let end = 0
  rows(text, 2, ([gap, length]) => {
    bounds.push(end + gap!, (end += gap! + length!))
  })
  return Int32Array.from(bounds)
}

function values(text: string, relative: boolean): Map<number, number> {
  const map = new Map<number, number>()
  let [code, value] = [0, 0]
  rows(text, 2, ([gap, change]) => {
    code += gap!
    value += change! % 2 === 1 ? -(change! + 1) / 2 : change! / 2
    map.set(code, relative ? code + value : value)
  })
  return map
}

function lists(text: string): Map<number, readonly number[]> {
  const map = new Map<number, readonly number[]>()
  rows(text, 0, ([code, ...to]) => map.set(code!, to))
  return map
}

/** Decoded when first asked for. */
function once<T>(make: () => T): () => T {
  let value: T | undefined
  return () => (value ??= make())
}

const removed = once(() => ranges(tables.REMOVED))
const punctuation = once(() => ranges(tables.PUNCTUATION))
const marks = once(() => ranges(tables.MARKS))
const word = once(() => ranges(tables.WORD))
const stripped = once(() => values(tables.STRIPPED, false))
const several = once(() => lists(tables.STRIPPED_TO_SEVERAL))
const lowered = once(() => values(tables.LOWERED, true))
const ranks = once(() => values(tables.RANKS, false))

function inRanges(bounds: Int32Array, code: number): boolean {
  let [low, high] = [0, bounds.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (bounds[middle]! <= code) low = middle + 1
    else high = middle
  }
  return (low & 1) === 1
}

export const isSpace = (code: number): boolean =>
  code < 128 ? code === 32 || (code >= 9 && code <= 13) : (code >= 0x2000 && code <= 0x200a) || SPACES.includes(code)

export const isPunctuation = (code: number): boolean => inRanges(punctuation(), code)

/** Characters that a single_word token must not touch. */
export const isWordCharacter = (code: number): boolean => inRanges(word(), code)

/** What cleaning takes out; tab and line ends are spaces. */
export const isRemoved = (code: number): boolean => inRanges(removed(), code)

export function isChinese(code: number): boolean {
  for (let i = 0; i < CHINESE.length; i += 2) if (code >= CHINESE[i]! && code <= CHINESE[i + 1]!) return true
  return false
}

/** Order of a combining mark among its neighbours; 0 for what stays where it is. */
export const rankOf = (code: number): number => (code < 0x300 ? 0 : (ranks().get(code) ?? 0))

/** Canonical decomposition without nonspacing marks. */
export function strip(code: number): readonly number[] {
  if (code < 0xc0) return [code]
  if (code >= HANGUL.first && code <= HANGUL.last) return hangul(code - HANGUL.first)
  if (inRanges(marks(), code)) return []
  return several().get(code) ?? [stripped().get(code) ?? code]
}

function hangul(index: number): number[] {
  const { lead, vowel, tail, vowels, tails } = HANGUL
  const pair = [lead + Math.floor(index / (vowels * tails)), vowel + (Math.floor(index / tails) % vowels)]
  return index % tails === 0 ? pair : [...pair, tail + (index % tails)]
}

const DOTTED_I = 0x130

export function lower(code: number): readonly number[] {
  return code === DOTTED_I ? [0x69, 0x307] : [lowered().get(code) ?? code]
}

/** What one character that is not removed becomes. */
export function expand(code: number, { strip_accents, lowercase }: NormalizeOptions): readonly number[] {
  const base = strip_accents ? strip(code) : [code]
  return lowercase ? base.flatMap(lower) : base
}

const made = new Map<string, UnitTable>()

/** The table of all units for these options; made once in a few tenths of a millisecond. */
export function unitTable(options: NormalizeOptions): UnitTable {
  const key = [options.clean_text, options.handle_chinese_chars, options.strip_accents, options.lowercase].join()
  const table = made.get(key) ?? build(options)
  made.set(key, table)
  return table
}

function build({ clean_text, handle_chinese_chars, strip_accents, lowercase }: NormalizeOptions): UnitTable {
  const [kind, fold, own] = [new Uint8Array(65536), new Uint16Array(65536), new Uint8Array(65536)]
  const small = Uint16Array.from({ length: 65536 }, (_, unit) => unit)
  if (lowercase) for (const [code, to] of lowered()) if (code < 65536) small[code] = to
  fold.set(small)
  if (strip_accents) for (const [code, to] of stripped()) if (code < 65536) fold[code] = small[to]!

  fill(own, punctuation(), Kind.Alone)
  for (const code of SPACES) own[code] = Kind.Space
  own.fill(Kind.Space, 0x2000, 0x200b)
  for (let unit = 0; unit < 65536; unit++) kind[unit] = own[fold[unit]!]!

  if (strip_accents) {
    for (const [code, to] of stripped()) if (code < 65536 && to > 65535) kind[code] = Kind.Several
    for (const [code, to] of several()) if (code < 65536) kind[code] = to.some(rankOf) ? Kind.Mark : Kind.Several
    for (const code of ranks().keys()) if (code < 65536) kind[code] = Kind.Mark
    kind.fill(Kind.Several, HANGUL.first, HANGUL.last + 1)
    fill(kind, marks(), Kind.Removed)
  } else if (lowercase) kind[DOTTED_I] = Kind.Several
  if (handle_chinese_chars) for (let i = 0; i < 6; i += 2) kind.fill(Kind.Alone, CHINESE[i], CHINESE[i + 1]! + 1)
  // Ideographs that fold to one beyond 65535.
  if (strip_accents) for (const [code, to] of stripped()) if (code < 65536 && to > 65535) kind[code] = Kind.Several
  kind.fill(Kind.Several, 0xd800, 0xe000)
  if (clean_text) fill(kind, removed(), Kind.Removed)
  return { kind, fold }
}

function fill(table: Uint8Array, bounds: Int32Array, kind: Kind): void {
  for (let i = 0; i < bounds.length && bounds[i]! < 65536; i += 2) table.fill(kind, bounds[i], Math.min(bounds[i + 1]!, 65536))
}
