// Tasks that give a text, or two, a score for each of some classes, in one piece.
export { MultipleChoicePipeline } from './multiple-choice.ts'
export { NextSentencePredictionPipeline } from './next-sentence-prediction.ts'
export { TextClassificationPipeline } from './text-classification.ts'
export { TextRankingPipeline } from './text-ranking.ts'
export { ZeroShotClassificationPipeline } from './zero-shot-classification.ts'
