import { checkOptions, expected } from '../errors.ts'
import type { Tensor } from '../models/tensor.ts'
import { rowsOf, type Vectors } from './rows.ts'
import { scoreChunks, whole, type SemanticSearchOptions } from './semantic-search.ts'
import { Top } from './top.ts'

export interface ParaphraseMiningOptions extends Pick<SemanticSearchOptions, 'score_function' | 'threads' | 'signal'> {
  /** Sentences that are looked for together; 5,000 by default. */
  readonly query_chunk_size?: number
  /** Sentences that they are compared with at a time; 100,000 by default. */
  readonly corpus_chunk_size?: number
  /** Most pairs; 500,000 by default. */
  readonly max_pairs?: number
  /** Most partners that each sentence brings; 100 by default. */
  readonly top_k?: number
}

/** Score, and the places of two sentences, the first one first. */
export type Pair = readonly [score: number, i: number, j: number]

export type EmbedTexts = (texts: readonly string[], options: { readonly pooling: 'auto'; readonly signal?: AbortSignal }) => Promise<Tensor>

/**
 * The most similar pairs among sentences, best first, as sentence-transformers' util.paraphrase_mining.
 *
 *     await paraphraseMining(await pipeline('feature-extraction'), ['a cat', 'the cat', 'a bus']) // [[0.9, 0, 1], ...]
 */
export async function paraphraseMining(
  embed: EmbedTexts,
  sentences: readonly string[],
  options: ParaphraseMiningOptions = {},
): Promise<Pair[]> {
  if (typeof embed !== 'function') throw expected('paraphraseMining', "a pipeline of 'feature-extraction', then sentences", embed)
  if (!Array.isArray(sentences)) throw expected('sentences', 'an array of texts', sentences)
  if (sentences.length === 0) return []
  const { signal } = options
  return paraphraseMiningEmbeddings(await embed(sentences, { pooling: 'auto', ...(signal && { signal }) }), options)
}

/** The same of vectors. */
export async function paraphraseMiningEmbeddings(embeddings: Vectors, options: ParaphraseMiningOptions = {}): Promise<Pair[]> {
  const known = ['query_chunk_size', 'corpus_chunk_size', 'max_pairs', 'top_k', 'score_function', 'threads', 'signal']
  checkOptions('paraphraseMining', options, known)
  const { query_chunk_size = 5000, corpus_chunk_size = 100_000, max_pairs = 500_000, top_k = 100 } = options
  for (const [name, value] of Object.entries({ query_chunk_size, corpus_chunk_size, max_pairs, top_k })) whole(name, value)
  const rows = rowsOf('embeddings', embeddings)
  // Each sentence is the nearest to itself. Its best are taken of each chunk, as the reference does.
  const found = new Map<string, Pair>()
  let tops: { readonly top: Top; readonly chunk: number }[] = []
  const settle = (query: number): void => {
    const { top } = tops[query] ?? {}
    for (const { row, score } of top?.sorted() ?? []) {
      const [i, j] = [Math.min(query, row), Math.max(query, row)]
      if (i !== j && (found.get(`${i} ${j}`)?.[0] ?? -Infinity) < score) found.set(`${i} ${j}`, [score, i, j])
    }
  }
  await scoreChunks(rows, rows, query_chunk_size, corpus_chunk_size, options, (query, first, scores) => {
    const chunk = Math.floor(first / corpus_chunk_size)
    if (tops[query]?.chunk !== chunk) {
      settle(query)
      tops[query] = { top: new Top(top_k + 1), chunk }
    }
    tops[query].top.offer(first, scores)
    if (found.size > 2 * max_pairs) keepBest(found, max_pairs)
  })
  tops.forEach((_, query) => settle(query))
  tops = []
  return sorted(found).slice(0, max_pairs)
}

const sorted = (found: ReadonlyMap<string, Pair>): Pair[] => [...found.values()].sort((a, b) => b[0] - a[0] || a[1] - b[1] || a[2] - b[2])

function keepBest(found: Map<string, Pair>, most: number): void {
  for (const [, i, j] of sorted(found).slice(most)) found.delete(`${i} ${j}`)
}
