export { prepare, type Precision } from './engine/build.ts'
export { BertletError, type ErrorCode } from './errors.ts'
export { AutoModel, type AnyModel, type AnyOutput } from './models/auto-model.ts'
export type { BatchInputs } from './models/batch.ts'
export { BertConfig } from './models/config.ts'
export {
  BertForMaskedLM,
  BertForMultipleChoice,
  BertForNextSentencePrediction,
  BertForPreTraining,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  type LogitsOutput,
  type PreTrainingOutput,
  type QuestionAnsweringOutput,
} from './models/bert-for.ts'
export type { Attentions, AttentionsOptions } from './models/attentions.ts'
export { BertModel, type BertModelInputs, type BertModelOutput } from './models/bert-model.ts'
export type { ChoiceInputs } from './models/choices.ts'
export { inspect, openModel, type Inspection } from './models/inspect.ts'
export type { LoraConfig, TaskType } from './models/adapter-config.ts'
export type { AdapterOptions } from './models/adapters.ts'
export type { AttentionImplementation, LabelOptions, LoadOptions, RunOptions } from './models/options.ts'
export { env, type Env } from './models/env.ts'
export type { Estimate } from './models/estimate.ts'
export type { BertPreTrainedModel, ModelClass, ModelInfo, ModelInputs, ModelOutput, PredictionInputs } from './models/model.ts'
export type { Matrix, Vectors } from './models/rectangle.ts'
export type { Target } from './models/save.ts'
export { hubSettings, type ModelSource, type SourceOptions } from './models/source.ts'
export { Tensor } from './models/tensor.ts'
export { Tokenizer } from './models/tokenizer.ts'
export type { TokenizeOptions } from './tokenizer/options.ts'
export type { DecodeOptions, NewToken, TokenizerOutput } from './tokenizer/tokenizer.ts'
export { pipeline, type Pipelines, type Task, type TaskAlias } from './pipelines/pipeline.ts'
export { Pipeline, type Call, type CallOptions, type TextOrPair } from './pipelines/base.ts'
export type { CallProgress } from './pipelines/batches.ts'
export type { AggregationStrategy, Entity, TokenEntity } from './pipelines/entities.ts'
export type { FilledMask, FillMaskOptions, FillMaskPipeline } from './pipelines/fill-mask.ts'
export type { Answer, Question, QuestionAnsweringOptions, QuestionAnsweringPipeline } from './pipelines/question-answering.ts'
export type { Choice, ChoiceQuestion, MultipleChoiceOptions, MultipleChoicePipeline } from './pipelines/multiple-choice.ts'
export type {
  NextSentence,
  NextSentenceOptions,
  NextSentencePredictionPipeline,
  SentencePair,
} from './pipelines/next-sentence-prediction.ts'
export type { SentenceSimilarityOptions, SentenceSimilarityPipeline } from './pipelines/sentence-similarity.ts'
export type { Ranked, TextRankingOptions, TextRankingPipeline } from './pipelines/text-ranking.ts'
export type { EmbeddingPrecision, Ranges } from './pipelines/vectors.ts'
export type { Label, ScoreFunction, TextClassificationOptions, TextClassificationPipeline } from './pipelines/text-classification.ts'
export type { TokenClassificationOptions, TokenClassificationPipeline } from './pipelines/token-classification.ts'
export type {
  CandidateLabels,
  ZeroShotClassificationOptions,
  ZeroShotClassificationPipeline,
  ZeroShotResult,
} from './pipelines/zero-shot-classification.ts'
export type { FeatureExtractionOptions, FeatureExtractionPipeline, Pooling } from './pipelines/feature-extraction.ts'
export type { Sink } from './weights/sink.ts'
export type { DirectoryHandle } from './weights/handle.ts'
export type { ResponseCache } from './weights/cache.ts'
export type { Fetch } from './weights/http.ts'
export type { ProgressEvent } from './weights/progress.ts'
export type { FileBytes, Source } from './weights/source.ts'
