// What each of Hugging Face's BERT classes puts on the trunk: its parameters and its part of the graph.
import type { Graph } from '../graph/graph.ts'
import { gather, linear, normalize } from '../graph/ops.ts'
import { SELECTED, type Tensor } from '../graph/tensor.ts'
import type { Parameters } from './bert.ts'
import { hiddenAct, INPUTS, pooler, sentencePool, wordTable, type TrunkLayout } from './bert.ts'
import type { BertConfig } from './config.ts'
import type { Dropout } from './dropout.ts'
import { dense, norm, pooling, type ParameterSpec } from './parameters.ts'

/** Where a head is built. */
export interface HeadSite {
  readonly g: Graph
  readonly config: BertConfig
  readonly trunk: TrunkLayout
  /** The head's parameters in the store. */
  readonly p: Parameters
  /** The last hidden state, [T][H]; [B][H] for a head that reads first tokens only. */
  readonly last: Tensor
  /** tanh of the pooler's dense layer, [B][H]. */
  pooled(): Tensor
  /** Whether word scores are wanted of selected tokens only. */
  readonly selected: boolean
  /** In training. */
  readonly drop?: Dropout | undefined
}

export interface Head {
  /** The class's name in Hugging Face transformers, as it stands in `architectures`. */
  readonly architecture: string
  readonly pooler: boolean
  /** Whether it scores every word of the vocabulary, so that the tied word table multiplies too. */
  readonly decodes: boolean
  /** Whether all that it reads of the last hidden state is the pooler's token. */
  readonly firstOnly?: boolean
  /** The head's own parameters, without the pooler. */
  parameters(config: BertConfig): ParameterSpec[]
  /** Outputs by name. */
  build(site: HeadSite): Record<string, Tensor>
  /** The head that a config asks for instead. */
  instead?(config: BertConfig): Head | undefined
}

/** A class's head for a config. */
export const headFor = (head: Head, config: BertConfig): Head => head.instead?.(config) ?? head

const NONE = (): ParameterSpec[] => []

/** BertModel: the pooler is its only head. */
export const BASE: Head = {
  architecture: 'BertModel',
  pooler: true,
  decodes: false,
  parameters: NONE,
  build: ({ last, pooled }) => ({ last_hidden_state: last, pooler_output: pooled() }),
}

/** BertModel with `add_pooling_layer: false`. */
export const BASE_WITHOUT_POOLER: Head = { ...BASE, pooler: false, build: ({ last }) => ({ last_hidden_state: last }) }

export const MASKED_LM: Head = {
  architecture: 'BertForMaskedLM',
  pooler: false,
  decodes: true,
  parameters: predictionParameters,
  build: (site) => ({ logits: predictions(site) }),
}

export const NEXT_SENTENCE: Head = {
  architecture: 'BertForNextSentencePrediction',
  pooler: true,
  decodes: false,
  firstOnly: true,
  parameters: (config) => dense('cls.seq_relationship', 2, config.hidden_size),
  build: ({ p, config, pooled }) => ({ logits: p.dense('cls.seq_relationship', pooled(), 2, config.hidden_size) }),
}

export const PRE_TRAINING: Head = {
  architecture: 'BertForPreTraining',
  pooler: true,
  decodes: true,
  parameters: (config) => [...predictionParameters(config), ...NEXT_SENTENCE.parameters(config)],
  build: (site) => ({ prediction_logits: predictions(site), seq_relationship_logits: NEXT_SENTENCE.build(site).logits! }),
}

export const SEQUENCE_CLASSIFICATION: Head = {
  architecture: 'BertForSequenceClassification',
  pooler: true,
  decodes: false,
  firstOnly: true,
  parameters: (config) => classifier(config.num_labels, config.hidden_size),
  build: ({ p, config, pooled, drop }) => ({
    logits: p.dense('classifier', dropped(pooled(), config, drop), config.num_labels, config.hidden_size),
  }),
  instead: classification,
}

/** A classifier on the sentence embedding, without the pooler: what few-shot learning makes. */
const SENTENCE_CLASSIFICATION: Head = {
  architecture: 'BertForSequenceClassification',
  pooler: false,
  decodes: false,
  parameters: (config) => classifier(config.num_labels, config.hidden_size),
  build: ({ g, p, config, last, drop }) => {
    const vectors = sentencePool(g, last, config.classifier_pooling!)
    const read = dropped(config.classifier_normalize ? normalize(g, vectors) : vectors, config, drop)
    return { logits: p.dense('classifier', read, config.num_labels, config.hidden_size) }
  },
  instead: classification,
}

const FIRST_CLASSIFICATION: Head = { ...SENTENCE_CLASSIFICATION, firstOnly: true }

/** What a config asks for. */
function classification({ classifier_pooling: pooling }: BertConfig): Head {
  if (pooling === undefined) return SEQUENCE_CLASSIFICATION
  return pooling === 'cls' ? FIRST_CLASSIFICATION : SENTENCE_CLASSIFICATION
}

/** One score a choice; the class shapes them [B, C]. */
export const MULTIPLE_CHOICE: Head = {
  architecture: 'BertForMultipleChoice',
  pooler: true,
  decodes: false,
  firstOnly: true,
  parameters: (config) => dense('classifier', 1, config.hidden_size),
  build: ({ p, config, pooled, drop }) => ({ logits: p.dense('classifier', dropped(pooled(), config, drop), 1, config.hidden_size) }),
}

export const TOKEN_CLASSIFICATION: Head = {
  architecture: 'BertForTokenClassification',
  pooler: false,
  decodes: false,
  parameters: SEQUENCE_CLASSIFICATION.parameters,
  build: ({ p, config, last, drop }) => ({
    logits: p.dense('classifier', drop ? drop.tokens(last, classifierDropout(config)) : last, config.num_labels, config.hidden_size),
  }),
}

/** Start and end scores, [T][2]; the class parts them. */
export const QUESTION_ANSWERING: Head = {
  architecture: 'BertForQuestionAnswering',
  pooler: false,
  decodes: false,
  parameters: (config) => dense('qa_outputs', 2, config.hidden_size),
  build: ({ p, config, last }) => ({ logits: p.dense('qa_outputs', last, 2, config.hidden_size) }),
}

const classifierDropout = ({ classifier_dropout: own, hidden_dropout_prob: p }: BertConfig): number => own ?? p

const dropped = (pooled: Tensor, config: BertConfig, drop: Dropout | undefined): Tensor =>
  drop ? drop.sequences(pooled, classifierDropout(config)) : pooled

function classifier(labels: number, h: number): ParameterSpec[] {
  const why = `config.json names ${labels} ${labels === 1 ? 'label' : 'labels'} in id2label or num_labels`
  return dense('classifier', labels, h).map((spec) => ({ ...spec, why }))
}

const DECODER = 'cls.predictions.decoder'
const TRANSFORM = 'cls.predictions.transform'

/**
 * The masked-word head. A tied decoder is the word table with `cls.predictions.bias`; one of its own has a bias of its own, which transformers 4
 * knows under the other name: it is saved under both.
 */
function predictionParameters(config: BertConfig): ParameterSpec[] {
  const { hidden_size: h, vocab_size: vocab } = config
  const bias = 'cls.predictions.bias'
  const vector = { shape: [vocab], layout: 'vector', init: 'zeros' } as const
  return [
    ...dense(`${TRANSFORM}.dense`, h, h),
    ...norm(TRANSFORM, h),
    ...(config.tie_word_embeddings
      ? [{ ...vector, name: bias, aliases: [`${DECODER}.bias`] }]
      : [
          { name: `${DECODER}.weight`, shape: [vocab, h], layout: 'panel', init: 'normal' } as const,
          { ...vector, name: `${DECODER}.bias`, aliases: [bias], copies: [bias] },
        ]),
  ]
}

/** Scores of every word: [T][V], or [R][V] of the selected tokens. */
function predictions({ g, p, config, trunk, last, selected }: HeadSite): Tensor {
  const { hidden_size: h, vocab_size: vocab, layer_norm_eps: eps } = config
  const x = selected ? gather(g, last, g.input(INPUTS.selected, [SELECTED])) : last
  const transformed = p.norm(TRANSFORM, hiddenAct(g, config, p.dense(`${TRANSFORM}.dense`, x, h, h)), h, eps)
  if (!config.tie_word_embeddings) return p.dense(DECODER, transformed, vocab, h)
  return linear(g, transformed, wordTable(g, config, trunk), p.vector('cls.predictions.bias', vocab))
}

/** All parameters of a model with a head, in the order of Hugging Face transformers: embeddings, encoder, pooler, head. */
export function headParameters(head: Head, config: BertConfig): ParameterSpec[] {
  return [...(head.pooler ? pooling(config) : []), ...head.parameters(config)]
}

/** Builds a head over encoded tokens and names its outputs. */
export function buildHead(head: Head, site: Omit<HeadSite, 'pooled'>, poolerPlace: Parameters): Record<string, Tensor> {
  return head.build({ ...site, pooled: () => pooler(site.g, poolerPlace, site.config, site.last) })
}
