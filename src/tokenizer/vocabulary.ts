// A vocabulary as three flat arrays and a hash table: nothing is allocated per token, and a lookup copies no text.
import { BertletError, show } from '../errors.ts'
import { FACTOR, type TokenList } from './token-list.ts'

export class Vocabulary {
  readonly size: number
  /** Units of the longest token. */
  readonly longest: number
  /** Token + 1 by id, 0 for none. */
  private readonly byId: Int32Array
  /** Per slot a hash, then 0 or 1 + 2 * token + (1 if it continues a word). */
  private readonly slots: Int32Array
  private readonly mask: number

  /** @param name of the file, for messages */
  constructor(
    private readonly list: TokenList,
    readonly prefix: string,
    name: string,
  ) {
    const { size, units, starts, ids } = list
    this.size = size
    const start = Uint16Array.from({ length: prefix.length }, (_, i) => prefix.charCodeAt(i))
    let longest = 0
    let last = -1
    // Every token once, and once more if it may continue a word.
    let entries = size
    for (let i = 0; i < size; i++) {
      const from = starts[i]!
      if (starts[i + 1]! - from > longest) longest = starts[i + 1]! - from
      if (ids[i]! > last) last = ids[i]!
      if (start.length === 0 || units[from] === start[0]) entries++
    }
    this.longest = longest
    this.byId = new Int32Array(last + 1)

    let capacity = 1024
    while (capacity < entries * 1.5) capacity *= 2
    const mask = 2 * capacity - 2
    const slots = new Int32Array(2 * capacity)
    this.mask = mask
    this.slots = slots

    for (let i = 0; i < size; i++) {
      const from = starts[i]!
      const to = starts[i + 1]!
      let hash = list.hashes[i]!
      let slot = slotOf(hash, 0) & mask
      for (let entry = slots[slot + 1]!; entry !== 0; entry = slots[slot + 1]!) {
        if (slots[slot] === hash && (entry & 1) === 1 && this.isTwin(entry >> 1, i)) this.refuseTwin(entry >> 1, i, name)
        slot = (slot + 2) & mask
      }
      slots[slot] = hash
      slots[slot + 1] = 1 + 2 * i
      if (this.byId[ids[i]!] !== 0) this.refuseId(i, name)
      this.byId[ids[i]!] = i + 1

      let shared = 0
      while (shared < start.length && from + shared < to && units[from + shared] === start[shared]) shared++
      if (shared < start.length || to - from <= shared) continue
      hash = hashOf(units, from + shared, to)
      slot = slotOf(hash, 1) & mask
      while (slots[slot + 1] !== 0) slot = (slot + 2) & mask
      slots[slot] = hash
      slots[slot + 1] = 2 + 2 * i
    }
  }

  /** The id of the units [from, to) of a word, whose hash is `hash`; -1 for none. */
  find(word: Uint16Array, from: number, to: number, hash: number, continues: 0 | 1): number {
    const { slots, mask } = this
    const { units, starts, ids } = this.list
    const skip = continues === 1 ? this.prefix.length : 0
    for (let slot = slotOf(hash, continues) & mask; ; slot = (slot + 2) & mask) {
      const entry = slots[slot + 1]!
      if (entry === 0) return -1
      if (slots[slot] !== hash || ((entry - 1) & 1) !== continues) continue
      const token = (entry - 1) >> 1
      let at = starts[token]! + skip
      if (starts[token + 1]! - at !== to - from) continue
      let k = from
      while (k < to && units[at] === word[k]) {
        at++
        k++
      }
      if (k === to) return ids[token]!
    }
  }

  id(token: string): number | undefined {
    const word = Uint16Array.from({ length: token.length }, (_, i) => token.charCodeAt(i))
    const id = this.find(word, 0, word.length, hashOf(word, 0, word.length), 0)
    return id < 0 ? undefined : id
  }

  token(id: number): string | undefined {
    const entry = this.byId[id]
    return entry === undefined || entry === 0 ? undefined : this.text(entry - 1)
  }

  /** Tokens and ids, by id. */
  *entries(): Generator<[string, number]> {
    for (const entry of this.byId) if (entry > 0) yield [this.text(entry - 1), this.list.ids[entry - 1]!]
  }

  private text(token: number): string {
    const { units, starts } = this.list
    const end = starts[token + 1]!
    let text = ''
    // In parts: an engine takes only so many arguments.
    for (let at = starts[token]!; at < end; at += 4096) text += String.fromCharCode(...units.subarray(at, Math.min(at + 4096, end)))
    return text
  }

  private isTwin(a: number, b: number): boolean {
    const { units, starts } = this.list
    const length = starts[b + 1]! - starts[b]!
    if (starts[a + 1]! - starts[a]! !== length) return false
    for (let i = 0; i < length; i++) if (units[starts[a]! + i] !== units[starts[b]! + i]) return false
    return true
  }

  private refuseTwin(token: number, twin: number, name: string): never {
    const { ids } = this.list
    throw new BertletError(
      'invalid_file',
      `${name}: the token ${show(this.text(token))} stands twice, with the ids ${ids[token]} and ${ids[twin]}`,
      'Each token stands once',
    )
  }

  private refuseId(token: number, name: string): never {
    const id = this.list.ids[token]!
    throw new BertletError(
      'invalid_file',
      `${name}: the tokens ${show(this.text(this.byId[id]! - 1))} and ${show(this.text(token))} share the id ${id}`,
      'Each token has an id of its own',
    )
  }
}

/** The hash of units [from, to). */
export function hashOf(units: Uint16Array, from: number, to: number): number {
  let hash = 0
  for (let i = from; i < to; i++) hash = (Math.imul(hash, FACTOR) + units[i]!) | 0
  return hash
}

/** FACTOR ** 0, 1, ... */
export function hashPowers(count: number): Int32Array {
  const powers = new Int32Array(count + 1).fill(1)
  for (let i = 1; i <= count; i++) powers[i] = Math.imul(powers[i - 1]!, FACTOR)
  return powers
}

/** Any bits: the mask makes an even number of them. */
function slotOf(hash: number, continues: 0 | 1): number {
  const mixed = Math.imul(hash ^ (hash >>> 15) ^ (continues * 0x2545f491), 0x85ebca6b)
  return mixed ^ (mixed >>> 13)
}
