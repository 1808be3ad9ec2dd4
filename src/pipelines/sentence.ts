// What sentence-transformers keeps beside a checkpoint: how the model was trained to be used.
import { BertletError, expected, oneOf } from '../errors.ts'
import { parseObject, type JsonObject } from '../json.ts'
import { absent } from '../weights/checkpoint.ts'
import { readHeader } from '../weights/safetensors.ts'
import type { ReadOptions, Source } from '../weights/source.ts'
import { tanh } from './scores.ts'
import { MODES, type Mode } from './vectors.ts'

export interface SentenceSettings {
  readonly max_seq_length: number | undefined
  readonly do_lower_case: boolean
  readonly modes: readonly Mode[]
  /** Whether the prompt's tokens count for the vector. */
  readonly include_prompt: boolean
  /** Layers behind the pooling. */
  readonly dense: readonly ((vector: Float32Array) => Float32Array)[]
  readonly normalize: boolean
  readonly prompts: Readonly<Record<string, string>>
  readonly default_prompt_name: string | undefined
  /** How vectors are compared. */
  readonly similarity_fn_name: unknown
}

const PLAIN: SentenceSettings = {
  max_seq_length: undefined,
  do_lower_case: false,
  modes: ['mean'],
  include_prompt: true,
  dense: [],
  normalize: false,
  prompts: {},
  default_prompt_name: undefined,
  similarity_fn_name: 'cosine',
}

/** Without modules.json: the mean over the plain model. */
export async function readSentenceSettings(source: Source, options: ReadOptions): Promise<SentenceSettings> {
  const list = await source.text('modules.json', options)
  if (list === undefined) return PLAIN
  const json = async (file: string): Promise<JsonObject> => {
    const text = await source.text(file, options)
    return text === undefined ? {} : parseObject(text, file)
  }
  const [bert, config] = await Promise.all([json('sentence_bert_config.json'), json('config_sentence_transformers.json')])
  let settings: SentenceSettings = {
    ...PLAIN,
    max_seq_length: bert.max_seq_length as number | undefined,
    do_lower_case: bert.do_lower_case === true,
    prompts: (config.prompts ?? {}) as Readonly<Record<string, string>>,
    default_prompt_name: (config.default_prompt_name ?? undefined) as string | undefined,
    similarity_fn_name: config.similarity_fn_name ?? 'cosine',
  }
  // The file is a list.
  const { modules } = parseObject(`{"modules":${list}}`, 'modules.json')
  for (const { type, path } of modules as readonly { type: string; path: string }[]) {
    const name = String(type).split('.').at(-1)
    if (name === 'Pooling') settings = { ...settings, ...poolingOf(await json(`${path}/config.json`)) }
    else if (name === 'Dense') settings = { ...settings, dense: [...settings.dense, await readDense(source, path, options)] }
    else if (name === 'Normalize') settings = { ...settings, normalize: true }
    else if (name !== 'Transformer')
      throw new BertletError(
        'unsupported',
        `modules.json: a module of type ${name}`,
        'bertlet knows Transformer, Pooling, Dense and Normalize',
      )
  }
  return settings
}

/** New files name the modes, old ones have a flag for each, such as pooling_mode_cls_token or pooling_mode_mean_tokens. */
function poolingOf({ pooling_mode, include_prompt, ...flags }: JsonObject): Pick<SentenceSettings, 'modes' | 'include_prompt'> {
  const flagged = (mode: Mode): boolean => ['', '_token', '_tokens'].some((end) => flags[`pooling_mode_${mode}${end}`] === true)
  const named = pooling_mode === undefined ? MODES.filter(flagged) : [pooling_mode].flat()
  const modes = named.map((mode) => oneOf('pooling_mode', mode, MODES, undefined, 'invalid_file'))
  return { modes: modes.length === 0 ? ['mean'] : modes, include_prompt: include_prompt !== false }
}

const ACTIVATIONS: Readonly<Record<string, (x: number) => number>> = { Tanh: tanh, Identity: (x) => x, ReLU: (x) => Math.max(0, x) }

async function readDense(source: Source, path: string, options: ReadOptions): Promise<(vector: Float32Array) => Float32Array> {
  const text = await source.text(`${path}/config.json`, options)
  const config = parseObject(text ?? '{}', `${path}/config.json`)
  const { activation_function = 'Tanh', use_residual } = config
  const name = String(activation_function).split('.').at(-1)!
  const activation = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined
  if (activation === undefined || use_residual === true)
    throw new BertletError(
      'unsupported',
      `${path}: ${use_residual === true ? 'a residual' : `activation ${name}`}`,
      'bertlet knows Tanh, ReLU and Identity',
    )
  const file = `${path}/model.safetensors`
  const reader = await source.open(file, options)
  if (reader === undefined) throw absent(source, file, 'Save the model with safetensors')
  try {
    const { tensors } = await readHeader(reader, file)
    const read = async (tensor: string): Promise<Float32Array | undefined> => {
      const info = tensors.get(tensor)
      if (info === undefined) return undefined
      if (info.dtype !== 'F32') throw expected(`${file}: ${tensor}`, 'F32', info.dtype, undefined, 'unsupported')
      return new Float32Array((await reader.read(info.start, info.end)).slice().buffer)
    }
    const [weight, bias] = [await read('linear.weight'), await read('linear.bias')]
    const [rows, width] = tensors.get('linear.weight')?.shape ?? []
    if (weight === undefined || width === undefined)
      throw expected(file, 'linear.weight of [out, in]', [...tensors.keys()], undefined, 'invalid_file')
    return (vector) =>
      Float32Array.from({ length: rows! }, (_, n) => {
        let sum = bias?.[n] ?? 0
        for (let k = 0; k < width; k++) sum += weight[n * width + k]! * vector[k]!
        return activation(sum)
      })
  } finally {
    await reader.close()
  }
}
