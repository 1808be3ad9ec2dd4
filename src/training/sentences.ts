// What trainings of sentence embeddings need, and few-shot classifiers, which are made by one: a piece that is loaded when one is asked for.
export { contrastivePairs, fewShot } from './few-shot.ts'
export { sentenceCollator, sentenceDataset, sentenceFiles, textNumbers } from './sentence-data.ts'
export { evaluateSentences } from './sentence-evaluation.ts'
export { SentenceTraining } from './sentence-training.ts'
