// Tokens that are found in the text before it is split: [MASK], and whatever a user adds.
import { isSpace, isWordCharacter } from './unicode.ts'

/** As in tokenizer.json. */
export interface AddedToken {
  readonly id: number
  readonly content: string
  /** Only where no word character touches it. */
  readonly single_word: boolean
  /** Takes the white space on its left, or right, with it. */
  readonly lstrip: boolean
  readonly rstrip: boolean
  /** Looked for in the normalised text, as normalised itself. */
  readonly normalized: boolean
  /** Left out by decode() with skip_special_tokens. */
  readonly special: boolean
}

/** Finds a set of added tokens: the leftmost, of those the longest, without overlap. */
export class AddedTokens {
  private readonly pattern: RegExp
  private readonly tokens: ReadonlyMap<string, AddedToken>

  /** @param tokens by what to look for */
  constructor(tokens: ReadonlyMap<string, AddedToken>) {
    this.tokens = tokens
    const longestFirst = [...tokens.keys()].sort((a, b) => b.length - a.length)
    this.pattern = new RegExp(longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g')
  }

  /** Calls `between(start, end)` for text without tokens and `found(token, start, end)` for tokens, in order. */
  split(text: string, between: (start: number, end: number) => void, found: (token: AddedToken, start: number, end: number) => void): void {
    const { pattern } = this
    let done = 0
    pattern.lastIndex = 0
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      const token = this.tokens.get(match[0])!
      let [start, end] = [match.index, match.index + match[0].length]
      if (token.single_word && (endsWithWord(text, start) || startsWithWord(text, end))) continue
      if (token.lstrip) {
        while (start > 0 && isSpace(text.charCodeAt(start - 1))) start--
        start = Math.max(start, done)
      }
      if (token.rstrip) while (end < text.length && isSpace(text.charCodeAt(end))) end++
      if (done < start) between(done, start)
      found(token, start, end)
      done = end
    }
    if (done < text.length) between(done, text.length)
  }
}

function startsWithWord(text: string, at: number): boolean {
  return at < text.length && isWordCharacter(text.codePointAt(at)!)
}

function endsWithWord(text: string, at: number): boolean {
  if (at === 0) return false
  const low = text.charCodeAt(at - 1)
  const pair = at > 1 && low >= 0xdc00 && low <= 0xdfff ? text.codePointAt(at - 2)! : low
  return isWordCharacter(pair > 0xffff ? pair : low)
}
