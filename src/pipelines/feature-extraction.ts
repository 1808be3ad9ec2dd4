import { checkOptions, expected } from '../errors.ts'
import { BertModel, type Pooling } from '../models/bert-model.ts'
import type { Tensor } from '../models/tensor.ts'
import { Pipeline } from './base.ts'

export interface FeatureExtractionOptions {
  /** `none` (default): [B, L, H], zeros behind each text's end. `mean` over the real tokens, or `cls`, the first: [B, H]. */
  readonly pooling?: Pooling
  /** Vectors of length 1. */
  readonly normalize?: boolean
  /** Longer texts are cut to this many tokens; the model's limit by default. */
  readonly max_length?: number
  readonly signal?: AbortSignal
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- instances are callable
export interface FeatureExtractionPipeline {
  (texts: string | readonly string[], options?: FeatureExtractionOptions): Promise<Tensor>
}

/** Texts to vectors. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class FeatureExtractionPipeline extends Pipeline<BertModel> {
  static readonly model = BertModel
  readonly task = 'feature-extraction'

  async _call(texts: string | readonly string[], options: FeatureExtractionOptions = {}): Promise<Tensor> {
    checkOptions('feature-extraction', options, ['pooling', 'normalize', 'max_length', 'signal'])
    const { pooling = 'none', normalize = false, signal } = options
    const list = typeof texts === 'string' ? [texts] : texts
    if (!Array.isArray(list) || list.length === 0 || !list.every((text) => typeof text === 'string')) {
      throw expected('feature-extraction', 'a text or a non-empty array of texts', texts)
    }
    if (!['none', 'mean', 'cls'].includes(pooling)) throw expected('pooling', 'one of none, mean, cls', pooling)
    const max_length = this.limit(options.max_length)
    const encoded = this.tokenizer(list, { padding: true, truncation: true, max_length })
    return this.model.features(encoded, { pooling, normalize, signal })
  }
}
