import { BertletError } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { normalize } from '../graph/ops.ts'
import { packBatch, type BatchInputs } from './batch.ts'
import { bert, sentencePool } from './bert.ts'
import { BASE, BASE_WITHOUT_POOLER, type Head } from './heads.ts'
import type { Loaded } from './load.ts'
import { BertPreTrainedModel, type ModelInputs, type ModelOutput } from './model.ts'
import type { Tensor } from './tensor.ts'
import type { Variant } from './variant.ts'

export type BertModelInputs = ModelInputs

export interface BertModelOutput extends ModelOutput {
  /** [B, L, H]; zeros at masked positions. */
  readonly last_hidden_state: Tensor
  /** [B, H]: tanh(W x + b) of each row's first real token; absent without a pooler. */
  readonly pooler_output?: Tensor
}

/** What a pipeline wants of a sequence. */
export type Pooling = 'none' | 'cls' | 'mean'

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- instances are callable
export interface BertModel {
  (inputs: BertModelInputs): Promise<BertModelOutput>
}

/**
 * BERT's encoder with its pooler, as BertModel of Hugging Face transformers.
 *
 *     const model = await BertModel.fromPretrained('folder', { threads: 2 })
 *     const { last_hidden_state } = await model({ input_ids: [[101, 7592, 102]] })
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class BertModel extends BertPreTrainedModel {
  static override headFor({ add_pooling_layer = true }: { readonly add_pooling_layer?: boolean }): Head {
    return add_pooling_layer ? BASE : BASE_WITHOUT_POOLER
  }

  /** Vectors for feature extraction: [B, L, H] for pooling 'none', otherwise [B, H]. */
  async features(
    inputs: BatchInputs,
    { pooling, normalize: unit, signal }: { pooling: Pooling; normalize: boolean; signal?: AbortSignal | undefined },
  ): Promise<Tensor> {
    const { loaded } = this
    loaded.assertLive()
    const variant: Variant = {
      key: `features.${pooling}.${unit}`,
      attention: loaded.attention,
      build: (g) => features(g, loaded, pooling, unit),
    }
    const { features: result } = await this.compute(variant, packBatch(inputs, this.config), { signal })
    if (result === undefined) throw new BertletError('internal', 'the graph has no features')
    return result
  }
}

function features(g: Graph, { config, trunk, attention }: Loaded, pooling: Pooling, unit: boolean): void {
  const last = bert(g, config, trunk, { attention, inference: true, firstOnly: pooling === 'cls' }).hidden.at(-1)!
  const pooled = pooling === 'none' ? last : sentencePool(g, last, pooling)
  g.output('features', unit ? normalize(g, pooled) : pooled)
}
