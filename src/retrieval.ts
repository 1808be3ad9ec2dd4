// bertlet/retrieval: finding texts by what they mean.
export { EmbeddingIndex } from './retrieval/embedding-index.ts'
export type { EmbeddingIndexOptions, Hit, IndexPrecision, IndexSearchOptions, LoadIndexOptions } from './retrieval/options.ts'
export type { Condition, Filter, Scalar } from './retrieval/filter.ts'
export type { Metric, Vectors } from './retrieval/rows.ts'
export { semanticSearch, type CorpusHit, type ScoreFunction, type SemanticSearchOptions } from './retrieval/semantic-search.ts'
export {
  paraphraseMining,
  paraphraseMiningEmbeddings,
  type EmbedTexts,
  type Pair,
  type ParaphraseMiningOptions,
} from './retrieval/paraphrase-mining.ts'
export { BM25Index, wordsOf, type BM25Options, type WordHit } from './retrieval/bm25.ts'
export { reciprocalRankFusion, weightedFusion, type FusionOptions } from './retrieval/fusion.ts'
export { splitText, type OffsetTokenizer, type Passage, type SplitOptions } from './retrieval/split.ts'
export {
  TextIndex,
  type Embed,
  type SearchMode,
  type TextEntry,
  type TextHit,
  type TextIndexOptions,
  type TextAddOptions,
  type TextProgress,
  type TextSearchOptions,
} from './retrieval/text-index.ts'
export { meanAveragePrecision, ndcg, recall, type Qrels, type Run } from './retrieval/metrics.ts'
