import type { FeatureExtractionOptions, FeatureExtractionPipeline } from '../pipelines/feature-extraction.ts'

/** A pipeline of 'feature-extraction', or the promise of one. */
export type Embedder = FeatureExtractionPipeline | PromiseLike<FeatureExtractionPipeline>

/** How texts become vectors; as the model was trained, of length 1, unless said. */
export type EmbedderOptions = Pick<
  FeatureExtractionOptions,
  'pooling' | 'normalize' | 'truncate_dim' | 'prompt' | 'prompt_name' | 'max_length'
>

export function checkEmbedder(subject: string, embedder: unknown): void {
  if (typeof embedder === 'function' || typeof (embedder as PromiseLike<unknown> | null)?.then === 'function') return
  throw new TypeError(`${subject}: expected a pipeline of 'feature-extraction', or its promise, got ${String(embedder)}`)
}

/** A vector for each text. */
export async function embedAll(
  embedder: Embedder,
  texts: readonly string[],
  options: EmbedderOptions & { readonly signal?: AbortSignal },
  prompts: readonly string[] = [],
): Promise<number[][]> {
  if (texts.length === 0) return []
  const embed = await embedder
  // The first prompt of such a name that the model has.
  const prompt_name = prompts.find((name) => Object.hasOwn(embed.sentence.prompts, name))
  const { data, dims } = await embed(texts, {
    pooling: 'auto',
    normalize: true,
    ...(prompt_name !== undefined && { prompt_name }),
    ...options,
  })
  const width = dims[1]!
  return texts.map((_, i) => Array.from(data.subarray(i * width, (i + 1) * width)))
}
