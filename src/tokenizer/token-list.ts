// The tokens of a file in flat arrays, read from its text in one pass: no string and no object per token.
import { BertletError, show } from '../errors.ts'

export interface TokenList {
  readonly size: number
  /** UTF-16 units of all tokens, one behind the other. */
  readonly units: Uint16Array
  /** Where each token starts in `units`, and the end of the last. */
  readonly starts: Uint32Array
  readonly ids: Int32Array
  readonly hashes: Int32Array
}

/** Of the rolling hash. A part's hash follows from those of two prefixes. */
export const FACTOR = 0x01000193

/** The hash of a word that is one unit longer. */
export const hashNext = (hash: number, unit: number): number => (Math.imul(hash, FACTOR) + unit) | 0

const [TAB, LINE, RETURN, SPACE, QUOTE, COMMA, ZERO, NINE, COLON, BACKSLASH, CLOSE] = [9, 10, 13, 32, 34, 44, 48, 57, 58, 92, 125]

/** A vocab.txt: the id of a token is its line, counted from 0. */
export function fromLines(text: string): TokenList {
  const units = new Uint16Array(text.length + 1)
  let size = text.endsWith('\n') || text === '' ? 0 : 1
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) size++
  const [starts, ids, hashes] = [new Uint32Array(size + 1), new Int32Array(size), new Int32Array(size)]
  let i = 0
  let at = 0
  for (let token = 0; token < size; token++) {
    let hash = 0
    for (let unit = text.charCodeAt(i++); unit !== LINE && i <= text.length; unit = text.charCodeAt(i++)) {
      if (unit === RETURN && (i === text.length || text.charCodeAt(i) === LINE)) continue
      units[at++] = unit
      hash = hashNext(hash, unit)
    }
    starts[token + 1] = at
    ids[token] = token
    hashes[token] = hash
  }
  return { size, units, starts, ids, hashes }
}

export function fromTokens(tokens: readonly string[], ids: readonly number[], name: string): TokenList {
  const units = new Uint16Array(tokens.reduce((sum, token) => sum + token.length, 0))
  const starts = new Uint32Array(tokens.length + 1)
  const hashes = new Int32Array(tokens.length)
  let at = 0
  tokens.forEach((token, i) => {
    checkId(ids[i], token, name)
    for (let k = 0; k < token.length; k++) {
      units[at++] = token.charCodeAt(k)
      hashes[i] = hashNext(hashes[i]!, token.charCodeAt(k))
    }
    starts[i + 1] = at
  })
  return { size: tokens.length, units, starts, ids: Int32Array.from(ids), hashes }
}

/** Keeps a far id of a damaged file from filling memory. */
const MOST_IDS = 1 << 24

function checkId(id: unknown, token: string, name: string): void {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= MOST_IDS)
    throw new BertletError('invalid_file', `${name}: the id of ${show(token)}: expected a whole number below ${MOST_IDS}, got ${show(id)}`)
}

/**
 * The object of tokens and ids that stands at `at` in a JSON text, and where it ends. Undefined for anything unusual, which JSON.parse then
 * judges.
 */
export function fromJsonText(text: string, at: number): { list: TokenList; end: number } | undefined {
  const units = new Uint16Array(text.length - at)
  // The shortest entry is `"":0,`.
  const most = Math.ceil((text.length - at) / 5) + 1
  const starts = new Uint32Array(most + 1)
  const ids = new Int32Array(most)
  const hashes = new Int32Array(most)
  let size = 0
  let length = 0
  let i = at + 1
  for (;;) {
    let c = text.charCodeAt(i)
    while (c === SPACE || c === LINE || c === RETURN || c === TAB) c = text.charCodeAt(++i)
    if (c !== QUOTE) return undefined
    let hash = 0
    for (c = text.charCodeAt(++i); c !== QUOTE; c = text.charCodeAt(++i)) {
      let unit = c
      if (c === BACKSLASH) {
        const escape = text.slice(i, i + (text[i + 1] === 'u' ? 6 : 2))
        try {
          unit = (JSON.parse(`"${escape}"`) as string).charCodeAt(0)
        } catch {
          return undefined
        }
        i += escape.length - 1
        // A control character, or NaN: the end.
      } else if (!(c >= SPACE)) return undefined
      units[length++] = unit
      hash = hashNext(hash, unit)
    }
    c = text.charCodeAt(++i)
    while (c === SPACE || c === LINE || c === RETURN || c === TAB) c = text.charCodeAt(++i)
    if (c !== COLON) return undefined
    c = text.charCodeAt(++i)
    while (c === SPACE || c === LINE || c === RETURN || c === TAB) c = text.charCodeAt(++i)
    const first = i
    let id = 0
    for (; c >= ZERO && c <= NINE; c = text.charCodeAt(++i)) id = id * 10 + c - ZERO
    if (i === first || id >= MOST_IDS || (text.charCodeAt(first) === ZERO && i > first + 1)) return undefined
    hashes[size] = hash
    ids[size++] = id
    starts[size] = length
    while (c === SPACE || c === LINE || c === RETURN || c === TAB) c = text.charCodeAt(++i)
    if (c === CLOSE) break
    if (c !== COMMA) return undefined
    i++
  }
  const list = {
    size,
    units: units.slice(0, length),
    starts: starts.slice(0, size + 1),
    ids: ids.slice(0, size),
    hashes: hashes.slice(0, size),
  }
  return { list, end: i + 1 }
}
