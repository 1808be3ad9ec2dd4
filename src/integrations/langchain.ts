// bertlet/langchain: a bertlet model as LangChain's Embeddings.
import { Embeddings, type EmbeddingsParams } from '@langchain/core/embeddings'
import { checkEmbedder, embedAll, type Embedder, type EmbedderOptions } from './embed.ts'

export type { Embedder, EmbedderOptions }

export interface BertletEmbeddingsParams extends EmbeddingsParams, EmbedderOptions {}

/**
 *     const embeddings = new BertletEmbeddings(await pipeline('feature-extraction'))
 *     const store = await MemoryVectorStore.fromTexts(texts, metadata, embeddings)
 *
 * Documents and queries get the prompts that the model has for them.
 */
export class BertletEmbeddings extends Embeddings {
  private readonly options: EmbedderOptions

  constructor(
    private readonly embedder: Embedder,
    { pooling, normalize, truncate_dim, prompt, prompt_name, max_length, ...params }: BertletEmbeddingsParams = {},
  ) {
    super(params)
    checkEmbedder('BertletEmbeddings', embedder)
    const given = Object.entries({ pooling, normalize, truncate_dim, prompt, prompt_name, max_length })
    this.options = Object.fromEntries(given.filter(([, value]) => value !== undefined))
  }

  embedDocuments(documents: string[]): Promise<number[][]> {
    return embedAll(this.embedder, documents, this.options, ['document', 'passage', 'corpus'])
  }

  async embedQuery(document: string): Promise<number[]> {
    return (await embedAll(this.embedder, [document], this.options, ['query']))[0]!
  }
}
