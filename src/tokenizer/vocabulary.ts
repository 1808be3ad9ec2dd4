// A vocabulary as three flat arrays and a hash table: nothing is allocated per token, and a lookup copies no text.
import { BertletError, show } from '../errors.ts'

/** Of the rolling hash; powers of an odd number stay odd, so a part's hash follows from those of two prefixes. */
const FACTOR = 0x01000193
/** Keeps a far id of a damaged file from filling memory. */
const MOST_IDS = 1 << 24

export class Vocabulary {
  readonly size: number
  /** Longest token in units, without the prefix where it has one. */
  readonly longest: number
  private readonly units: Uint16Array
  /** Where token i stands in `units`; its end is the next one's start. */
  private readonly starts: Uint32Array
  private readonly ids: Int32Array
  /** Token + 1 by id, 0 for none; made when a token is asked for. */
  private byId: Int32Array | undefined
  /** Per slot 0, or 1 + 2 * token + (1 if it continues a word). */
  private readonly slots: Int32Array
  private readonly hashes: Int32Array
  private readonly mask: number

  /**
   * @param tokens in the order of the file
   * @param ids of the tokens; their places by default
   * @param name of the file, for messages
   */
  constructor(
    tokens: readonly string[],
    readonly prefix: string,
    name: string,
    ids?: readonly number[],
  ) {
    this.size = tokens.length
    let length = 0
    for (const token of tokens) length += token.length
    this.units = new Uint16Array(length)
    this.starts = new Uint32Array(tokens.length + 1)
    this.ids = ids ? Int32Array.from(ids) : Int32Array.from(tokens, (_, i) => i)
    let capacity = 1024
    // Every token once, and once more if it continues a word: at most half full.
    while (capacity < tokens.length * 2.5) capacity *= 2
    this.mask = capacity - 1
    this.slots = new Int32Array(capacity)
    this.hashes = new Int32Array(capacity)

    const { units, starts } = this
    let [at, longest] = [0, 0]
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!
      const start = at
      let hash = 0
      for (let k = 0; k < token.length; k++) {
        const unit = token.charCodeAt(k)
        units[at++] = unit
        hash = (Math.imul(hash, FACTOR) + unit) | 0
      }
      starts[i + 1] = at
      const twin = this.insert(hash, i, 0)
      if (twin >= 0)
        throw new BertletError(
          'invalid_file',
          `${name}: the token ${show(token)} stands twice, with the ids ${this.ids[twin]} and ${this.ids[i]}`,
          'Each token stands once',
        )
      if (token.length > longest) longest = token.length
      if (token.length > prefix.length && token.startsWith(prefix)) this.insert(hashOf(units, start + prefix.length, at), i, 1)
    }
    this.longest = longest
    this.checkIds(name)
  }

  /** The id of the units [from, to) of a word, whose hash is `hash`; -1 for none. */
  find(word: Uint16Array, from: number, to: number, hash: number, continues: 0 | 1): number {
    const { slots, hashes, units, starts, mask } = this
    const skip = continues === 1 ? this.prefix.length : 0
    for (let slot = slotOf(hash, continues) & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!
      if (entry === 0) return -1
      if (hashes[slot] !== hash || ((entry - 1) & 1) !== continues) continue
      const token = (entry - 1) >> 1
      let at = starts[token]! + skip
      if (starts[token + 1]! - at !== to - from) continue
      let k = from
      while (k < to && units[at] === word[k]) {
        at++
        k++
      }
      if (k === to) return this.ids[token]!
    }
  }

  id(token: string): number | undefined {
    const word = Uint16Array.from({ length: token.length }, (_, i) => token.charCodeAt(i))
    const id = this.find(word, 0, word.length, hashOf(word, 0, word.length), 0)
    return id < 0 ? undefined : id
  }

  token(id: number): string | undefined {
    const entry = this.index()[id]
    return entry === undefined || entry === 0 ? undefined : this.text(entry - 1)
  }

  /** Tokens and ids, by id. */
  *entries(): Generator<[string, number]> {
    for (const entry of this.index()) if (entry > 0) yield [this.text(entry - 1), this.ids[entry - 1]!]
  }

  private text(token: number): string {
    let [text, at] = ['', this.starts[token]!]
    const end = this.starts[token + 1]!
    // In parts: an engine takes only so many arguments.
    for (; at < end; at += 4096) text += String.fromCharCode(...this.units.subarray(at, Math.min(at + 4096, end)))
    return text
  }

  /** Puts a token into the table; its twin, if it has one, else -1. */
  private insert(hash: number, token: number, continues: 0 | 1): number {
    const { slots, hashes, mask } = this
    let slot = slotOf(hash, continues) & mask
    for (; slots[slot] !== 0; slot = (slot + 1) & mask)
      if (hashes[slot] === hash && ((slots[slot]! - 1) & 1) === continues && this.isTwin((slots[slot]! - 1) >> 1, token))
        return (slots[slot]! - 1) >> 1
    slots[slot] = 1 + 2 * token + continues
    hashes[slot] = hash
    return -1
  }

  private isTwin(a: number, b: number): boolean {
    const { units, starts } = this
    const length = starts[b + 1]! - starts[b]!
    if (starts[a + 1]! - starts[a]! !== length) return false
    for (let i = 0; i < length; i++) if (units[starts[a]! + i] !== units[starts[b]! + i]) return false
    return true
  }

  private index(): Int32Array {
    if (this.byId) return this.byId
    const byId = new Int32Array(this.ids.reduce((most, id) => Math.max(most, id), -1) + 1)
    this.ids.forEach((id, token) => (byId[id] = token + 1))
    return (this.byId = byId)
  }

  private checkIds(name: string): void {
    const seen = new Int32Array(this.size)
    const far = new Map<number, number>()
    this.ids.forEach((id, token) => {
      if (id < 0 || id >= MOST_IDS)
        throw new BertletError(
          'invalid_file',
          `${name}: the id of ${show(this.text(token))}: expected a whole number below ${MOST_IDS}, got ${id}`,
        )
      const other = id < seen.length ? seen[id]! - 1 : (far.get(id) ?? -1)
      if (other >= 0)
        throw new BertletError(
          'invalid_file',
          `${name}: the tokens ${show(this.text(other))} and ${show(this.text(token))} share the id ${id}`,
          'Each token has an id of its own',
        )
      if (id < seen.length) seen[id] = token + 1
      else far.set(id, token)
    })
  }
}

/** The hash of units [from, to). */
export function hashOf(units: Uint16Array, from: number, to: number): number {
  let hash = 0
  for (let i = from; i < to; i++) hash = (Math.imul(hash, FACTOR) + units[i]!) | 0
  return hash
}

/** The hash of a word that is one unit longer. */
export const hashNext = (hash: number, unit: number): number => (Math.imul(hash, FACTOR) + unit) | 0

/** FACTOR ** 0, 1, ... */
export function hashPowers(count: number): Int32Array {
  const powers = new Int32Array(count + 1).fill(1)
  for (let i = 1; i <= count; i++) powers[i] = Math.imul(powers[i - 1]!, FACTOR)
  return powers
}

function slotOf(hash: number, continues: 0 | 1): number {
  const mixed = Math.imul(hash ^ (hash >>> 15) ^ (continues * 0x2545f491), 0x85ebca6b)
  return mixed ^ (mixed >>> 13)
}
