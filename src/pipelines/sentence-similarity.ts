/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging -- instances are callable */
import { expected, oneOf } from '../errors.ts'
import type { Tensor } from '../models/tensor.ts'
import { isStream, rowAt, type CallOptions } from './base.ts'
import { FeatureExtractionPipeline, type FeatureExtractionOptions } from './feature-extraction.ts'

const OPTIONS = ['pooling', 'truncate_dim', 'prompt', 'prompt_name', 'max_length'] as const

export interface SentenceSimilarityOptions extends CallOptions, Pick<FeatureExtractionOptions, (typeof OPTIONS)[number]> {}

export interface SentenceSimilarityPipeline {
  (source: string, sentences: readonly string[], options?: SentenceSimilarityOptions): Promise<number[]>
  (sources: readonly string[], sentences: readonly string[], options?: SentenceSimilarityOptions): Promise<number[][]>
  (sources: AsyncIterable<string>, sentences: readonly string[], options?: SentenceSimilarityOptions): AsyncIterable<number[]>
}

/**
 * How near sentences are to one, or to each of several, as the model was trained to tell: the cosine of their vectors, or the dot
 * product where its sentence-transformers files say so.
 *
 *     const similarity = await pipeline('sentence-similarity')
 *     await similarity('a cat', ['a kitten', 'a bus']) // [0.79, 0.2]
 */
export class SentenceSimilarityPipeline extends FeatureExtractionPipeline {
  override readonly task = 'sentence-similarity'

  override _call(sources: unknown, sentences: unknown, options: SentenceSimilarityOptions = {}): unknown {
    return isStream(sources) ? this.streamed(sources, sentences, options) : this.lists(sources, sentences, options)
  }

  private async lists(sources: unknown, sentences: unknown, options: SentenceSimilarityOptions): Promise<number[] | number[][]> {
    const embed = this.embedder(sentences, options)
    const own = [sources].flat()
    const rows = rowsOf(await embed([...own, ...(sentences as unknown[])]))
    const scores = own.map((_, i) => rows.slice(own.length).map((row) => dot(rows[i]!, row)))
    return Array.isArray(sources) ? scores : scores[0]!
  }

  private async *streamed(
    sources: AsyncIterable<unknown>,
    sentences: unknown,
    options: SentenceSimilarityOptions,
  ): AsyncGenerator<number[]> {
    const embed = this.embedder(sentences, options)
    const rows = rowsOf(await embed(sentences))
    for await (const { data } of embed(sources) as AsyncIterable<Tensor>) yield rows.map((row) => dot(data, row))
  }

  /** Checks a call, and gives what makes its vectors: of length 1, but for a dot product. */
  private embedder(sentences: unknown, options: SentenceSimilarityOptions): (texts: unknown) => unknown {
    this.check(options, OPTIONS)
    if (!Array.isArray(sentences)) throw expected('sentences', 'an array of texts', sentences)
    const { pooling = 'auto' } = options
    if (pooling === 'none') throw expected('pooling', 'one that gives a vector a text', pooling)
    const name = oneOf('similarity_fn_name', this.sentence.similarity_fn_name, ['cosine', 'dot'], undefined, 'unsupported')
    return (texts) => super._call(texts as string[], { ...options, pooling, normalize: name === 'cosine' })
  }
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0)

const rowsOf = (vectors: unknown): Float32Array[] =>
  Array.from({ length: (vectors as Tensor).dims[0]! }, (_, row) => rowAt(vectors as Tensor, row))
