// bertlet/training: what inference does not load.
export {
  HeadTraining,
  type HeadTrainingOptions,
  type OptimizerState,
  type StateReader,
  type StepResult,
  type TrainingInputs,
} from './training/head-training.ts'
export type { AdamWOptions, OptimizerCounters } from './training/optimizer.ts'
export { learningRateAt, type Schedule, type SchedulerType } from './training/schedule.ts'
export { trainWordPiece, type WordPieceProgress, type WordPieceTrainerOptions } from './training/wordpiece.ts'
export {
  createPretrainingData,
  PretrainingData,
  type PretrainingDataOptions,
  type PretrainingDataProgress,
  type PretrainingInstance,
} from './training/pretraining-data.ts'
export { MemoryStorage, type SpoolStorage } from './training/spool.ts'
