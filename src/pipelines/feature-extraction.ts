import { Callable } from '../callable.ts'
import { checkOptions, expected } from '../errors.ts'
import { BertModel, type Pooling } from '../models/bert-model.ts'
import type { LoadOptions } from '../models/options.ts'
import { openSource, type ModelSource } from '../models/source.ts'
import { Tokenizer } from '../models/tokenizer.ts'
import type { Tensor } from '../models/tensor.ts'
import { currentRuntime } from '../engine/engine.ts'

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
export class FeatureExtractionPipeline extends Callable {
  readonly model: BertModel
  readonly tokenizer: Tokenizer

  constructor(model: BertModel, tokenizer: Tokenizer) {
    super()
    this.model = model
    this.tokenizer = tokenizer
  }

  static async create(model: ModelSource | undefined, options: LoadOptions): Promise<FeatureExtractionPipeline> {
    const source = openSource(model ?? currentRuntime().defaultSource(), options)
    const [tokenizer, bert] = await Promise.all([
      Tokenizer.fromPretrained(source, { signal: options.signal }),
      BertModel.fromPretrained(source, { add_pooling_layer: false, ...options }),
    ])
    return new FeatureExtractionPipeline(bert, tokenizer)
  }

  async _call(texts: string | readonly string[], options: FeatureExtractionOptions = {}): Promise<Tensor> {
    checkOptions('feature-extraction', options, ['pooling', 'normalize', 'max_length', 'signal'])
    const { pooling = 'none', normalize = false, signal } = options
    const list = typeof texts === 'string' ? [texts] : texts
    if (!Array.isArray(list) || list.length === 0 || !list.every((text) => typeof text === 'string')) {
      throw expected('feature-extraction', 'a text or a non-empty array of texts', texts)
    }
    if (!['none', 'mean', 'cls'].includes(pooling)) throw expected('pooling', 'one of none, mean, cls', pooling)
    const limit = this.model.config.max_position_embeddings
    const max_length = options.max_length ?? Math.min(limit, this.tokenizer.model_max_length ?? limit)
    if (!Number.isInteger(max_length) || max_length < 2 || max_length > limit) {
      throw expected('max_length', `a whole number from 2 to ${limit}, the model's limit`, max_length)
    }
    const encoded = this.tokenizer(list, { padding: true, truncation: true, max_length })
    return this.model.features(encoded, { pooling, normalize, signal })
  }

  dispose(): Promise<void> {
    return this.model.dispose()
  }
}
