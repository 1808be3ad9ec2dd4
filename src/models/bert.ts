// The forward, once. Follows BertModel of Hugging Face transformers: embeddings, encoder layers, pooler.
import { Activation } from '../../assembly/abi.ts'
import type { Graph } from '../graph/graph.ts'
import {
  activation,
  add,
  addLinear,
  attention,
  context,
  embedding,
  gather,
  layerNorm,
  linear,
  meanPool,
  scores,
  softmax,
  type LinearOptions,
} from '../graph/ops.ts'
import { OFFSETS, SEQUENCES, TOKENS, type Tensor } from '../graph/tensor.ts'
import type { WeightDtype } from '../engine/build.ts'
import type { BertConfig, HiddenAct } from './config.ts'
import type { Dropout } from './dropout.ts'
import type { AttentionImplementation } from './options.ts'
import { residentLayout, SMOOTHING } from './parameters.ts'

/** Names of the inputs that a packed batch fills. */
export const INPUTS = {
  ids: 'input_ids',
  /** [T][H], in place of the word table. */
  embeds: 'inputs_embeds',
  types: 'token_type_ids',
  positions: 'position_ids',
  offsets: 'offsets',
  /** Each sequence's first token. */
  first: 'first',
  /** Tokens whose logits are wanted. */
  selected: 'selected',
} as const

/** How a store holds the trunk: the word table lies as a panel where a head multiplies by it. */
export interface TrunkLayout {
  readonly wordTable: 'rows' | 'panel'
  /** What its matrices are held in. */
  readonly dtype?: WeightDtype
  /** What a layer's sums are made of is multiplied by a vector before it becomes integers. */
  readonly smoothed?: boolean
  /** What an adapter puts beside and in place of them. */
  readonly adapter?: AdapterLayout | undefined
}

/** An adapter as graphs see it. Names are Hugging Face's without `bert.`; those in the store are its own. */
export interface AdapterLayout {
  /** The low-rank branch beside a linear layer: y += scale (dropout(x) A^T) B^T, A [r][K], B [N][r]. */
  lora(module: string): LowRank | undefined
  /** The name in the store of what stands in place of a parameter, in f32. */
  instead(parameter: string): string | undefined
}

export interface LowRank {
  readonly a: string
  readonly b: string
  readonly r: number
  readonly scale: number
  readonly dropout: number
}

export interface Encoded {
  /** Embeddings, then the output of each layer: [T][H]; with `firstOnly` the last is [B][H]. */
  readonly hidden: Tensor[]
  /** Probabilities of each layer: [seq][head][len][len]; none where attention is fused. */
  readonly attentions: Tensor[]
  /** What each layer's feed-forward part reads. */
  readonly mixed: Tensor[]
}

const ACTIVATIONS: Readonly<Record<HiddenAct, Activation>> = {
  gelu: Activation.Gelu,
  gelu_new: Activation.GeluTanh,
  gelu_pytorch_tanh: Activation.GeluTanh,
  gelu_fast: Activation.GeluTanh,
  quick_gelu: Activation.QuickGelu,
  relu: Activation.Relu,
  silu: Activation.Silu,
  swish: Activation.Silu,
  tanh: Activation.Tanh,
}

/** Parameters by Hugging Face's names without the `bert.` prefix; `place` sets apart the heads that share a store. */
export class Parameters {
  constructor(
    private readonly g: Graph,
    private readonly place = '',
    private readonly trunk: Partial<TrunkLayout> = {},
    private readonly drop?: Dropout,
  ) {}

  weight(name: string, n: number, k: number): Tensor {
    return this.table(name, n, k, 'panel')
  }

  table(name: string, n: number, k: number, layout: 'rows' | 'panel' = 'rows'): Tensor {
    const own = this.trunk.adapter?.instead(`${name}.weight`)
    const held = residentLayout({ name: `${name}.weight`, layout, shape: [n, k] }, own === undefined ? this.trunk.dtype : 'f32')
    return this.g.parameter(own ?? `${this.place}${name}.weight`, [n, k], held)
  }

  vector(name: string, n: number): Tensor {
    return this.g.parameter(this.trunk.adapter?.instead(name) ?? `${this.place}${name}`, [n])
  }

  /** x W^T + b, and what an adapter adds; in heads, see linear(). */
  dense(name: string, x: Tensor, n: number, k: number, options?: LinearOptions): Tensor {
    const { g, drop } = this
    const y = linear(g, x, this.weight(name, n, k), this.vector(`${name}.bias`, n), options)
    const low = this.trunk.adapter?.lora(name)
    if (low === undefined) return y
    const { a, b, r, scale, dropout: p } = low
    const inner = linear(g, drop ? drop.adapter(x, p) : x, g.parameter(a, [r, k], 'panel'), null, { scale })
    return addLinear(g, inner, g.parameter(b, [n, r], 'panel'), y)
  }

  norm(name: string, x: Tensor, h: number, eps: number): Tensor {
    return layerNorm(this.g, x, this.vector(`${name}.LayerNorm.weight`, h), this.vector(`${name}.LayerNorm.bias`, h), eps)
  }
}

/** The word table, as embeddings and tied decoders share it. */
export function wordTable(g: Graph, config: BertConfig, trunk: TrunkLayout): Tensor {
  return new Parameters(g, '', trunk).table('embeddings.word_embeddings', config.vocab_size, config.hidden_size, trunk.wordTable)
}

export interface TrunkOptions {
  /** The caller's vectors take the place of the word table. */
  readonly embeds?: boolean
  readonly drop?: Dropout | undefined
  /** Only each sequence's first token is asked of the last layer: behind its attention the others are left out. */
  readonly firstOnly?: boolean
  /** Where no gradient is asked for: with `firstOnly` its fused attention has their queries alone, too. */
  readonly inference?: boolean
  /** `sdpa`, the default: one fused record a layer. `eager`: scores, softmax and context, whose maps can be kept. */
  readonly attention?: AttentionImplementation
}

/** Embeddings and encoder over a packed batch. */
export function bert(
  g: Graph,
  config: BertConfig,
  trunk: TrunkLayout,
  { embeds = false, firstOnly = false, ...options }: TrunkOptions = {},
): Encoded {
  const { drop } = options
  const p = new Parameters(g, '', trunk)
  const h = config.hidden_size
  const offsets = g.input(INPUTS.offsets, [OFFSETS])

  const embedded = embedding(
    g,
    g.input(INPUTS.ids, [TOKENS]),
    g.input(INPUTS.types, [TOKENS]),
    g.input(INPUTS.positions, [TOKENS]),
    embeds ? g.input(INPUTS.embeds, [TOKENS, h], 'f32') : wordTable(g, config, trunk),
    p.table('embeddings.token_type_embeddings', config.type_vocab_size, h),
    p.table('embeddings.position_embeddings', config.max_position_embeddings, h),
    config.pad_token_id,
  )
  const first = p.norm('embeddings', embedded, h, config.layer_norm_eps)
  const hidden = [drop ? drop.tokens(first, config.hidden_dropout_prob) : first]
  const attentions: Tensor[] = []
  const mixed: Tensor[] = []
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const x = hidden.at(-1)!
    const only = firstOnly && layer === config.num_hidden_layers - 1
    const layerOptions = { ...options, firstOnly: only, trunk }
    const {
      output,
      probabilities,
      mixed: between,
    } = g.segment(() => encoderLayer(g, config, `encoder.layer.${layer}`, x, offsets, layerOptions))
    hidden.push(output)
    mixed.push(between)
    if (probabilities) attentions.push(probabilities)
  }
  return { hidden, attentions, mixed }
}

type LayerConfig = Pick<BertConfig, 'hidden_size' | 'num_attention_heads' | 'intermediate_size' | 'hidden_act' | 'layer_norm_eps'> &
  Partial<Pick<BertConfig, 'hidden_dropout_prob' | 'attention_probs_dropout_prob'>>

type LayerOptions = Pick<TrunkOptions, 'drop' | 'attention' | 'firstOnly' | 'inference'> & { readonly trunk?: Partial<TrunkLayout> }

/** One layer: self-attention, residual, feed-forward, residual. x [T][H]; what follows the attention is row by row, so rows can be left out. */
export function encoderLayer(
  g: Graph,
  config: LayerConfig,
  name: string,
  x: Tensor,
  offsets: Tensor,
  { drop, attention: kind = 'sdpa', firstOnly = false, inference = false, trunk }: LayerOptions = {},
): { output: Tensor; probabilities: Tensor | undefined; mixed: Tensor } {
  const p = new Parameters(g, '', trunk, drop)
  const { hidden_size: h, num_attention_heads: heads, intermediate_size: wide } = config
  const dense = (part: string, input: Tensor, n: number, k: number, more?: LinearOptions): Tensor =>
    p.dense(`${name}.${part}`, input, n, k, more)
  const smoothing = (part: string): Tensor | undefined => (trunk?.smoothed ? p.vector(`${name}.${part}`, h) : undefined)
  const norm = (part: string, input: Tensor): Tensor => p.norm(`${name}.${part}`, input, h, config.layer_norm_eps)

  const hidden = (input: Tensor): Tensor => {
    const p = config.hidden_dropout_prob ?? 0
    if (!drop) return input
    // A first token's mask is the same either way.
    return firstOnly ? drop.sequences(input, p) : drop.tokens(input, p)
  }
  const kept = (input: Tensor): Tensor => (firstOnly ? firstOf(g, input) : input)
  const asking = inference && kind === 'sdpa' ? kept(x) : x

  const byHeads = { heads, smoothing: smoothing(SMOOTHING.attention) }
  const q = dense('attention.self.query', asking, h, h, byHeads)
  const k = dense('attention.self.key', x, h, h, byHeads)
  const v = dense('attention.self.value', x, h, h, byHeads)
  const scale = 1 / Math.sqrt(h / heads)
  const maps = drop?.maps(config.attention_probs_dropout_prob ?? 0)
  const probabilities = kind === 'eager' ? softmax(g, scores(g, q, k, offsets, scale), offsets) : undefined
  const attended = probabilities
    ? context(g, maps ? drop!.masked(probabilities, offsets, maps) : probabilities, v, offsets)
    : attention(g, q, k, v, offsets, scale, maps)
  const mixed = norm('attention.output', add(g, hidden(dense('attention.output.dense', kept(attended), h, h)), kept(asking)))
  const wider = hiddenAct(g, config, dense('intermediate.dense', mixed, wide, h, { smoothing: smoothing(SMOOTHING.feedForward) }))
  const output = norm('output', add(g, hidden(dense('output.dense', wider, h, wide)), mixed))
  return { output, probabilities, mixed }
}

/** act(x) of a config's `hidden_act`. */
export function hiddenAct(g: Graph, config: Pick<BertConfig, 'hidden_act'>, x: Tensor): Tensor {
  return activation(g, x, ACTIVATIONS[config.hidden_act])
}

/** Each sequence's first token: [T][H] to [B][H]. */
function firstTokens(g: Graph, x: Tensor): Tensor {
  return gather(g, x, g.input(INPUTS.first, [SEQUENCES]))
}

/** The same of what may have only those. */
const firstOf = (g: Graph, last: Tensor): Tensor => (last.shape[0] === SEQUENCES ? last : firstTokens(g, last))

/** tanh(W x + b) of each sequence's first token: [B][H]. `last` is [T][H], or has only those. */
export function pooler(g: Graph, p: Parameters, config: BertConfig, last: Tensor): Tensor {
  const h = config.hidden_size
  return activation(g, p.dense('pooler.dense', firstOf(g, last), h, h), Activation.Tanh)
}

/** [T][H] to [B][H]: the mean of each sequence, or its first token, of which `last` may be all. */
export function sentencePool(g: Graph, last: Tensor, pooling: 'mean' | 'cls'): Tensor {
  return pooling === 'mean' ? meanPool(g, last, g.input(INPUTS.offsets, [OFFSETS])) : firstOf(g, last)
}
