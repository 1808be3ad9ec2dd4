// What src/integrations/langchain.ts takes of @langchain/core, an optional peer that is not installed here; test/integrations.test.ts compiles against the library's own.
declare module '@langchain/core/embeddings' {
  export interface EmbeddingsParams {
    readonly maxConcurrency?: number
    readonly maxRetries?: number
  }
  export abstract class Embeddings {
    constructor(params: EmbeddingsParams)
    abstract embedDocuments(documents: string[]): Promise<number[][]>
    abstract embedQuery(document: string): Promise<number[]>
  }
}
