// BERT's normaliser, code point by code point, with the place in the original text that each result came from.

export interface NormalizeOptions {
  readonly clean_text: boolean
  readonly handle_chinese_chars: boolean
  readonly strip_accents: boolean
  readonly lowercase: boolean
}

/** A normalised word between spaces or punctuation: code units of `text`, and per unit the start and end in the original. */
export interface Word {
  readonly text: string
  /** Start of each UTF-16 unit's source in the original, in string indices. */
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

const enum Class {
  Unknown = 0,
  Letter = 1,
  Space = 2,
  Removed = 3,
  Punctuation = 4,
  Chinese = 5,
}

// Filled as characters are met.
const classes = new Uint8Array(0x110000)
// The reference has no table of unassigned characters: it keeps them.
const OTHER = /^[\p{Cc}\p{Cf}\p{Co}]$/u
const SPACE = /^\p{White_Space}$/u
const PUNCTUATION = /^\p{P}$/u
const MARK = /^\p{Mn}$/u

function classOf(code: number): Class {
  return classes[code] || (classes[code] = classify(code))
}

function classify(code: number): Class {
  if (code === 9 || code === 10 || code === 13) return Class.Space
  if (code === 0 || code === 0xfffd) return Class.Removed
  const character = String.fromCodePoint(code)
  if (OTHER.test(character)) return Class.Removed
  if (SPACE.test(character)) return Class.Space
  if (isAsciiPunctuation(code) || PUNCTUATION.test(character)) return Class.Punctuation
  return isChinese(code) ? Class.Chinese : Class.Letter
}

function isAsciiPunctuation(code: number): boolean {
  return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) || (code >= 123 && code <= 126)
}

/** The blocks of CJK ideographs that BERT sets apart. */
function isChinese(code: number): boolean {
  return (
    (code >= 0x4e00 && code <= 0x9fff) ||
    (code >= 0x3400 && code <= 0x4dbf) ||
    (code >= 0x20000 && code <= 0x2a6df) ||
    (code >= 0x2a700 && code <= 0x2b73f) ||
    (code >= 0x2b740 && code <= 0x2b81f) ||
    (code >= 0x2b920 && code <= 0x2ceaf) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0x2f800 && code <= 0x2fa1f)
  )
}

/** Normalises and splits: words at white space, each punctuation mark and each ideograph a word of its own. */
export function words(text: string, options: NormalizeOptions, from = 0, to = text.length): Word[] {
  const result: Word[] = []
  let [current, starts, ends] = ['', [] as number[], [] as number[]]
  const close = (): void => {
    if (current !== '') result.push({ text: current, starts, ends })
    current = ''
    starts = []
    ends = []
  }
  const push = (piece: string, start: number, end: number): void => {
    current += piece
    for (let i = 0; i < piece.length; i++) {
      starts.push(start)
      ends.push(end)
    }
  }
  for (let i = from; i < to;) {
    let code = text.codePointAt(i)!
    const end = i + (code > 0xffff ? 2 : 1)
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd
    const kind = classOf(code)
    if (kind === Class.Space) close()
    else if (kind === Class.Removed) {
      if (!options.clean_text) push(String.fromCodePoint(code), i, end)
    } else if (kind === Class.Chinese && options.handle_chinese_chars) {
      close()
      emit(code, i, end)
      close()
    } else emit(code, i, end)
    i = end
  }
  close()
  return result

  /** One character, folded; what it folds to may be punctuation or space again. */
  function emit(code: number, start: number, end: number): void {
    if (code < 128) {
      const folded = options.lowercase && code >= 65 && code <= 90 ? code + 32 : code
      if (isAsciiPunctuation(folded)) alone(String.fromCharCode(folded), start, end)
      else push(String.fromCharCode(folded), start, end)
      return
    }
    for (const character of fold(String.fromCodePoint(code), options)) {
      const kind = classOf(character.codePointAt(0)!)
      if (kind === Class.Space) close()
      else if (kind === Class.Punctuation) alone(character, start, end)
      else push(character, start, end)
    }
  }

  function alone(character: string, start: number, end: number): void {
    close()
    push(character, start, end)
    close()
  }
}

function fold(character: string, { strip_accents, lowercase }: NormalizeOptions): string {
  let folded = character
  if (strip_accents) folded = [...folded.normalize('NFD')].filter((c) => !MARK.test(c)).join('')
  return lowercase ? [...folded].map((c) => c.toLowerCase()).join('') : folded
}
