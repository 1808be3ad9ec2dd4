/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging -- instances are callable */
import { expected, flagOf, oneOf } from '../errors.ts'
import { BertForSequenceClassification, type LogitsOutput } from '../models/bert-for.ts'
import { countOf, Pipeline, rowAt, textAt, type CallOptions, type Results } from './base.ts'
import type { Job } from './batches.ts'
import { sigmoid, top } from './scores.ts'

const FUNCTIONS = ['sigmoid', 'none'] as const

export interface TextRankingOptions extends CallOptions {
  /** How many documents, the best first; null (default) for all. */
  readonly top_k?: number | null
  /** Whether the documents' texts are given too. */
  readonly return_documents?: boolean
  /** What makes scores of the raw ones: as the model's files say, `sigmoid` where they say nothing. */
  readonly function_to_apply?: (typeof FUNCTIONS)[number]
  /** Most tokens of query and document together; the model's limit by default. */
  readonly max_length?: number
}

export interface Ranked {
  /** The document's place in the list. */
  readonly corpus_id: number
  readonly score: number
  readonly text?: string
}

export interface TextRankingPipeline {
  (query: string, documents: readonly string[], options?: TextRankingOptions): Promise<Ranked[]>
  (queries: readonly string[], documents: readonly string[], options?: TextRankingOptions): Promise<Ranked[][]>
  (queries: AsyncIterable<string>, documents: readonly string[], options?: TextRankingOptions): AsyncIterable<Ranked[]>
}

/**
 * Documents by how well they answer a query, by a cross-encoder: rank() of sentence-transformers.
 *
 *     const rank = await pipeline('text-ranking', 'folder')
 *     await rank('capital of France', ['Paris is', 'a cat']) // [{ corpus_id: 0, score: 0.98 }, { corpus_id: 1, score: 0.01 }]
 */
export class TextRankingPipeline extends Pipeline<BertForSequenceClassification> {
  static readonly model = BertForSequenceClassification
  readonly task = 'text-ranking'

  _call(
    queries: string | readonly string[] | AsyncIterable<string>,
    documents: readonly string[],
    options: TextRankingOptions = {},
  ): Results<Ranked[]> {
    return this.run(queries, options, () => {
      this.check(options, ['top_k', 'return_documents', 'function_to_apply', 'max_length'])
      const { top_k = null, return_documents = false, signal } = options
      const { num_labels, original } = this.model.config
      if (num_labels !== 1)
        throw expected(
          'text-ranking',
          'a model of one label',
          num_labels,
          "For one of several use pipeline('text-classification') with pairs",
        )
      if (!Array.isArray(documents)) throw expected('documents', 'an array of texts', documents)
      const texts = (documents as readonly string[]).map((text, i) => textAt(`documents[${i}]`, text))
      const [count, length] = [countOf('top_k', top_k), this.limit(options.max_length)]
      flagOf('return_documents', return_documents)
      const name = oneOf('function_to_apply', options.function_to_apply ?? ownFunction(original), FUNCTIONS)
      return {
        job: (query: string, place: string): Job => ({
          rows: texts.map((text_pair) => this.row({ text: textAt(place, query), text_pair }, length)),
        }),
        compute: async (batch) => (texts.length === 0 ? undefined : this.model({ ...batch, signal })),
        result: (_, output: LogitsOutput | undefined, row) => {
          const raw = texts.map((_text, i) => rowAt(output!.logits, row + i)[0]!)
          const scores = name === 'sigmoid' ? raw.map(sigmoid) : raw
          // By the raw ones: a sigmoid of large ones is 1 for all.
          return top(raw, count).map((i) => ({ corpus_id: i, score: scores[i]!, ...(return_documents && { text: texts[i]! }) }))
        },
      }
    })
  }
}

/** The activation that sentence-transformers wrote into config.json. */
function ownFunction(config: Readonly<Record<string, unknown>>): string {
  const { sentence_transformers: own, sbert_ce_default_activation_function: old } = config
  const name = (own as { activation_fn?: unknown } | undefined)?.activation_fn ?? old
  return typeof name === 'string' && name.endsWith('Identity') ? 'none' : 'sigmoid'
}
