/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging -- instances are callable */
import { oneOf } from '../errors.ts'
import { BertForSequenceClassification, type LogitsOutput } from '../models/bert-for.ts'
import type { BertConfig } from '../models/config.ts'
import { countOf, pairAt, Pipeline, rowAt, type CallOptions, type Results, type TextOrPair } from './base.ts'
import type { Job } from './batches.ts'
import { sigmoid, softmax, top } from './scores.ts'

const FUNCTIONS = ['softmax', 'sigmoid', 'none'] as const
export type ScoreFunction = (typeof FUNCTIONS)[number]

export interface TextClassificationOptions extends CallOptions {
  /** How many labels of each text, the best first; 1 by default, null for all. */
  readonly top_k?: number | null
  /** What makes scores of the raw ones: as the config says by default, see scoreFunction(). */
  readonly function_to_apply?: ScoreFunction | null
  /** Longer texts are cut to this many tokens; the model's limit by default. */
  readonly max_length?: number
}

export interface Label {
  readonly label: string
  readonly score: number
}

type One = TextClassificationOptions & { readonly top_k?: 1 }

export interface TextClassificationPipeline {
  (text: TextOrPair, options?: TextClassificationOptions): Promise<Label[]>
  /** One label a text where top_k is 1, else a list. */
  (texts: readonly TextOrPair[], options?: One): Promise<Label[]>
  (texts: readonly TextOrPair[], options: TextClassificationOptions): Promise<Label[][]>
  (texts: AsyncIterable<TextOrPair>, options?: One): AsyncIterable<Label>
  (texts: AsyncIterable<TextOrPair>, options: TextClassificationOptions): AsyncIterable<Label[]>
}

/**
 * Labels of texts or pairs.
 *
 *     const classify = await pipeline('text-classification', 'folder')
 *     await classify('what a film') // [{ label: 'positive', score: 0.99 }]
 */
export class TextClassificationPipeline extends Pipeline<BertForSequenceClassification> {
  static readonly model = BertForSequenceClassification
  readonly task = 'text-classification'

  _call(inputs: TextOrPair | readonly TextOrPair[] | AsyncIterable<TextOrPair>, options: TextClassificationOptions = {}): Results<object> {
    return this.run(inputs, options, (one) => {
      this.check(options, ['top_k', 'function_to_apply', 'max_length'])
      const { top_k = 1, function_to_apply: given, signal } = options
      const [count, length] = [countOf('top_k', top_k), this.limit(options.max_length)]
      const scores = scorer(oneOf('function_to_apply', given ?? scoreFunction(this.model.config), FUNCTIONS))
      return {
        job: (item: TextOrPair, place: string): Job => ({ rows: [this.row(pairAt(place, item), length)] }),
        compute: (batch) => this.model({ ...batch, signal }),
        result: (_, { logits }: LogitsOutput, row): object => {
          const values = scores(rowAt(logits, row))
          const labels = top(values, count).map((i) => ({ label: this.label(i), score: values[i]! }))
          return top_k === 1 && !one ? labels[0]! : labels
        },
      }
    })
  }
}

/** The reference's rule: regression has raw scores, several labels or a single score sigmoid, else softmax. */
export function scoreFunction({ problem_type, num_labels }: BertConfig): ScoreFunction {
  if (problem_type === 'regression') return 'none'
  return problem_type === 'multi_label_classification' || num_labels === 1 ? 'sigmoid' : 'softmax'
}

export function scorer(name: ScoreFunction): (logits: Float32Array) => ArrayLike<number> {
  return { softmax, sigmoid: (logits: Float32Array) => Float64Array.from(logits, sigmoid), none: (logits: Float32Array) => logits }[name]
}
