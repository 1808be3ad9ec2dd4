import { BertletError, oneOf } from '../errors.ts'
import * as headed from './bert-for.ts'
import type { LogitsOutput, PreTrainingOutput, QuestionAnsweringOutput } from './bert-for.ts'
import { BertModel, type BertModelOutput } from './bert-model.ts'
import { BertConfig } from './config.ts'
import { readConfig } from './load.ts'
import type { Estimate } from './estimate.ts'
import type { BertPreTrainedModel, ModelClass, PredictionInputs } from './model.ts'
import type { LoadOptions } from './options.ts'
import { openSource, type ModelSource } from './source.ts'

/** The classes that `architectures` may name. */
export const MODELS = { BertModel, ...headed } as const

/** A model whose class is known when it is loaded: its outputs are those of its head. */
export interface AnyModel extends BertPreTrainedModel {
  (inputs: PredictionInputs): Promise<AnyOutput>
}

export type AnyOutput = Partial<BertModelOutput & LogitsOutput & PreTrainingOutput & QuestionAnsweringOutput>

/** Of BERT too, and out of scope. */
const DECODERS = ['BertLMHeadModel', 'BertGenerationDecoder', 'BertGenerationEncoder']

/** The class that a config's `architectures` names; BertModel where it names none. */
export function modelClass({ architectures }: Pick<BertConfig, 'architectures'>): ModelClass<AnyModel> {
  const [name = 'BertModel'] = architectures
  if (DECODERS.includes(name)) {
    throw new BertletError(
      'unsupported',
      `config.json: architectures names ${name}, a decoder`,
      'bertlet runs encoders; decoders are out of scope',
    )
  }
  const known = Object.keys(MODELS) as (keyof typeof MODELS)[]
  return MODELS[oneOf('config.json: architectures', name, known, undefined, 'unsupported')] as unknown as ModelClass<AnyModel>
}

/** The model that a checkpoint's `architectures` names. */
export const AutoModel = {
  /**
   * Loads a checkpoint with the head that its config.json names.
   *
   *     const model = await AutoModel.fromPretrained('folder')
   */
  async fromPretrained(from: ModelSource, options: LoadOptions = {}): Promise<AnyModel> {
    const source = openSource(from, options)
    const { adapter, revision: _, subfolder: __, ...beside } = options
    const { signal } = options
    // An adapter that brings a head says which.
    const own = adapter === undefined ? undefined : await openSource(adapter, beside).text('config.json', { signal })
    const type = modelClass(own === undefined ? await readConfig(source, signal) : BertConfig.parse(own))
    return (type as unknown as typeof BertModel).fromPretrained(source, options)
  },

  /** The Python name of fromPretrained(). */
  from_pretrained(from: ModelSource, options: LoadOptions = {}): Promise<AnyModel> {
    return AutoModel.fromPretrained(from, options)
  },

  /** Bytes of weights, arena and plan, told from config.json alone. */
  async estimate(from: ModelSource | BertConfig, options: LoadOptions = {}): Promise<Estimate> {
    const config = from instanceof BertConfig ? from : await readConfig(openSource(from, options), options.signal)
    const { estimate } = await import('./seldom.ts')
    return estimate(config, modelClass(config).headFor(options), options)
  },
} as const
