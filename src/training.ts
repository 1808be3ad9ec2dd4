// bertlet/training: what inference does not load.
export { HeadTraining, type HeadTrainingOptions, type TrainingInputs } from './training/head-training.ts'
export type { AdamWOptions } from './training/optimizer.ts'
export { trainWordPiece, type WordPieceProgress, type WordPieceTrainerOptions } from './training/wordpiece.ts'
export {
  createPretrainingData,
  PretrainingData,
  type PretrainingDataOptions,
  type PretrainingDataProgress,
  type PretrainingInstance,
} from './training/pretraining-data.ts'
export { MemoryStorage, type SpoolStorage } from './training/spool.ts'
