// Texts, found by what they mean, by their words, or by both.
import { checkOptions, expected, show } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { Tensor } from '../models/tensor.ts'
import type { Target } from '../models/save.ts'
import type { ModelSource } from '../models/source.ts'
import { BM25Index, type BM25Options } from './bm25.ts'
import { EmbeddingIndex } from './embedding-index.ts'
import { compileFilter } from './filter.ts'
import { reciprocalRankFusion, weightedFusion } from './fusion.ts'
import type { EmbeddingIndexOptions, IndexSearchOptions, LoadIndexOptions } from './options.ts'

/** A pipeline of 'feature-extraction', or what can be called like one. */
export interface Embed {
  (texts: readonly string[], options: EmbedOptions): Promise<Tensor>
  /** Names of prompts that the model was trained with, where it has any. */
  readonly sentence?: { readonly prompts: Readonly<Record<string, string>> }
}

interface EmbedOptions {
  readonly pooling: 'auto'
  readonly prompt_name?: string
  readonly signal?: AbortSignal
}

export interface TextEntry {
  readonly id: string | number
  readonly text: string
  readonly metadata?: JsonObject
}

export interface TextHit extends TextEntry {
  readonly score: number
}

export const MODES = ['hybrid', 'dense', 'bm25'] as const
export type SearchMode = (typeof MODES)[number]

export interface TextIndexOptions extends EmbeddingIndexOptions {
  readonly bm25?: BM25Options
}

export interface TextSearchOptions extends IndexSearchOptions {
  /** `dense`: by vectors. `bm25`: by words. `hybrid` (default): both lists, fused. */
  readonly mode?: SearchMode
  /** With hybrid: `rrf` (default), by ranks, or `weighted`, by scores. */
  readonly fusion?: 'rrf' | 'weighted'
  /** With hybrid: how much vectors and words count; [1, 1] by default. */
  readonly weights?: readonly [dense: number, bm25: number]
  /** With hybrid: results of each list that are fused; 100, or top_k if that is more. */
  readonly candidates?: number
}

export interface TextProgress {
  readonly loaded: number
  readonly total: number
}

export interface TextAddOptions {
  readonly signal?: AbortSignal
  readonly progress_callback?: (progress: TextProgress) => void
}

/** Texts that are embedded before they are stored: an abort loses no more. */
const BATCH = 256

/**
 *     const index = new TextIndex(await pipeline('feature-extraction'))
 *     await index.add([{ id: 1, text: 'a wing in a slipstream' }, { id: 2, text: 'a bird' }])
 *     await index.search('how planes fly', { top_k: 1 }) // [{ id: 1, score, text, metadata }]
 */
export class TextIndex {
  private readonly words: BM25Index

  readonly vectors: EmbeddingIndex

  constructor(embed: Embed, options?: TextIndexOptions)
  /** @internal */
  constructor(embed: Embed, options: TextIndexOptions, vectors: EmbeddingIndex)
  constructor(
    private readonly embed: Embed,
    given?: TextIndexOptions,
    vectors?: EmbeddingIndex,
  ) {
    const { bm25, ...options } = apart('TextIndex', given)
    this.vectors = vectors ?? new EmbeddingIndex(options)
    if (typeof embed !== 'function') throw expected('TextIndex', "a pipeline of 'feature-extraction'", embed)
    this.words = new BM25Index(bm25)
    this.words.add([...this.vectors.entries()].map(([id, stored]) => ({ id, text: stored?.text as string })))
  }

  get size(): number {
    return this.vectors.size
  }

  get(id: string | number): TextEntry | undefined {
    return this.vectors.has(id) ? entryOf(id, this.vectors.get(id)) : undefined
  }

  /** Embeds texts and adds them under new ids. */
  async add(entries: readonly TextEntry[], options: TextAddOptions = {}): Promise<void> {
    checkOptions('add', options, ['signal', 'progress_callback'])
    const { signal, progress_callback: tell } = options
    if (!Array.isArray(entries)) throw expected('entries', 'an array of { id, text, metadata }', entries)
    for (const [i, entry] of (entries as readonly TextEntry[]).entries()) {
      if (typeof entry?.text !== 'string') throw expected(`entries[${i}]`, '{ id, text }', entry)
    }
    for (let at = 0; at < entries.length; at += BATCH) {
      const some = entries.slice(at, at + BATCH) as TextEntry[]
      const vectors = await this.embedded(
        some.map(({ text }) => text),
        ['document', 'passage', 'corpus'],
        signal,
      )
      await this.vectors.add(
        some.map(({ id }) => id),
        vectors,
        some.map(({ text, metadata }) => ({ text, ...(metadata && { metadata }) })),
      )
      this.words.add(some)
      tell?.({ loaded: at + some.length, total: entries.length })
    }
  }

  /** Removes entries; how many there were. */
  async remove(ids: readonly (string | number)[]): Promise<number> {
    const removed = await this.vectors.remove(ids)
    this.words.remove(ids)
    return removed
  }

  /** The entries that fit a query, best first. */
  async search(query: string, options: TextSearchOptions = {}): Promise<TextHit[]> {
    checkOptions('search', options, ['mode', 'top_k', 'filter', 'fusion', 'weights', 'candidates', 'signal'])
    const { mode = 'hybrid', top_k = 10, filter, fusion = 'rrf', weights = [1, 1], candidates = Math.max(100, top_k), signal } = options
    if (typeof query !== 'string' || query.trim() === '') throw expected('query', 'a text that is not empty', query)
    if (!MODES.includes(mode)) throw expected('mode', `one of ${MODES.join(', ')}`, mode)
    if (fusion !== 'rrf' && fusion !== 'weighted') throw expected('fusion', '"rrf" or "weighted"', fusion)
    for (const [name, value] of Object.entries({ top_k, candidates }))
      if (!Number.isInteger(value) || value < 1) throw expected(name, 'a whole number of 1 or more', value)
    const test = filter === undefined ? undefined : compileFilter(filter)
    const fits = (id: string | number): boolean => test === undefined || test((this.vectors.get(id)?.metadata ?? {}) as JsonObject, id)
    const most = mode === 'hybrid' ? candidates : top_k
    const dense = async (): Promise<{ id: string | number; score: number }[]> => {
      const vectors = await this.embedded([query], ['query'], signal)
      return this.vectors.search(vectors.data, { top_k: most, ...(test && { filter: (_, id) => fits(id) }), ...(signal && { signal }) })
    }
    const bm25 = (): { id: string | number; score: number }[] => this.words.search(query, { top_k: most, ...(test && { filter: fits }) })
    const lists = [...(mode === 'bm25' ? [] : [await dense()]), ...(mode === 'dense' ? [] : [bm25()])]
    const fuse = fusion === 'rrf' ? reciprocalRankFusion : weightedFusion
    const found = mode === 'hybrid' ? fuse(lists, { weights, top_k }) : lists[0]!
    return found.map(({ id, score }) => ({ ...entryOf(id, this.vectors.get(id)), score }))
  }

  /** With the first prompt of such a name that the model has. */
  private embedded(texts: readonly string[], prompts: readonly string[], signal: AbortSignal | undefined): Promise<Tensor> {
    const name = prompts.find((each) => Object.hasOwn(this.embed.sentence?.prompts ?? {}, each))
    return this.embed(texts, { pooling: 'auto', ...(name !== undefined && { prompt_name: name }), ...(signal && { signal }) })
  }

  /** As EmbeddingIndex has it; the texts are among the metadata. */
  save(to: Target): Promise<void> {
    return this.vectors.save(to)
  }

  static async load(from: ModelSource, embed: Embed, given?: LoadIndexOptions & { readonly bm25?: BM25Options }): Promise<TextIndex> {
    const { bm25, ...options } = apart('TextIndex.load', given)
    const vectors = await EmbeddingIndex.load(from, options)
    try {
      for (const [id, stored] of vectors.entries())
        if (typeof stored?.text !== 'string')
          throw expected(`entry ${show(id)}`, 'a text among its metadata', stored, 'Load it with EmbeddingIndex.load()', 'invalid_file')
      return new TextIndex(embed, { ...(bm25 && { bm25 }) }, vectors)
    } catch (error) {
      await vectors.dispose()
      throw error
    }
  }

  /** Gives the memory of the index back; the pipeline is the caller's. */
  dispose(): Promise<void> {
    return this.vectors.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}

/** Of the vectors and of the words; each checks its own. */
function apart<T extends object>(subject: string, given: T | undefined): T {
  checkOptions(subject, given, Object.keys(given ?? {}))
  return given ?? ({} as T)
}

const entryOf = (id: string | number, stored: JsonObject | undefined): TextEntry => ({
  id,
  text: stored?.text as string,
  ...(stored?.metadata !== undefined && { metadata: stored.metadata as JsonObject }),
})
