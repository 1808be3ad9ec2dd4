import type { WeightDtype } from '../engine/build.ts'
import { SPAN, type Layout } from '../graph/tensor.ts'
import type { TrunkLayout } from './bert.ts'
import type { BertConfig } from './config.ts'

export interface ParameterSpec {
  /** Hugging Face's name without the `bert.` prefix. */
  readonly name: string
  readonly shape: readonly number[]
  /** `panel`: a matrix that multiplies, [N, K]; `rows`: a table that is looked up; `vector`: a bias or a part of LayerNorm. */
  readonly layout: 'panel' | 'rows' | 'vector'
  /** Fresh values: `normal` has mean 0 and standard deviation `initializer_range`. */
  readonly init: 'normal' | 'zeros' | 'ones'
  /** A row that is zero when fresh: the padding token's. */
  readonly zeroRow?: number
  /** Other names that files have for it. */
  readonly aliases?: readonly string[]
  /** Names that it is saved under too. */
  readonly copies?: readonly string[]
  /** Why it has its shape, for the message about a file that has another; config.json as a whole by default. */
  readonly why?: string
}

export const WORDS = 'embeddings.word_embeddings.weight'
/** Heads that score a few labels keep f32: they are small, and what they say is the answer. */
const LABELS = /^(classifier|qa_outputs|cls\.seq_relationship)\./

/** What looks up or scores words stays in 8 bits: the one table serves both. */
const DECODER = 'cls.predictions.decoder.weight'

/** How a parameter lies in memory. Integers are for matrices that multiply and the word table; 4 bits want whole groups of columns. */
export function residentLayout(
  { name, layout, shape }: Pick<ParameterSpec, 'name' | 'layout' | 'shape'>,
  dtype: WeightDtype = 'f32',
): Layout {
  const integers = dtype !== 'f32' && (name === WORDS || (layout === 'panel' && !LABELS.test(name)))
  if (!integers) return layout === 'panel' ? 'panel' : 'rows'
  return dtype === 'int4' && name !== WORDS && name !== DECODER && shape[1]! % SPAN === 0 ? 'panel4' : 'panel8'
}

/** What the sums of a layer's parts are smoothed by, under its name: 1 / what the weights' columns are multiplied by. */
export const SMOOTHING = { attention: 'attention.self.smoothing', feedForward: 'intermediate.smoothing' } as const

/** The parameters of the trunk, embeddings and encoder, in the order of Hugging Face transformers. */
export function trunkParameters(config: BertConfig, { wordTable, smoothed = false }: TrunkLayout): ParameterSpec[] {
  const { hidden_size: h, intermediate_size: wide, pad_token_id: pad } = config
  const embeddings = 'embeddings'
  const parameters: ParameterSpec[] = [
    { ...table(`${embeddings}.word_embeddings`, config.vocab_size, h), layout: wordTable, ...(pad !== null && { zeroRow: pad }) },
    table(`${embeddings}.position_embeddings`, config.max_position_embeddings, h),
    table(`${embeddings}.token_type_embeddings`, config.type_vocab_size, h),
    ...norm(embeddings, h),
  ]
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `encoder.layer.${i}`
    parameters.push(
      ...dense(`${layer}.attention.self.query`, h, h),
      ...dense(`${layer}.attention.self.key`, h, h),
      ...dense(`${layer}.attention.self.value`, h, h),
      ...dense(`${layer}.attention.output.dense`, h, h),
      ...norm(`${layer}.attention.output`, h),
      ...dense(`${layer}.intermediate.dense`, wide, h),
      ...dense(`${layer}.output.dense`, h, wide),
      ...norm(`${layer}.output`, h),
      ...(smoothed ? Object.values(SMOOTHING) : []).map((part) => vector(`${layer}.${part}`, h)),
    )
  }
  return parameters
}

export const pooling = ({ hidden_size: h }: BertConfig): ParameterSpec[] => dense('pooler.dense', h, h)

const table = (name: string, n: number, k: number): ParameterSpec => ({
  name: `${name}.weight`,
  shape: [n, k],
  layout: 'rows',
  init: 'normal',
})

/** Ones, which smooth nothing. */
const vector = (name: string, n: number): ParameterSpec => ({ name, shape: [n], layout: 'vector', init: 'ones' })

export const dense = (name: string, n: number, k: number): ParameterSpec[] => [
  { name: `${name}.weight`, shape: [n, k], layout: 'panel', init: 'normal' },
  { name: `${name}.bias`, shape: [n], layout: 'vector', init: 'zeros' },
]

export const norm = (name: string, n: number): ParameterSpec[] => [
  { name: `${name}.LayerNorm.weight`, shape: [n], layout: 'vector', init: 'ones' },
  { name: `${name}.LayerNorm.bias`, shape: [n], layout: 'vector', init: 'zeros' },
]
