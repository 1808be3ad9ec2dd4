import { checkOptions, expected } from '../errors.ts'
import { Tensor } from '../models/tensor.ts'
import { Panels } from './panels.ts'
import { rowsOf, toUnit, type Rows, type Vectors } from './rows.ts'
import { Top } from './top.ts'

/** Scores of [Q, H] against [N, H], as [Q, N]. */
export type ScoreFunction = 'cos_sim' | 'dot_score' | ((queries: Tensor, corpus: Tensor) => Tensor | Promise<Tensor>)

export interface SemanticSearchOptions {
  /** Queries that are scored together; 100 by default. */
  readonly query_chunk_size?: number
  /** Vectors of the corpus that are held at a time; 500,000 by default. */
  readonly corpus_chunk_size?: number
  /** Results for each query; 10 by default. */
  readonly top_k?: number
  /** `cos_sim` by default. */
  readonly score_function?: ScoreFunction
  readonly threads?: number
  readonly signal?: AbortSignal
}

export interface CorpusHit {
  /** Place in the corpus. */
  readonly corpus_id: number
  readonly score: number
}

/**
 * For each query the nearest vectors of a corpus, best first, as sentence-transformers' util.semantic_search; of equal scores the first.
 *
 *     const [hits] = await semanticSearch(await embed(['a query'], { pooling: 'mean' }), corpus, { top_k: 5 })
 */
export async function semanticSearch(queries: Vectors, corpus: Vectors, options: SemanticSearchOptions = {}): Promise<CorpusHit[][]> {
  checkOptions('semanticSearch', options, ['query_chunk_size', 'corpus_chunk_size', 'top_k', 'score_function', 'threads', 'signal'])
  const { query_chunk_size = 100, corpus_chunk_size = 500_000, top_k = 10 } = options
  for (const [name, value] of Object.entries({ query_chunk_size, corpus_chunk_size, top_k })) whole(name, value)
  const all = rowsOf('corpus_embeddings', corpus)
  const asked = rowsOf('query_embeddings', queries, all.width)
  const tops = Array.from({ length: asked.rows }, () => new Top(top_k))
  await scoreChunks(asked, all, query_chunk_size, corpus_chunk_size, options, (query, first, scores) => tops[query]!.offer(first, scores))
  return tops.map((top) => top.sorted().map(({ row, score }) => ({ corpus_id: row, score })))
}

type Visit = (query: number, first: number, scores: Float32Array) => void

/** Every query against every vector, chunk by chunk; a query sees the corpus in order. Rows are made of length 1 in place for cosines. */
export async function scoreChunks(
  queries: Rows,
  corpus: Rows,
  queriesAtATime: number,
  corpusAtATime: number,
  { score_function: score = 'cos_sim', threads, signal }: Pick<SemanticSearchOptions, 'score_function' | 'threads' | 'signal'>,
  visit: Visit,
): Promise<void> {
  if (score !== 'cos_sim' && score !== 'dot_score' && typeof score !== 'function')
    throw expected('score_function', "'cos_sim', 'dot_score' or a function", score)
  const { width } = corpus
  if (score === 'cos_sim') for (const rows of new Set([queries, corpus])) toUnit(rows)
  const part = ({ data }: Rows, first: number, count: number): Float32Array<ArrayBuffer> =>
    data.subarray(first * width, (first + count) * width)
  for (let c = 0; c < corpus.rows; c += corpusAtATime) {
    const count = Math.min(corpusAtATime, corpus.rows - c)
    const panels = typeof score === 'function' ? undefined : await Panels.create(width, 'float32', threads)
    try {
      panels?.write(0, part(corpus, c, count))
      for (let q = 0; q < queries.rows; q += queriesAtATime) {
        signal?.throwIfAborted()
        const some = Math.min(queriesAtATime, queries.rows - q)
        const asked = part(queries, q, some)
        if (typeof score !== 'function') await panels!.scores(asked, (i, first, scores) => visit(q + i, c + first, scores), signal)
        else {
          const { data, dims } = await score(
            new Tensor(asked.slice(), [some, width]),
            new Tensor(part(corpus, c, count).slice(), [count, width]),
          )
          if (dims.join() !== `${some},${count}`) throw expected('score_function', `scores of [${some}, ${count}]`, dims)
          for (let i = 0; i < some; i++) visit(q + i, c, data.subarray(i * count, (i + 1) * count))
        }
      }
    } finally {
      await panels?.dispose()
    }
  }
}

export function whole(name: string, value: unknown): void {
  if (!Number.isInteger(value) || (value as number) < 1) throw expected(name, 'a whole number of 1 or more', value)
}
