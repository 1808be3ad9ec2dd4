// BM25 by minisearch: which texts share a query's words, the rare ones counting most.
import MiniSearch from 'minisearch'
import { checkOptions, expected } from '../errors.ts'

export interface BM25Options {
  /** How much a word counts that occurs again; 1.2 by default. */
  readonly k1?: number
  /** How much the length of a text counts, 0 to 1; 0.75 by default. */
  readonly b?: number
  /** The words of a text; by default runs of letters and digits, without capitals and accents. */
  readonly words?: (text: string) => string[]
}

export interface WordHit {
  readonly id: string | number
  readonly score: number
}

type Id = string | number

/** Runs of letters and digits, without capitals and accents; of scripts that write no spaces each character. */
export function wordsOf(text: string): string[] {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
  return plain.match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}]+/gu) ?? []
}

/**
 *     const index = new BM25Index()
 *     index.add([{ id: 1, text: 'a wing in a slipstream' }])
 *     index.search('slipstream', { top_k: 5 }) // [{ id, score }]
 */
export class BM25Index {
  private readonly words: (text: string) => string[]
  private readonly bm25: { readonly k: number; readonly b: number; readonly d: 0 }
  private readonly index: MiniSearch<{ id: Id; text: string }>
  private readonly order = new Map<Id, number>()
  private added = 0

  constructor(options: BM25Options = {}) {
    checkOptions('BM25Index', options, ['k1', 'b', 'words'])
    const { k1 = 1.2, b = 0.75, words = wordsOf } = options
    if (!(k1 >= 0)) throw expected('k1', 'a number of 0 or more', k1)
    if (!(b >= 0 && b <= 1)) throw expected('b', 'a number from 0 to 1', b)
    this.words = words
    this.bm25 = { k: k1, b, d: 0 }
    this.index = new MiniSearch({ fields: ['text'], tokenize: words, processTerm: (term) => term })
  }

  get size(): number {
    return this.index.documentCount
  }

  add(documents: readonly { readonly id: Id; readonly text: string }[]): void {
    for (const { id, text } of documents) {
      if (typeof text !== 'string') throw expected(`text of ${String(id)}`, 'a text', text)
      if (this.index.has(id)) throw expected('id', 'an id that is not in the index', id, 'Remove the old entry first')
      this.index.add({ id, text })
      this.order.set(id, this.added++)
    }
  }

  remove(ids: readonly Id[]): void {
    for (const id of ids) {
      if (!this.index.has(id)) continue
      this.index.discard(id)
      this.order.delete(id)
    }
  }

  /** Texts that have at least one of the words, best first; of equal scores the one that was added first. */
  search(query: string, options: { readonly top_k?: number; readonly filter?: (id: Id) => boolean } = {}): WordHit[] {
    checkOptions('search', options, ['top_k', 'filter'])
    const { top_k = 10, filter } = options
    if (typeof query !== 'string') throw expected('query', 'a text', query)
    const scores = new Map<Id, number>()
    // Word by word: of several at once the library multiplies the sum by their number.
    for (const word of this.words(query)) {
      for (const { id, score } of this.index.search(word, { tokenize: (text) => [text], bm25: this.bm25 }) as unknown as WordHit[])
        scores.set(id, (scores.get(id) ?? 0) + score)
    }
    return [...scores]
      .filter(([id]) => filter?.(id) ?? true)
      .sort(([a, x], [b, y]) => y - x || this.order.get(a)! - this.order.get(b)!)
      .slice(0, top_k)
      .map(([id, score]) => ({ id, score }))
  }
}
