/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type -- instances are callable */
import { BertForNextSentencePrediction, type LogitsOutput } from '../models/bert-for.ts'
import { pairAt, Pipeline, rowAt, type Call, type CallOptions, type Results } from './base.ts'
import type { Job } from './batches.ts'
import { softmax } from './scores.ts'

export interface NextSentenceOptions extends CallOptions {
  /** Longer pairs are cut to this many tokens; the model's limit by default. */
  readonly max_length?: number
}

export interface SentencePair {
  readonly text: string
  readonly text_pair: string
}

export interface NextSentence {
  readonly is_next: boolean
  /** How likely the second text follows the first. */
  readonly score: number
}

export interface NextSentencePredictionPipeline extends Call<SentencePair, NextSentenceOptions, NextSentence> {}

/**
 * Whether one text follows another.
 *
 *     const follows = await pipeline('next-sentence-prediction', 'folder')
 *     await follows({ text: 'It rained.', text_pair: 'We got wet.' }) // { is_next: true, score: 0.99 }
 */
export class NextSentencePredictionPipeline extends Pipeline<BertForNextSentencePrediction> {
  static readonly model = BertForNextSentencePrediction
  readonly task = 'next-sentence-prediction'

  _call(
    pairs: SentencePair | readonly SentencePair[] | AsyncIterable<SentencePair>,
    options: NextSentenceOptions = {},
  ): Results<NextSentence> {
    return this.run(pairs, options, () => {
      this.check(options, ['max_length'])
      const length = this.limit(options.max_length)
      return {
        job: (pair: SentencePair, place: string): Job => ({ rows: [this.row(pairAt(place, pair, true), length)] }),
        compute: (batch) => this.model({ ...batch, signal: options.signal }),
        // Class 0 is the next sentence.
        result: (_, { logits }: LogitsOutput, row) => {
          const score = softmax(rowAt(logits, row))[0]!
          return { is_next: score >= 0.5, score }
        },
      }
    })
  }
}
