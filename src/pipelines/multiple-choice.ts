/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type -- instances are callable */
import { expected } from '../errors.ts'
import { BertForMultipleChoice, type LogitsOutput } from '../models/bert-for.ts'
import type { ChoiceInputs } from '../models/choices.ts'
import { Pipeline, rowAt, textAt, type Call, type CallOptions, type Results } from './base.ts'
import type { Job } from './batches.ts'
import { argmax, softmax } from './scores.ts'

export interface MultipleChoiceOptions extends CallOptions {
  /** Most tokens of a text and a choice; the model's limit by default. */
  readonly max_length?: number
}

export interface ChoiceQuestion {
  readonly text: string
  /** What may follow; questions need not have the same number. */
  readonly choices: readonly string[]
}

export interface Choice {
  /** The likeliest: its place and its text. */
  readonly choice: number
  readonly answer: string
  /** Of every choice; they sum to 1. */
  readonly scores: number[]
}

export interface MultipleChoicePipeline extends Call<ChoiceQuestion, MultipleChoiceOptions, Choice> {}

interface ChoiceJob extends Job {
  readonly choices: readonly string[]
}

/**
 * The likeliest of several endings.
 *
 *     const choose = await pipeline('multiple-choice', 'folder')
 *     await choose({ text: 'She opened the', choices: ['door.', 'sea.'] }) // { choice: 0, answer: 'door.', scores: [0.96, 0.04] }
 */
export class MultipleChoicePipeline extends Pipeline<BertForMultipleChoice> {
  static readonly model = BertForMultipleChoice
  readonly task = 'multiple-choice'

  _call(
    questions: ChoiceQuestion | readonly ChoiceQuestion[] | AsyncIterable<ChoiceQuestion>,
    options: MultipleChoiceOptions = {},
  ): Results<Choice> {
    return this.run(questions, options, () => {
      this.check(options, ['max_length'])
      const length = this.limit(options.max_length)
      return {
        job: (question: ChoiceQuestion, place: string): ChoiceJob => {
          const { text, choices } = (question ?? {}) as Partial<ChoiceQuestion>
          if (!Array.isArray(choices) || choices.length === 0) throw expected(`${place}: choices`, 'a non-empty array of texts', choices)
          const texts = choices.map((choice, i) => textAt(`${place}: choices[${i}]`, choice))
          return { choices: texts, rows: texts.map((text_pair) => this.row({ text: textAt(`${place}: text`, text), text_pair }, length)) }
        },
        // A choice is scored by itself: each as an example of one.
        compute: (batch) => {
          const inputs = Object.entries(batch).map(([name, matrix]) => [name, single(matrix)])
          return this.model({ ...(Object.fromEntries(inputs) as ChoiceInputs), signal: options.signal })
        },
        result: ({ choices }, { logits }: LogitsOutput, row) => {
          const scores = [...softmax(choices.map((_, i) => rowAt(logits, row + i)[0]!))]
          const choice = argmax(scores)
          return { choice, answer: choices[choice]!, scores }
        },
      }
    })
  }
}

/** [R, L] as [R, 1, L]. */
function single(matrix: unknown): { data: ArrayLike<number>; dims: readonly number[] } {
  const { data, dims } = matrix as { data: ArrayLike<number>; dims: readonly [number, number] }
  return { data, dims: [dims[0], 1, dims[1]] }
}
