// bertlet/ai-sdk: a bertlet model for `embed` and `embedMany` of the AI SDK.
import { checkEmbedder, embedAll, type Embedder, type EmbedderOptions } from './embed.ts'

export type { Embedder, EmbedderOptions }

/** The AI SDK's EmbeddingModelV3, which `ai` 6 and 7 take; 7 alone takes its V4, which differs in `dimensions`. */
export interface BertletEmbeddingModel {
  readonly specificationVersion: 'v3'
  readonly provider: string
  readonly modelId: string
  readonly maxEmbeddingsPerCall: number
  readonly supportsParallelCalls: boolean
  doEmbed(options: {
    readonly values: string[]
    readonly dimensions?: number | undefined
    readonly abortSignal?: AbortSignal | undefined
    readonly providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined
  }): Promise<{ embeddings: number[][]; usage: { tokens: number }; warnings: [] }>
}

export interface EmbeddingModelOptions extends EmbedderOptions {
  /** For the AI SDK's logs; `feature-extraction` by default. */
  readonly modelId?: string
}

/**
 *     const model = embeddingModel(await pipeline('feature-extraction'))
 *     const { embeddings } = await embedMany({ model, values: ['a text', 'another'] })
 *
 * `providerOptions: { bertlet: { prompt_name: 'query' } }` changes options for one call.
 */
export function embeddingModel(
  embedder: Embedder,
  { modelId = 'feature-extraction', ...options }: EmbeddingModelOptions = {},
): BertletEmbeddingModel {
  checkEmbedder('embeddingModel', embedder)
  return {
    specificationVersion: 'v3',
    provider: 'bertlet',
    modelId,
    // A call is cut by tokens, and calls wait for each other.
    maxEmbeddingsPerCall: Infinity,
    supportsParallelCalls: false,
    async doEmbed({ values, dimensions, abortSignal, providerOptions }) {
      const asked = providerOptions?.bertlet as EmbedderOptions | undefined
      const own = { ...options, ...(dimensions !== undefined && { truncate_dim: dimensions }), ...asked }
      const embeddings = await embedAll(embedder, values, { ...own, ...(abortSignal && { signal: abortSignal }) })
      const { tokenizer, model } = await embedder
      const most = own.max_length ?? model.config.max_position_embeddings
      const length = (text: string): number => Math.min(most, tokenizer(text, { truncation: false }).input_ids[0]!.length)
      const tokens = values.reduce((sum, text) => sum + length(text), 0)
      return { embeddings, usage: { tokens }, warnings: [] }
    },
  }
}
