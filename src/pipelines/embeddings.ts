// Tasks on vectors of texts, in one piece.
export { FeatureExtractionPipeline } from './feature-extraction.ts'
export { SentenceSimilarityPipeline } from './sentence-similarity.ts'
