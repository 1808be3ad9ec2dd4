// Labelled texts to what a classifier is trained and measured on.
import type { BertConfig, Tokenizer } from '../index.node.ts'
import { classificationMetrics, regressionMetrics, type ComputeMetrics, type Feature } from '../training.ts'
import type { Example } from './dataset.ts'
import type { Labelling } from './labels.ts'

/** Texts that are tokenized together. */
const BATCH = 512

/** The longest row that model and tokenizer take. */
export const longest = (config: BertConfig, tokenizer: Tokenizer, asked?: number): number =>
  asked ?? Math.min(tokenizer.model_max_length ?? Infinity, config.max_position_embeddings)

export function featuresOf(
  examples: readonly Example[],
  labels: Labelling | undefined,
  tokenizer: Tokenizer,
  max_length: number,
  signal: AbortSignal,
): Feature[] {
  const features: Feature[] = []
  for (let at = 0; at < examples.length; at += BATCH) {
    signal.throwIfAborted()
    const part = examples.slice(at, at + BATCH)
    const pairs = part[0]!.pair === undefined ? undefined : part.map(({ pair }) => pair!)
    const texts = part.map(({ text }) => text)
    const { input_ids, token_type_ids } = tokenizer(texts, { ...(pairs && { text_pair: pairs }), truncation: true, max_length })
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

export const metricsFor = (classes: number | undefined): ComputeMetrics =>
  classes === undefined ? regressionMetrics : classificationMetrics
