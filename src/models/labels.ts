// What heads take as labels, and what a loss is made of: the part that a model needs before there are any.
import type { Matrix } from './rectangle.ts'

/** Numbers, one a row of the batch. */
export type Column =
  readonly (number | bigint)[] | ArrayLike<number> | BigInt64Array | { readonly data: ArrayLike<number>; readonly dims: readonly number[] }

/** What the heads take as labels. A label of -100 does not count. */
export interface LabelInputs {
  /** [B, L] for words and tokens, [B] for classes and choices, [B] or [B, num_labels] of numbers for regression and multi label. */
  readonly labels?: Matrix | Column | null
  /** [B]: 0 where the second text follows the first, 1 where it is random. */
  readonly next_sentence_label?: Column | null
  /** [B]: columns; those beyond the row do not count. */
  readonly start_positions?: Column | null
  readonly end_positions?: Column | null
}

/** One sum of losses. */
export interface LossTerm {
  /** The head's output that it looks at. */
  readonly output: string
  /** `rows`: cross-entropy of each row; `span`: among the rows of a span, in `column`; otherwise elementwise. */
  readonly kind: 'rows' | 'span' | 'squared' | 'binary'
  /** What has a label. `group`: `size` neighbouring sequences. */
  readonly per: 'token' | 'sequence' | 'group'
  readonly size: number
  readonly column: number
  /** Labels, [count] or [count][width] of targets. */
  readonly values: Int32Array | Float32Array
  readonly width: number
  /** Labels that count. */
  readonly count: number
  /** The share of the loss that a mean over them has. */
  readonly weight: number
}

/** The labels that a head takes. */
export const labelsOf = (architecture: string): readonly (keyof LabelInputs)[] => TAKES[architecture] ?? []

const TAKES: Readonly<Record<string, readonly (keyof LabelInputs)[]>> = {
  BertForMaskedLM: ['labels'],
  BertForPreTraining: ['labels', 'next_sentence_label'],
  BertForNextSentencePrediction: ['labels'],
  BertForSequenceClassification: ['labels'],
  BertForTokenClassification: ['labels'],
  BertForMultipleChoice: ['labels'],
  BertForQuestionAnswering: ['start_positions', 'end_positions'],
}

/** What tells graphs of different terms apart. */
export const lossKey = (terms: readonly LossTerm[]): string =>
  terms.map(({ kind, per, size, column: c }) => `${kind}${per}${size}${c}`).join('+')

/** The sum of a term so far: an input and an output. */
export const lossName = (term: number): string => `loss.${term}`

/** A term of a loss: its weighted mean, and the labels behind it. */
export interface LossPart {
  readonly mean: number
  readonly count: number
}

/** What a call's `loss` is the sum of: means over several calls must be weighed term by term. */
export const lossParts = new WeakMap<object, readonly LossPart[]>()
