// What a checkpoint holds, told from its config and the headers of its weights: no weight is read.
import { currentRuntime } from '../engine/engine.ts'
import { closeWeights, openWeights } from '../weights/checkpoint.ts'
import { scaleName, unpacked } from '../weights/load.ts'
import { fromHuggingFace, matchNames } from '../weights/names.ts'
import type { Dtype, TensorInfo } from '../weights/safetensors.ts'
import type { Source } from '../weights/source.ts'
import { MODELS } from './auto-model.ts'
import type { BertConfig } from './config.ts'
import { isSmoothed } from './dtype.ts'
import { readConfig, trunkLayout } from './load.ts'
import { headParameters } from './heads.ts'
import type { ModelClass } from './model.ts'
import { trunkParameters, type ParameterSpec } from './parameters.ts'
import { checkOnlySourceOptions, openSource, type ModelSource, type SourceOptions } from './source.ts'
import { Tokenizer } from './tokenizer.ts'

export interface Inspection {
  readonly model: string
  readonly config: BertConfig
  /** What the weights can answer beyond hidden states. */
  readonly heads: readonly string[]
  readonly files: readonly { readonly file: string; readonly bytes: number }[]
  readonly parameters: number
  /** Tensors, values and bytes by dtype, everything in the files. */
  readonly dtypes: Readonly<Partial<Record<Dtype, { tensors: number; values: number; bytes: number }>>>
  /** What the class that config.json names needs and the files lack. */
  readonly missing: readonly string[]
  /** Tensors that belong to no BERT. */
  readonly unexpected: readonly string[]
  readonly tokenizer: { readonly file: string; readonly model_max_length: number | undefined } | { readonly error: string }
}

/** What a file's heads are for, by the names of their tensors. */
const HEADS = [
  ['pooler', 'pooler.'],
  ['masked words', 'cls.predictions.'],
  ['next sentence', 'cls.seq_relationship.'],
  ['classifier', 'classifier.'],
  ['question answering', 'qa_outputs.'],
] as const

/** The place of a model's files; of the default model when none is named. */
export function openModel(from?: ModelSource | null, options: SourceOptions = {}): Source {
  checkOnlySourceOptions('model', options)
  return openSource(from ?? currentRuntime().defaultSource(), options)
}

/** Reads what a checkpoint says of itself. */
export async function inspect(from?: ModelSource | null, options: SourceOptions = {}): Promise<Inspection> {
  const source = openModel(from, options)
  const { signal } = options
  const config = await readConfig(source, signal)
  const files = await openWeights(source, { signal })
  await closeWeights(files)
  const tensors = files.flatMap(({ header }) => [...header.tensors.values()])
  const whole = unpacked(tensors)
  const { missing, unexpected: others } = matchNames(whole, parametersOf(config))
  const names = tensors.map(({ name }) => fromHuggingFace(name))
  const scales = new Set(whole.map(({ name }) => scaleName(name)))
  const unexpected = others.filter((name) => !scales.has(name) && !HEADS.some(([, prefix]) => fromHuggingFace(name).startsWith(prefix)))
  return {
    model: source.name,
    config,
    heads: HEADS.filter(([, prefix]) => names.some((name) => name.startsWith(prefix))).map(([head]) => head),
    files: files.map(({ file, reader }) => ({ file, bytes: reader.size })),
    parameters: whole
      .filter(({ name }) => !unexpected.includes(name) && !scales.has(name) && !/position_ids$/.test(name))
      .reduce((sum, t) => sum + values(t), 0),
    dtypes: byDtype(tensors),
    missing,
    unexpected,
    tokenizer: await inspectTokenizer(source, signal),
  }
}

/** Of the class that `architectures` names, and of BertModel where it names another. */
function parametersOf(config: BertConfig): ParameterSpec[] {
  const name = config.architectures[0] ?? ''
  const type: ModelClass = Object.hasOwn(MODELS, name) ? MODELS[name as keyof typeof MODELS] : MODELS.BertModel
  const head = type.headFor({})
  return [...trunkParameters(config, { ...trunkLayout(head, config), smoothed: isSmoothed(config) }), ...headParameters(head, config)]
}

const values = ({ shape }: Pick<TensorInfo, 'shape'>): number => shape.reduce((product, n) => product * n, 1)

function byDtype(tensors: readonly TensorInfo[]): Inspection['dtypes'] {
  const sums: Partial<Record<Dtype, { tensors: number; values: number; bytes: number }>> = {}
  for (const tensor of tensors) {
    const sum = (sums[tensor.dtype] ??= { tensors: 0, values: 0, bytes: 0 })
    sum.tensors++
    sum.values += values(tensor)
    sum.bytes += tensor.end - tensor.start
  }
  return sums
}

/** A tokenizer that cannot be read is said so, and keeps nobody from looking at the weights. */
async function inspectTokenizer(source: Source, signal: AbortSignal | undefined): Promise<Inspection['tokenizer']> {
  try {
    const { model_max_length } = await Tokenizer.fromPretrained(source, { signal })
    const reader = await source.open('tokenizer.json', { signal })
    await reader?.close()
    return { file: reader === undefined ? 'vocab.txt' : 'tokenizer.json', model_max_length }
  } catch (error) {
    signal?.throwIfAborted()
    return { error: (error as Error).message }
  }
}
