// The tasks that finetune and evaluate know, and what each makes of files. A task's own file is loaded when it is asked for.
import type { BertConfig, BertPreTrainedModel, LoadOptions, Source, Tokenizer } from '../index.node.ts'
import type { ComputeMetrics, Dataset, Feature, PredictionOutput, TrainerOptions } from '../training.ts'
import type { EvaluateOptions } from './evaluate.ts'
import type { FinetuneOptions } from './finetune.ts'
import { GLUE_NAMES, type TaskName } from './labelled-options.ts'

/** Of a task without a head: what its Trainer learns of sentence embeddings. */
export type Embeddings = Pick<TrainerOptions, 'loss' | 'pooling' | 'normalize'>

/** What a file's examples are to a Trainer. */
export interface Measured {
  readonly dataset: Dataset | readonly Feature[]
  readonly compute_metrics?: ComputeMetrics
  /** Writes what the model says of every example, to the file that --predictions names. */
  write(output: PredictionOutput, file: string, signal: AbortSignal): Promise<void>
}

/** A file that was read. */
export interface LabelledFile {
  readonly file: string
  /** Before the names of its metrics. */
  readonly prefix: string
  readonly examples: number
  /** What was taken for what, in words; undefined where a format leaves no choice. */
  readonly read?: string
  /** What one may want to know of it. */
  readonly warning?: string
  readonly embeddings?: Embeddings
  /** The features, once there is a model. */
  features(tokenizer: Tokenizer, config: BertConfig): Measured
}

/** A training: files that were read and found good before a weight is. */
export interface Opened {
  readonly train: LabelledFile
  readonly held: readonly LabelledFile[]
  /** Of the head that is made. */
  readonly head: LoadOptions
  /** By class, for the report. */
  readonly labels?: readonly string[]
  readonly embeddings?: Embeddings
}

/** A class with a head. */
export interface TaskModel {
  headFor(options: object): { readonly architecture: string }
  fromPretrained(source: Source, options: LoadOptions): Promise<BertPreTrainedModel>
}

export interface LabelledTask {
  readonly model: TaskModel
  /** The metric that chooses the best model. */
  readonly best: string
  open(train: string, options: FinetuneOptions, source: Source, signal: AbortSignal): Promise<Opened>
  /** Files to measure a model on. */
  measure(file: string, options: EvaluateOptions, config: BertConfig, signal: AbortSignal, source: Source): Promise<readonly LabelledFile[]>
  /** Test files, whose predictions are handed in, by the names that they have then. */
  tests?(
    folder: string,
    config: BertConfig,
    signal: AbortSignal,
  ): Promise<readonly (LabelledFile & { submission(output: PredictionOutput): string })[]>
}

export async function labelledTask(name: TaskName): Promise<LabelledTask> {
  if (name === 'text-classification') return (await import('./classification-task.ts')).TEXT_CLASSIFICATION
  if (name === 'question-answering') return (await import('./squad-task.ts')).QUESTION_ANSWERING
  if (name === 'token-classification') return (await import('./tagging-task.ts')).TOKEN_CLASSIFICATION
  if (name === 'multiple-choice') return (await import('./choice-task.ts')).MULTIPLE_CHOICE
  if (name === 'sentence-similarity') return (await import('./sentence-task.ts')).SENTENCE_SIMILARITY
  return (await import('./glue-task.ts')).glueTaskOf(GLUE_NAMES.find((each) => each === name)!)
}
