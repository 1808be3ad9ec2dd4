import { expected } from '../errors.ts'
import type { Tensor } from '../models/tensor.ts'
import type { CallOptions } from './base.ts'
import { FeatureExtractionPipeline, type FeatureExtractionOptions } from './feature-extraction.ts'

export interface SentenceSimilarityOptions
  extends CallOptions, Pick<FeatureExtractionOptions, 'pooling' | 'prompt' | 'prompt_name' | 'max_length'> {}

type Embed = (texts: readonly string[], options: FeatureExtractionOptions) => Promise<Tensor>

/**
 * How near sentences are to one, as the model was trained to tell: the cosine of their vectors.
 *
 *     const similarity = await pipeline('sentence-similarity')
 *     await similarity('a cat', ['a kitten', 'a bus']) // [0.79, 0.2]
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- instances are callable
export class SentenceSimilarityPipeline extends FeatureExtractionPipeline {
  override readonly task = 'sentence-similarity'

  override async _call(source: unknown, sentences: unknown, options: SentenceSimilarityOptions = {}): Promise<number[]> {
    if (typeof source !== 'string') throw expected('sentence-similarity', 'a text to compare with', source)
    if (!Array.isArray(sentences)) throw expected('sentences', 'an array of texts', sentences)
    const embed = super._call.bind(this) as Embed
    const { data, dims } = await embed([source, ...(sentences as string[])], { pooling: 'auto', ...options, normalize: true })
    const width = dims.at(-1)!
    return (sentences as string[]).map((_, i) => {
      let sum = 0
      for (let k = 0; k < width; k++) sum += data[k]! * data[(i + 1) * width + k]!
      return sum
    })
  }
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- instances are callable
export interface SentenceSimilarityPipeline {
  (source: string, sentences: readonly string[], options?: SentenceSimilarityOptions): Promise<number[]>
}
