// What the official library makes of every character, from tables of our own: ids do not depend on the engine's Unicode version.
import * as tables from './unicode-tables.ts'

export interface NormalizeOptions {
  readonly clean_text: boolean
  readonly handle_chinese_chars: boolean
  readonly strip_accents: boolean
  readonly lowercase: boolean
}

/** What a unit is to a table: these, or what it folds to where it is a letter, or ALONE minus that where it is a word of its own. */
export const enum Kind {
  Space = -1,
  Removed = -2,
  /** More than one unit, before or after folding: `expand()` tells. */
  Several = -3,
  /** A combining mark that stripping accents keeps: the text must be put in canonical order first. */
  Mark = -4,
  /** Not in the table yet: `complete()` it. */
  Unmade = -5,
  Alone = -6,
}

const CHINESE = [0x4e00, 0x9fff, 0x3400, 0x4dbf, 0xf900, 0xfaff, 0x20000, 0x2a6df, 0x2a700, 0x2b73f, 0x2b740, 0x2b81f]
CHINESE.push(0x2b920, 0x2ceaf, 0x2f800, 0x2fa1f)
// Never extended since Unicode 6.3.
const SPACES = [9, 10, 11, 12, 13, 32, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]
const HANGUL = { first: 0xac00, last: 0xd7a3, lead: 0x1100, vowel: 0x1161, tail: 0x11a7, vowels: 21, tails: 28 }

// --- decoding: digits of base 64 carry 5 bits, the sixth says that more follow; a row stands behind the number of its repetitions ---

/** Calls `row(a, b)` per row of two numbers. */
function rows(text: string, row: (a: number, b: number) => void): void {
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
    const [a, b] = [number(), number()]
    for (let i = 0; i < count; i++) row(a, b)
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
  rows(text, (gap, length) => void bounds.push(end + gap, (end += gap + length)))
  return Int32Array.from(bounds)
}

function values(text: string, relative: boolean): Map<number, number> {
  const map = new Map<number, number>()
  let [code, value] = [0, 0]
  rows(text, (gap, change) => {
    code += gap
    value += change % 2 === 1 ? -(change + 1) / 2 : change / 2
    map.set(code, relative ? code + value : value)
  })
  return map
}

/**
 * Decompositions without nonspacing marks. They are the engine's: what a character decomposes to never changes once it is in Unicode, and
 * these were before any engine that runs the kernels. Which have one is a table's, for later characters have one that the library does not know.
 */
function decompositions(): Map<number, readonly number[]> {
  const map = new Map<number, readonly number[]>()
  const bounds = ranges(tables.DECOMPOSED)
  for (let i = 0; i < bounds.length; i += 2)
    for (let code = bounds[i]!; code < bounds[i + 1]!; code++) {
      const parts = Array.from(String.fromCodePoint(code).normalize('NFD'), (char) => char.codePointAt(0)!)
      map.set(
        code,
        parts.filter((part) => !inRanges(marks(), part)),
      )
    }
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
const stripped = once(decompositions)
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

export const isPunctuation = (code: number): boolean => (code < 128 ? isAsciiPunctuation(code) : inRanges(punctuation(), code))

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
  return stripped().get(code) ?? [code]
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

const made = new Map<string, Int32Array>()

/** The table of all units for these options. It knows ASCII; the first other unit completes it. */
export function unitTable(options: NormalizeOptions): Int32Array {
  const key = [options.clean_text, options.handle_chinese_chars, options.strip_accents, options.lowercase].join()
  const table = made.get(key) ?? ascii(options)
  made.set(key, table)
  return table
}

function ascii({ clean_text, lowercase }: NormalizeOptions): Int32Array {
  const table = new Int32Array(65536).fill(Kind.Unmade, 128)
  for (let unit = 0; unit < 128; unit++) {
    if (isAsciiPunctuation(unit)) table[unit] = Kind.Alone - unit
    else if (clean_text && (unit < 9 || (unit > 10 && unit < 13) || (unit > 13 && unit < 32) || unit === 127)) table[unit] = Kind.Removed
    else if (isSpace(unit)) table[unit] = Kind.Space
    else table[unit] = lowercase && unit >= 65 && unit <= 90 ? unit + 32 : unit
  }
  return table
}

const isAsciiPunctuation = (code: number): boolean =>
  (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) || (code >= 123 && code <= 126)

/** Decodes the tables and fills in what is not ASCII. */
export function complete(table: Int32Array, options: NormalizeOptions): void {
  const { clean_text, handle_chinese_chars, strip_accents, lowercase } = options
  for (let unit = 128; unit < 65536; unit++) table[unit] = unit
  if (lowercase) for (const [code, to] of lowered()) if (code > 127 && code < 65536) table[code] = to
  const bounds = punctuation()
  for (let i = 0; i < bounds.length; i += 2)
    for (let unit = Math.max(bounds[i]!, 128); unit < bounds[i + 1]! && unit < 65536; unit++) table[unit] = Kind.Alone - unit
  for (const code of SPACES) if (code > 127) table[code] = Kind.Space
  table.fill(Kind.Space, 0x2000, 0x200b)
  if (strip_accents) {
    for (const [code, to] of stripped()) {
      const [base = 0] = to
      if (code < 65536) table[code] = to.length === 1 && base < 65536 ? table[base]! : to.some(rankOf) ? Kind.Mark : Kind.Several
    }
    for (const code of ranks().keys()) if (code < 65536) table[code] = Kind.Mark
    table.fill(Kind.Several, HANGUL.first, HANGUL.last + 1)
    fill(table, marks(), Kind.Removed)
  } else if (lowercase) table[DOTTED_I] = Kind.Several
  if (handle_chinese_chars)
    for (let i = 0; i < 6; i += 2)
      for (let unit = CHINESE[i]!; unit <= CHINESE[i + 1]!; unit++) if (table[unit]! >= 0) table[unit] = Kind.Alone - table[unit]!
  table.fill(Kind.Several, 0xd800, 0xe000)
  if (clean_text) fill(table, removed(), Kind.Removed)
}

function fill(table: Int32Array | Uint8Array, bounds: Int32Array, value: number): void {
  for (let i = 0; i < bounds.length && bounds[i]! < 65536; i += 2) table.fill(value, bounds[i], Math.min(bounds[i + 1]!, 65536))
}
