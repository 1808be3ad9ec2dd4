// Labelled texts to what a model is trained and measured on.
import type { BertConfig } from '../models/config.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import type { TokenizeOptions } from '../tokenizer/options.ts'
import type { Feature } from '../training/dataset.ts'
import type { Labelling } from './class-labels.ts'
import type { Example } from './examples.ts'

/** Texts that are tokenized together. */
const BATCH = 512

/** The longest row that model and tokenizer take. */
export const longest = (config: Pick<BertConfig, 'max_position_embeddings'>, tokenizer: Tokenizer, asked?: number): number =>
  asked ?? Math.min(tokenizer.model_max_length ?? Infinity, config.max_position_embeddings)

/** How rows are cut; not at all where nobody knows a limit. */
export function truncated(tokenizer: Tokenizer, max_length = tokenizer.model_max_length): TokenizeOptions {
  return max_length === undefined ? {} : { truncation: true, max_length }
}

export interface TextFeatureOptions {
  /** What labels mean; without it there are none in the features. */
  readonly labels?: Labelling | undefined
  /** Most tokens of a row, the longer text of a pair is cut first; the tokenizer's limit by default. */
  readonly max_length?: number
  readonly signal?: AbortSignal
}

/** A feature for every text, or pair. */
export function textFeatures(
  examples: readonly Example[],
  tokenizer: Tokenizer,
  { labels, max_length, signal }: TextFeatureOptions = {},
): Feature[] {
  const features: Feature[] = []
  for (let at = 0; at < examples.length; at += BATCH) {
    signal?.throwIfAborted()
    const part = examples.slice(at, at + BATCH)
    const pairs = part[0]!.pair === undefined ? undefined : part.map(({ pair }) => pair!)
    const texts = part.map(({ text }) => text)
    const cut = truncated(tokenizer, max_length)
    const { input_ids, token_type_ids } = tokenizer(texts, { ...(pairs && { text_pair: pairs }), ...cut })
    part.forEach((example, i) =>
      features.push({
        input_ids: Int32Array.from(input_ids[i]!),
        ...(pairs && { token_type_ids: Uint8Array.from(token_type_ids[i]!) }),
        ...(labels && { labels: labels.of(example) }),
      }),
    )
  }
  return features
}
