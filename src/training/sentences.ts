// What trainings of sentence embeddings need, in one piece that is loaded when one is asked for.
export { sentenceCollator, sentenceDataset, sentenceFiles, textNumbers } from './sentence-data.ts'
export { evaluateSentences } from './sentence-evaluation.ts'
export { SentenceTraining } from './sentence-training.ts'
