// Hugging Face's BERT classes with a head. Each names its head (heads.ts) and shapes what that gives.
/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging -- instances are callable */
import type { ChoiceInputs } from './choices.ts'
import * as heads from './heads.ts'
import { BertPreTrainedModel, type ModelInputs, type ModelOutput, type PredictionInputs } from './model.ts'
import { Tensor } from './tensor.ts'

export interface LogitsOutput extends ModelOutput {
  /** Raw scores, before any softmax; zeros at masked positions. */
  readonly logits: Tensor
}

export interface BertForMaskedLM {
  /** `logits` [B, L, V], or [R, V] for `logits_positions`. */
  (inputs: PredictionInputs): Promise<LogitsOutput>
}

/**
 * Scores of every word of the vocabulary at every position.
 *
 *     const { logits } = await model({ input_ids: [[101, 103, 102]], logits_positions: [[1]] }) // [1, V]
 */
export class BertForMaskedLM extends BertPreTrainedModel {
  static override headFor = (): heads.Head => heads.MASKED_LM
}

export interface PreTrainingOutput extends ModelOutput {
  /** [B, L, V], or [R, V] for `logits_positions`. */
  readonly prediction_logits: Tensor
  /** [B, 2]: the second text follows the first, or is random. */
  readonly seq_relationship_logits: Tensor
}

export interface BertForPreTraining {
  (inputs: PredictionInputs): Promise<PreTrainingOutput>
}

/** Both heads of pre-training: masked words and next sentence. */
export class BertForPreTraining extends BertPreTrainedModel {
  static override headFor = (): heads.Head => heads.PRE_TRAINING
}

export interface BertForNextSentencePrediction {
  /** `logits` [B, 2]: the second text follows the first, or is random. */
  (inputs: ModelInputs): Promise<LogitsOutput>
}

export class BertForNextSentencePrediction extends BertPreTrainedModel {
  static override headFor = (): heads.Head => heads.NEXT_SENTENCE
}

export interface BertForSequenceClassification {
  /** `logits` [B, num_labels]: single label, multi label or regression, as `config.problem_type` says. */
  (inputs: ModelInputs): Promise<LogitsOutput>
}

export class BertForSequenceClassification extends BertPreTrainedModel {
  static override headFor = (): heads.Head => heads.SEQUENCE_CLASSIFICATION
}

export interface BertForMultipleChoice {
  /** Inputs [B, C, L]; `logits` [B, C]. */
  (inputs: ChoiceInputs): Promise<LogitsOutput>
}

/** One score for each of C choices. */
export class BertForMultipleChoice extends BertPreTrainedModel {
  static override headFor = (): heads.Head => heads.MULTIPLE_CHOICE

  protected override async answer(inputs: ChoiceInputs): Promise<LogitsOutput> {
    const { flattenChoices } = await import('./choices.ts')
    const { choices, flat } = flattenChoices(inputs)
    const { logits, ...rest } = (await this.forward(flat, choices)) as unknown as LogitsOutput
    return { logits: new Tensor(logits.data, [logits.dims[0]! / choices, choices]), ...rest }
  }
}

export interface BertForTokenClassification {
  /** `logits` [B, L, num_labels]. */
  (inputs: ModelInputs): Promise<LogitsOutput>
}

export class BertForTokenClassification extends BertPreTrainedModel {
  static override headFor = (): heads.Head => heads.TOKEN_CLASSIFICATION
}

export interface QuestionAnsweringOutput extends ModelOutput {
  /** [B, L]: scores of the answer's first and last token. */
  readonly start_logits: Tensor
  readonly end_logits: Tensor
}

export interface BertForQuestionAnswering {
  (inputs: ModelInputs): Promise<QuestionAnsweringOutput>
}

export class BertForQuestionAnswering extends BertPreTrainedModel {
  static override headFor = (): heads.Head => heads.QUESTION_ANSWERING

  protected override async answer(inputs: ModelInputs): Promise<QuestionAnsweringOutput> {
    const { logits, ...rest } = (await this.forward(inputs)) as unknown as LogitsOutput
    const dims = logits.dims.slice(0, 2)
    const part = (which: number): Tensor =>
      new Tensor(
        new Float32Array(logits.data.length / 2).map((_, i) => logits.data[2 * i + which]!),
        dims,
      )
    return { start_logits: part(0), end_logits: part(1), ...rest }
  }
}
