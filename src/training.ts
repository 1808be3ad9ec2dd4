// bertlet/training: what inference does not load.
export { TrainingArguments, type IntervalStrategy, type TrainingArgumentsOptions } from './training/arguments.ts'
export {
  EarlyStoppingCallback,
  type CallbackHook,
  type CallbackInfo,
  type EarlyStoppingOptions,
  type LogEntry,
  type StepInfo,
  type TrainerCallback,
  type TrainerControl,
  type TrainerState,
} from './training/callbacks.ts'
export { calibrate, type CalibrateOptions } from './training/calibrate.ts'
export { dataCollatorFor } from './training/collate.ts'
export type { DataCollator, Dataset, Feature } from './training/dataset.ts'
export type { ComputeMetrics, EvalPrediction, LabelIds, Predictions, PreprocessLogits } from './training/evaluation.ts'
export { argmax, classificationMetrics, classMetrics, regressionMetrics, scoreMetrics } from './training/metrics.ts'
export type { TrainOutput } from './training/loop.ts'
export { Trainer, type EvaluateOptions, type PredictionOutput, type TrainerOptions, type TrainOptions } from './training/trainer.ts'
export { memoryFolder, type Folder } from './weights/folder.ts'
export {
  HeadTraining,
  type HeadTrainingOptions,
  type OptimizerState,
  type StateReader,
  type StepResult,
  type UnloadedAdapter,
  type UnloadedModel,
  type TrainingInputs,
} from './training/head-training.ts'
export { contrastivePairs, fewShot, sentenceTraining } from './training/seldom.ts'
export type { FewShotOptions, FewShotResult } from './training/few-shot.ts'
export type { ContrastiveOptions, ContrastivePair } from './training/contrastive.ts'
export type { SentenceShape, SentenceTraining } from './training/sentence-training.ts'
export type { SentenceFeature, TokenizedText } from './training/sentence-data.ts'
export type {
  CoSENTLoss,
  CosineSimilarityLoss,
  MultipleNegativesRankingLoss,
  SentenceLoss,
  SentenceLossName,
  TripletLoss,
} from './training/sentence-losses.ts'
export type { SentenceOptions } from './training/sentence-pass.ts'
export type { MemoryOptions, TrainingMemory } from './training/memory.ts'
export type { BatchShape } from './training/shape.ts'
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
export { documents, type DocumentOptions } from './training/documents.ts'
