// A WordPiece vocabulary from the counts of words: byte-pair encoding with a prefix for what continues a word, as the `tokenizers` library does it.
import { Queue, type Entry } from './pair-queue.ts'

export interface VocabularyOptions {
  readonly vocab_size: number
  readonly min_frequency: number
  readonly limit_alphabet: number
  readonly initial_alphabet: readonly string[]
  readonly special_tokens: readonly string[]
  readonly wordpieces_prefix: string
}

/** A word in symbols, which get fewer. */
interface Word {
  readonly symbols: number[]
  readonly count: number
}

/** Pairs as one number: no vocabulary has 2^26 tokens. */
const SHIFT = 0x4000000

/**
 * Grows a vocabulary: first special tokens, then the alphabet, the alphabet's `##` forms, then one token a step: the most frequent pair of
 * neighbours, joined. Of equally frequent pairs the one of the smaller ids comes first, by its left and then its right. Ids are given in
 * the order above, the alphabet's by code point (so are its `##` forms, which the library numbers as it meets them, differently in every
 * run), and at the limit of the alphabet the character of the smaller code point stays: the result depends on the counts alone.
 */
export class VocabularyTrainer {
  readonly tokens: string[] = []
  /** The pair's count that made each token; 0 for those that no merge made. */
  readonly frequencies: number[] = []
  private readonly ids = new Map<string, number>()
  private readonly words: Word[] = []
  private readonly counts = new Map<number, number>()
  private readonly queue = new Queue()

  constructor(
    counts: ReadonlyMap<string, number>,
    private readonly options: VocabularyOptions,
  ) {
    for (const token of options.special_tokens) this.add(token, 0)
    const alphabet = this.alphabet(counts)
    for (const character of alphabet) this.add(character, 0)
    const { wordpieces_prefix: prefix } = options
    const first = new Map(alphabet.map((c) => [c, this.ids.get(c)!]))
    const inside = new Set([...counts.keys()].flatMap((word) => [...word].slice(1)))
    const later = new Map(alphabet.filter((c) => inside.has(c)).map((c) => [c, this.add(prefix + c, 0)]))
    for (const [word, count] of counts) {
      // Characters that were dropped vanish: their neighbours become adjacent, and what was not the first stays so.
      const symbols = [...word].map((c, i) => (i === 0 ? first : later).get(c)).filter((id) => id !== undefined)
      if (symbols.length > 1) this.words.push({ symbols, count })
    }
    this.countPairs()
  }

  /** Adds the next token, if a pair is frequent enough. A step may find its token made already; it counts as one all the same. */
  step(): boolean {
    const entry = this.top()
    if (entry === undefined) return false
    const { left, right, count, places } = entry
    const { wordpieces_prefix: prefix } = this.options
    const end = this.tokens[right]!
    const id = this.add(this.tokens[left]! + (end.startsWith(prefix) ? end.slice(prefix.length) : end), count)
    const grown = new Map<number, number[]>()
    for (const place of places) this.merge(place, left, right, id, grown)
    for (const [pair, where] of grown) this.push(pair, where)
    return true
  }

  /** The characters that words are made of: the most frequent ones, and those that were asked for. */
  private alphabet(counts: ReadonlyMap<string, number>): string[] {
    const characters = new Map<string, number>()
    for (const [word, count] of counts) for (const c of word) characters.set(c, (characters.get(c) ?? 0) + count)
    for (const c of this.options.initial_alphabet) characters.set(c, Infinity)
    return [...characters]
      .sort(([a, m], [b, n]) => (m === n ? byCode(a, b) : n - m))
      .slice(0, this.options.limit_alphabet)
      .map(([c]) => c)
      .sort(byCode)
  }

  private add(token: string, frequency: number): number {
    const known = this.ids.get(token)
    if (known !== undefined) return known
    this.ids.set(token, this.tokens.length)
    this.frequencies.push(frequency)
    return this.tokens.push(token) - 1
  }

  private countPairs(): void {
    const where = new Map<number, number[]>()
    this.words.forEach(({ symbols, count }, place) => {
      for (let i = 1; i < symbols.length; i++) this.change(symbols[i - 1]!, symbols[i]!, count, place, where)
    })
    for (const [pair, places] of where) this.push(pair, places)
  }

  /** Counts a pair more, or less, often; where it is new is noted. */
  private change(left: number, right: number, by: number, place: number, where: Map<number, number[]>): void {
    const pair = left * SHIFT + right
    this.counts.set(pair, (this.counts.get(pair) ?? 0) + by)
    if (by < 0) return
    const places = where.get(pair)
    if (places === undefined) where.set(pair, [place])
    // One word after the other: a word that was noted already is the last.
    else if (places.at(-1) !== place) places.push(place)
  }

  private push(pair: number, places: readonly number[]): void {
    const count = this.counts.get(pair)!
    const right = pair % SHIFT
    if (count > 0) this.queue.push({ count, left: (pair - right) / SHIFT, right, places })
  }

  /** The most frequent pair. Counts change while pairs wait: one that is found outdated waits anew. */
  private top(): Entry | undefined {
    for (let entry = this.queue.pop(); entry !== undefined; entry = this.queue.pop()) {
      const count = this.counts.get(entry.left * SHIFT + entry.right)!
      if (count === entry.count) return count < Math.max(1, this.options.min_frequency) ? undefined : entry
      this.queue.push({ ...entry, count })
    }
    return undefined
  }

  /** Joins the pair in a word, from left to right, and counts what stands beside it. */
  private merge(place: number, left: number, right: number, id: number, where: Map<number, number[]>): void {
    const { symbols, count } = this.words[place]!
    let to = 0
    for (let i = 0; i < symbols.length; i++) {
      if (symbols[i] !== left || symbols[i + 1] !== right) {
        symbols[to++] = symbols[i]!
        continue
      }
      if (to > 0) {
        this.change(symbols[to - 1]!, left, -count, place, where)
        this.change(symbols[to - 1]!, id, count, place, where)
      }
      symbols[to++] = id
      if (++i + 1 < symbols.length) {
        this.change(right, symbols[i + 1]!, -count, place, where)
        this.change(id, symbols[i + 1]!, count, place, where)
      }
    }
    symbols.length = to
  }
}

const byCode = (a: string, b: string): number => a.codePointAt(0)! - b.codePointAt(0)!
