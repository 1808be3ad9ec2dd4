// Text to pieces: cleaning, folding, splitting into words and WordPiece in one walk over code units.
import { AddedTokens, type AddedToken } from './added.ts'
import { normalize } from './normalize.ts'
import type { Pieces } from './pieces.ts'
import {
  complete,
  expand,
  isChinese,
  isPunctuation,
  isRemoved,
  isSpace,
  Kind,
  rankOf,
  unitTable,
  type NormalizeOptions,
} from './unicode.ts'
import { hashNext } from './token-list.ts'
import { hashPowers, type Vocabulary } from './vocabulary.ts'

export interface EncoderParts {
  readonly vocabulary: Vocabulary
  readonly normalizer: NormalizeOptions
  readonly added: readonly AddedToken[]
  /** The id of a word that the vocabulary cannot make. */
  readonly unknown: number
  /** Characters of the longest word that is looked up. */
  readonly longest: number
}

const LONE = 0xfffd

export class Encoder {
  private readonly table: Int32Array
  private readonly vocabulary: Vocabulary
  private readonly normalizer: NormalizeOptions
  /** Looked for in the text as it is, and in the normalised text. */
  private readonly plain: AddedTokens | undefined
  private readonly normalized: AddedTokens | undefined
  private readonly powers: Int32Array
  private readonly unknown: number
  private readonly longest: number

  // The word at hand: its units, its hash, where it came from. Units past the capacity are only counted: such a word is unknown.
  private readonly units: Uint16Array
  /** Where each unit came from, unless all stand side by side from `begin` on. */
  private readonly starts: Int32Array
  private readonly ends: Int32Array
  private begin = 0
  private scattered = false
  private readonly prefixHashes: Int32Array
  private count = 0
  private hash = 0
  private lastEnd = 0

  // The call at hand.
  private out!: Pieces
  private text = ''
  private word = 0
  private fixedWord = -1

  constructor({ vocabulary, normalizer, added, unknown, longest }: EncoderParts) {
    this.vocabulary = vocabulary
    this.normalizer = normalizer
    this.table = unitTable(normalizer)
    this.unknown = unknown
    this.longest = longest
    const [plain, folded] = [new Map<string, AddedToken>(), new Map<string, AddedToken>()]
    for (const token of added) {
      const text = token.normalized ? normalize(token.content, 0, token.content.length, normalizer).text : token.content
      if (text !== '') (token.normalized ? folded : plain).set(text, token)
    }
    this.plain = plain.size > 0 ? new AddedTokens(plain) : undefined
    this.normalized = folded.size > 0 ? new AddedTokens(folded) : undefined
    const capacity = 2 * longest
    this.units = new Uint16Array(capacity)
    this.starts = new Int32Array(capacity)
    this.ends = new Int32Array(capacity)
    this.prefixHashes = new Int32Array(capacity + 1)
    this.powers = hashPowers(Math.min(capacity, vocabulary.longest))
  }

  /** Appends the pieces of a text; all belong to word `word` if one is given, else words are counted from 0. */
  encode(text: string, out: Pieces, word = -1): void {
    this.out = out
    this.text = text
    this.word = 0
    this.fixedWord = word
    if (this.plain) this.plain.split(text, this.segment, this.addedToken)
    else this.segment(0, text.length)
    this.text = ''
  }

  private readonly addedToken = ({ id }: AddedToken, start: number, end: number): void => this.put(id, start, end, this.nextWord())

  private readonly segment = (from: number, to: number): void => {
    const [length, word] = [this.out.length, this.word]
    if (this.normalized === undefined && this.walk(from, to)) return
    this.out.length = length
    this.word = word
    this.count = this.hash = 0
    this.scattered = false
    this.walkNormalized(from, to)
  }

  /** False where the text needs canonical order; what was put is then void. */
  private walk(from: number, to: number): boolean {
    const { text, units, table } = this
    for (let i = from; i < to;) {
      let unit = text.charCodeAt(i)
      let folded = table[unit]!
      if (folded >= 0) {
        // A run of letters. Past the capacity of `units` a store does nothing, and the word is unknown.
        const [first, start] = [this.count, i]
        let [count, hash] = [first, this.hash]
        do {
          units[count++] = folded
          hash = hashNext(hash, folded)
          if (++i === to) break
          unit = text.charCodeAt(i)
          folded = table[unit]!
        } while (folded >= 0)
        if (first === 0) this.begin = start
        else this.place(first, count, start)
        this.count = count
        this.hash = hash
        this.lastEnd = i
        if (i === to) break
      }
      if (folded === (Kind.Space as number)) {
        this.closeWord()
        i++
      } else if (folded <= (Kind.Alone as number)) {
        this.closeWord()
        units[0] = Kind.Alone - folded
        this.begin = i++
        this.lastEnd = i
        this.endWord(1, units[0])
      } else if (folded === (Kind.Removed as number)) i++
      else if (folded === (Kind.Unmade as number)) complete(table, this.normalizer)
      else if (folded === (Kind.Several as number)) {
        const code = text.codePointAt(i)!
        const end = i + (code > 0xffff ? 2 : 1)
        if (!this.several(code >= 0xd800 && code <= 0xdfff ? LONE : code, i, end)) return false
        i = end
      } else return false
    }
    this.closeWord()
    return true
  }

  /** A character of several units, or one that becomes several. False as walk(). */
  private several(code: number, start: number, end: number): boolean {
    const { normalizer } = this
    if (normalizer.clean_text && isRemoved(code)) return true
    const alone = normalizer.handle_chinese_chars && isChinese(code)
    if (alone) this.closeWord()
    if (normalizer.strip_accents && rankOf(code) > 0 && expand(code, normalizer).length > 0) return false
    for (const folded of expand(code, normalizer)) {
      if (normalizer.strip_accents && rankOf(folded) > 0) return false
      this.emit(folded, start, end)
    }
    if (alone) this.closeWord()
    return true
  }

  /** The same over the normalised text, kept whole: for marks out of order and for added tokens that are looked for in it. */
  private walkNormalized(from: number, to: number): void {
    const { text, codes, starts, ends, units } = normalize(this.text, from, to, this.normalizer)
    const walk = (first: number, last: number): void => {
      for (let i = units[first]!; i < units[last]!; i++) this.emit(codes[i]!, starts[i]!, ends[i]!)
      this.closeWord()
    }
    if (!this.normalized) return walk(0, text.length)
    this.normalized.split(text, walk, ({ id }, first, last) =>
      this.put(id, starts[units[first]!]!, ends[units[last]! - 1]!, this.nextWord()),
    )
  }

  /** One folded character. */
  private emit(code: number, start: number, end: number): void {
    if (isSpace(code)) this.closeWord()
    else if (isPunctuation(code)) {
      this.closeWord()
      this.add(code, start, end)
      this.closeWord()
    } else this.add(code, start, end)
  }

  private add(code: number, start: number, end: number): void {
    if (code > 0xffff) {
      this.addUnit(0xd800 + ((code - 0x10000) >> 10), start, end)
      this.addUnit(0xdc00 + ((code - 0x10000) & 0x3ff), start, end)
    } else this.addUnit(code, start, end)
  }

  private addUnit(unit: number, start: number, end: number): void {
    if (this.count === 0) this.begin = start
    this.scatter(this.count)
    this.units[this.count] = unit
    this.starts[this.count] = start
    this.ends[this.count] = end
    this.hash = hashNext(this.hash, unit)
    this.count++
    this.lastEnd = end
  }

  /** Units [first, count) came from [start, ...) of the text. */
  private place(first: number, count: number, start: number): void {
    if (!this.scattered && this.begin + first === start) return
    this.scatter(first)
    for (let i = first; i < count; i++) {
      this.starts[i] = start + i - first
      this.ends[i] = start + i - first + 1
    }
  }

  /** From here on each unit says where it came from: so do the first `count` of them. */
  private scatter(count: number): void {
    if (this.scattered) return
    this.scattered = true
    for (let i = 0; i < count; i++) {
      this.starts[i] = this.begin + i
      this.ends[i] = this.begin + i + 1
    }
  }

  private closeWord(): void {
    if (this.count > 0) this.endWord(this.count, this.hash)
    this.count = this.hash = 0
    this.scattered = false
  }

  /** Puts the pieces of the word: itself, the longest matches one after the other, or one unknown. */
  private endWord(count: number, hash: number): void {
    const { units, begin, lastEnd, longest } = this
    const word = this.nextWord()
    if (count <= longest || (count <= units.length && this.characters(count) <= longest)) {
      const id = this.vocabulary.find(units, 0, count, hash, 0)
      if (id >= 0) return this.put(id, begin, lastEnd, word)
      if (count > 1 && this.split(count, word)) return
    }
    this.put(this.unknown, begin, lastEnd, word)
  }

  private split(count: number, word: number): boolean {
    const { units, starts, ends, begin, scattered, prefixHashes, powers, vocabulary, out } = this
    for (let i = 0; i < count; i++) prefixHashes[i + 1] = hashNext(prefixHashes[i]!, units[i]!)
    const { length } = out
    for (let from = 0; from < count;) {
      let to = Math.min(count, from + powers.length - 1)
      let id = -1
      for (; to > from; to--) {
        const hash = (prefixHashes[to]! - Math.imul(prefixHashes[from]!, powers[to - from]!)) | 0
        id = vocabulary.find(units, from, to, hash, from === 0 ? 0 : 1)
        if (id >= 0) break
      }
      if (id < 0) {
        out.length = length
        return false
      }
      if (scattered) out.push(id, starts[from]!, ends[to - 1]!, word)
      else out.push(id, begin + from, begin + to, word)
      from = to
    }
    return true
  }

  private characters(count: number): number {
    let characters = 0
    for (let i = 0; i < count; i++) if (this.units[i]! < 0xdc00 || this.units[i]! > 0xdfff) characters++
    return characters
  }

  private nextWord(): number {
    return this.fixedWord >= 0 ? this.fixedWord : this.word++
  }

  private put(id: number, start: number, end: number, word: number): void {
    this.out.push(id, start, end, word)
  }
}
