// The words of a line as BERT's normaliser and pre-tokeniser make them, for counting: no ids, no places.
import { normalize } from './normalize.ts'
import { complete, isPunctuation, isSpace, Kind, unitTable, type NormalizeOptions } from './unicode.ts'

/** Calls `found` for every word: at white space, each punctuation mark and each ideograph a word of its own. */
export function eachWord(text: string, options: NormalizeOptions, found: (word: string) => void): void {
  const table = unitTable(options)
  const units = new Uint16Array(text.length)
  let count = 0
  const close = (): void => {
    if (count > 0) found(textOf(units, count))
    count = 0
  }
  // Nothing is told before the line is seen to be of such units alone.
  for (let i = 0; i < text.length; i++) {
    const kind = table[text.charCodeAt(i)]!
    if (kind === Kind.Unmade) {
      complete(table, options)
      i--
    } else if (kind === Kind.Several || kind === Kind.Mark) return eachNormalized(text, options, found)
  }
  for (let i = 0; i < text.length; i++) {
    const kind = table[text.charCodeAt(i)]!
    if (kind >= 0) units[count++] = kind
    else if (kind === Kind.Space) close()
    else if (kind <= Kind.Alone) {
      close()
      found(String.fromCharCode(Kind.Alone - kind))
    }
  }
  close()
}

/** The same over the line normalised as a whole. */
function eachNormalized(text: string, options: NormalizeOptions, found: (word: string) => void): void {
  let word = ''
  const close = (): void => {
    if (word !== '') found(word)
    word = ''
  }
  for (const code of normalize(text, 0, text.length, options).codes) {
    const character = String.fromCodePoint(code)
    if (isSpace(code)) close()
    else if (isPunctuation(code)) {
      close()
      found(character)
    } else word += character
  }
  close()
}

function textOf(units: Uint16Array, count: number): string {
  let text = ''
  // In parts: an engine takes only so many arguments.
  for (let at = 0; at < count; at += 4096) text += String.fromCharCode(...units.subarray(at, Math.min(at + 4096, count)))
  return text
}
