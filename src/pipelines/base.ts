import { Callable } from '../callable.ts'
import { checkOptions, expected, wholeOf } from '../errors.ts'
import type { BertPreTrainedModel } from '../models/model.ts'
import { checkHooks } from '../models/source.ts'
import type { Tensor } from '../models/tensor.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import type { TokenizerOutput } from '../tokenizer/tokenizer.ts'
import { inBatches, type CallProgress, type Job, type Row, type Work } from './batches.ts'

/** What every pipeline's call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal
  readonly progress_callback?: (event: CallProgress) => void
}

/** What a pipeline is called with: one, many, or a stream, whose results come in its order. */
export interface Call<Item, Options, Result> {
  (input: Item, options?: Options): Promise<Result>
  (inputs: readonly Item[], options?: Options): Promise<Result[]>
  (inputs: AsyncIterable<Item>, options?: Options): AsyncIterable<Result>
}

/** A text, or two that belong together. */
export type TextOrPair = string | { readonly text: string; readonly text_pair?: string }

export type Results<Result> = Promise<Result | Result[]> | AsyncIterable<Result>

/** A model with its tokenizer, and what they share over all tasks: batches, streams, limits and checks. */
export abstract class Pipeline<M extends BertPreTrainedModel = BertPreTrainedModel> extends Callable {
  readonly model: M
  readonly tokenizer: Tokenizer
  abstract readonly task: string

  constructor(model: M, tokenizer: Tokenizer) {
    super()
    this.model = model
    this.tokenizer = tokenizer
  }

  dispose(): Promise<void> {
    return this.model.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  /** Runs a call; `begin` checks its options and is called first, with whether there is one item and no list of them. */
  protected run<Item, J extends Job, Output, Result>(
    inputs: Item | readonly Item[] | AsyncIterable<Item>,
    options: CallOptions,
    begin: (one: boolean) => Work<Item, J, Output, Result>,
  ): Results<Result> {
    const many = Array.isArray(inputs)
    const stream = isStream<Item>(inputs)
    const total = stream ? undefined : many ? inputs.length : 1
    const tell = (loaded: number): void => {
      const progress = total !== undefined && { total, progress: (100 * loaded) / total }
      options.progress_callback?.({ status: 'progress', task: this.task, loaded, ...progress })
    }
    const items = stream ? inputs : many ? (inputs as readonly Item[]) : [inputs as Item]
    const results = inBatches(items, this.task, () => begin(!many && !stream), { signal: options?.signal, tell })
    return stream ? results : collect(results).then((list) => (many ? list : list[0]!))
  }

  /** Checks the names of a call's options, and those that all calls have. */
  protected check(options: CallOptions, known: readonly string[]): void {
    checkOptions(this.task, options, [...known, 'signal', 'progress_callback'])
    checkHooks(options)
  }

  /** Most tokens of a row: what was asked for, or what the model takes; at least its special ones. */
  protected limit(max_length?: number | null, name = 'max_length', least = 2): number {
    const most = this.model.config.max_position_embeddings
    return wholeOf(name, max_length ?? Math.min(most, this.tokenizer.model_max_length ?? most), least, most, ", the model's limit")
  }

  /** The row of a text or pair, the longer one cut to the limit first. */
  protected row({ text, text_pair }: { text: string; text_pair?: string | undefined }, max_length: number): Row {
    return rowsOf(this.tokenizer(text, { ...(text_pair !== undefined && { text_pair }), truncation: true, max_length }))[0]!
  }

  /** Names of the classes by number. */
  protected label(i: number): string {
    return this.model.config.id2label[i]!
  }
}

export const isStream = <Item>(inputs: unknown): inputs is AsyncIterable<Item> =>
  typeof inputs === 'object' && inputs !== null && Symbol.asyncIterator in inputs

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const result of results) list.push(result)
  return list
}

export const rowsOf = ({ input_ids, token_type_ids }: TokenizerOutput): Row[] =>
  input_ids.map((ids, i) => ({ ids, types: token_type_ids[i]! }))

/** The values of one row of a tensor whose first dimensions are rows. */
export function rowAt({ data, dims }: Tensor, row: number, depth = 1): Float32Array {
  const width = dims.slice(depth).reduce((product, n) => product * n, 1)
  return data.subarray(row * width, (row + 1) * width)
}

export function textAt(place: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw expected(place, 'a text', value)
}

export function pairAt(place: string, value: unknown, both = false): { text: string; text_pair?: string | undefined } {
  if (typeof value === 'string' && !both) return { text: value }
  const { text, text_pair } = (value ?? {}) as { text?: unknown; text_pair?: unknown }
  const fits = typeof text === 'string' && (typeof text_pair === 'string' || (!both && (text_pair ?? undefined) === undefined))
  if (!fits) throw expected(place, both ? '{ text, text_pair }' : 'a text, or { text, text_pair }', value)
  return { text, text_pair: (text_pair as string | null | undefined) ?? undefined }
}

/** A number of results, or null for all. */
export function countOf(name: string, value: unknown): number {
  return value === null ? Infinity : wholeOf(name, value, 1, Infinity, ', or null for all')
}
