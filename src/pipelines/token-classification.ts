/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type -- instances are callable */
import { expected, oneOf, wholeOf } from '../errors.ts'
import { BertForTokenClassification, type LogitsOutput } from '../models/bert-for.ts'
import { Pipeline, rowAt, rowsOf, textAt, type Call, type CallOptions, type Results } from './base.ts'
import type { Job } from './batches.ts'
import {
  group,
  labelWords,
  tagOf,
  withoutOverlap,
  STRATEGIES,
  type AggregationStrategy,
  type Entity,
  type Piece,
  type TokenEntity,
} from './entities.ts'
import { softmax } from './scores.ts'

export interface TokenClassificationOptions extends CallOptions {
  /** How tokens become entities: `none` (default) leaves them as they are, see entities.ts for the others. */
  readonly aggregation_strategy?: AggregationStrategy
  /** Labels that are left out; ['O'] by default. */
  readonly ignore_labels?: readonly string[]
  /**
   * Tokens that windows of a long text share. Given, each window is grouped alone and of entities that overlap the longer one stays, as in
   * the reference. By default a token is read in the window that shows most around it, and the text grouped as a whole.
   */
  readonly stride?: number
  /** Tokens of a window; the model's limit by default. */
  readonly max_length?: number
}

export interface TokenClassificationPipeline {
  (
    text: string,
    options: TokenClassificationOptions & { readonly aggregation_strategy: Exclude<AggregationStrategy, 'none'> },
  ): Promise<Entity[]>
  (text: string, options?: TokenClassificationOptions & { readonly aggregation_strategy?: 'none' }): Promise<TokenEntity[]>
}
export interface TokenClassificationPipeline extends Call<string, TokenClassificationOptions, (TokenEntity | Entity)[]> {}

interface WindowsJob extends Job {
  readonly text: string
  readonly offsets: readonly (readonly [number, number])[][]
  /** Tokens from the start of a window to that of the next. */
  readonly step: number
}

/**
 * Labels of tokens, or the entities that they make up, with where they stand: `text.slice(start, end)`.
 *
 *     const ner = await pipeline('ner', 'folder')
 *     await ner('Ada Lovelace lived in London', { aggregation_strategy: 'simple' })
 *     // [{ entity_group: 'PER', score: 0.99, word: 'Ada Lovelace', start: 0, end: 12 }, ...]
 */
export class TokenClassificationPipeline extends Pipeline<BertForTokenClassification> {
  static readonly model = BertForTokenClassification
  readonly task = 'token-classification'

  _call(
    inputs: string | readonly string[] | AsyncIterable<string>,
    options: TokenClassificationOptions = {},
  ): Results<(TokenEntity | Entity)[]> {
    return this.run(inputs, options, () => {
      this.check(options, ['aggregation_strategy', 'ignore_labels', 'stride', 'max_length'])
      const strategy = oneOf('aggregation_strategy', options.aggregation_strategy ?? 'none', STRATEGIES)
      const ignored = this.ignored(options.ignore_labels ?? ['O'])
      const max_length = this.limit(options.max_length, 'max_length', 3)
      const room = max_length - 2
      const stride = wholeOf('stride', options.stride ?? Math.min(128, room >> 1), 0, room - 1)
      const apart = options.stride !== undefined && strategy !== 'none'
      return {
        job: (text: string, place: string): WindowsJob => this.windows(textAt(place, text), max_length, stride),
        compute: (batch) => this.model({ ...batch, signal: options.signal }),
        result: (job, { logits }: LogitsOutput, row) => {
          const windows = job.rows.map((_, i) => this.pieces(job, i, rowAt(logits, row + i)))
          const lists = apart ? windows : [widest(windows, stride)]
          const entities = lists.flatMap((pieces) =>
            this.entities(pieces, strategy).filter((entity) => !ignored.includes('entity' in entity ? entity.entity : entity.entity_group)),
          )
          return apart && windows.length > 1 ? withoutOverlap(entities as Entity[]) : entities
        },
      }
    })
  }

  /** Labels, or tags without their prefix; O goes for any model. */
  private ignored(labels: unknown): readonly string[] {
    if (!Array.isArray(labels)) throw expected('ignore_labels', 'an array of labels', labels)
    const own = Object.values(this.model.config.id2label)
    const known = ['O', ...own, ...own.map(tagOf)]
    return labels.map((label) => oneOf('ignore_labels', label, known, `labels of the model, ${own.slice(0, 12).join(', ')}`))
  }

  private windows(text: string, max_length: number, stride: number): WindowsJob {
    const encoded = this.tokenizer(text, {
      truncation: true,
      truncation_side: 'right',
      max_length,
      stride,
      return_overflowing_tokens: true,
      return_offsets_mapping: true,
    })
    return { text, rows: rowsOf(encoded), offsets: encoded.offset_mapping!, step: max_length - 2 - stride }
  }

  private pieces({ text, rows, offsets, step }: WindowsJob, window: number, logits: Float32Array): Piece[] {
    const { tokenizer } = this
    const labels = this.model.config.num_labels
    const { ids } = rows[window]!
    const words = tokenizer.convert_ids_to_tokens(ids)
    // Between [CLS] and [SEP].
    return ids.slice(1, -1).map((id, before) => {
      const i = before + 1
      const [start, end] = offsets[window]![i]!
      const source = text.slice(start, end)
      const unknown = id === tokenizer.unk_token_id
      return {
        scores: softmax(logits.subarray(i * labels, (i + 1) * labels)),
        index: window * step + i,
        word: unknown ? source : words[i]!,
        start,
        end,
        // The reference's rule: it differs in length from the text that it is of.
        isSubword: !unknown && [...words[i]!].length !== [...source].length,
      }
    })
  }

  private entities(pieces: readonly Piece[], strategy: AggregationStrategy): (TokenEntity | Entity)[] {
    const label = (i: number): string => this.label(i)
    const join = (words: readonly string[]): string => this.tokenizer.convert_tokens_to_string(words)
    const tokens = labelWords(pieces, strategy, label, join)
    return strategy === 'none' ? tokens : group(tokens, join)
  }
}

/** Each token once, from the window in which it stands farthest from the edges. */
function widest(windows: readonly (readonly Piece[])[], stride: number): readonly Piece[] {
  return windows.flatMap((pieces, i) => {
    const from = i === 0 ? 0 : stride - (stride >> 1)
    const to = i === windows.length - 1 ? pieces.length : pieces.length - (stride >> 1)
    return pieces.slice(from, to)
  })
}
