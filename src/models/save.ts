// Writing a checkpoint folder that Hugging Face transformers loads unchanged.
import { currentRuntime } from '../engine/engine.ts'
import { expected } from '../errors.ts'
import { SPAN } from '../graph/tensor.ts'
import { packedName, scaleName, shapeName } from '../weights/load.ts'
import { toHuggingFace } from '../weights/names.ts'
import { writeSafetensors, type TensorToWrite } from '../weights/write-safetensors.ts'
import { handleSink, type DirectoryHandle } from '../weights/handle.ts'
import type { Sink } from '../weights/sink.ts'
import type { BertConfig } from './config.ts'
import type { Loaded, PlacedSpec } from './load.ts'
import { WORDS } from './parameters.ts'
import { quantizationFields, withoutQuantization } from './quantization-fields.ts'
import { isDirectoryHandle } from './source.ts'

/** A folder's path, a page's directory handle (OPFS), or whatever takes files. */
export type Target = string | DirectoryHandle | Sink

export function openSink(to: Target, subject = 'savePretrained'): Sink {
  if (typeof to === 'string' && to !== '') return currentRuntime().sink(to)
  if (typeof to === 'object' && to !== null) {
    if (isDirectoryHandle(to)) return handleSink(to)
    if (typeof to.write === 'function') return to
  }
  throw expected(subject, 'the path of a folder, or an object with write(name, pieces)', to)
}

/** What the columns of matrices are multiplied by before they become integers, and the vectors beside them, by parameters' names. */
type Smoothing = ReadonlyMap<string, Float32Array>

/**
 * config.json and model.safetensors, under Hugging Face's names: F32, or integers as compressed-tensors has them.
 *
 * @param smoothing of weights in F32 that are to be loaded in 8 bits.
 */
export async function saveModel(loaded: Loaded, architecture: string, to: Target, smoothing: Smoothing = new Map()): Promise<void> {
  const sink = openSink(to)
  const { head, config, engine, specs } = loaded
  const prefix = head.architecture === 'BertModel' ? '' : 'bert.'
  const tensors = specs.flatMap((spec) =>
    [spec.name, ...(spec.copies ?? []), ...decoderOf(loaded, spec)].flatMap((name) =>
      tensorsOf(loaded, spec, toHuggingFace(name, prefix), smoothing.get(spec.name)),
    ),
  )
  const added = [...smoothing].filter(([name]) => !specs.some((spec) => spec.name === name))
  for (const [name, values] of added) tensors.push(vector(toHuggingFace(name, prefix), values))
  const int4 = loaded.trunk.dtype === 'int4'
  const integers = (loaded.trunk.dtype ?? 'f32') !== 'f32'
  const smoothed = loaded.trunk.smoothed === true || added.length > 0
  const quantized =
    integers || smoothed ? quantizationFields(modules(loaded, 'panel'), int4 ? modules(loaded, 'panel8') : undefined, smoothed) : {}
  await engine.exclusively(async () => {
    await sink.write('config.json', [configFile(config, architecture, quantized)])
    await sink.write('model.safetensors', writeSafetensors(tensors))
  })
}

/** A config.json, with what is to be said of the weights' integers. */
export function configFile(config: BertConfig, architecture: string, quantized: object = {}): Uint8Array {
  // `torch_dtype` is the older name: one must not contradict the other.
  const { torch_dtype: _, ...fields } = withoutQuantization(config.toJSON())
  const text = JSON.stringify({ ...fields, architectures: [architecture], dtype: 'float32', ...quantized }, null, 2)
  return new TextEncoder().encode(`${text}\n`)
}

/** A parameter as a file has it: its values, or integers and their scales. */
function tensorsOf({ engine: { store } }: Loaded, { held, shape }: PlacedSpec, name: string, by?: Float32Array): TensorToWrite[] {
  const { layout } = store.get(held)
  const [n, k] = shape as [number, number]
  if (layout === 'panel4') {
    return [
      { name: packedName(name), dtype: 'I32', shape: [n, k / 8], data: () => store.readInt4(held).packed },
      { name: scaleName(name), dtype: 'F32', shape: [n, k / SPAN], data: () => new Uint8Array(store.readInt4(held).scales.buffer) },
      { name: shapeName(name), dtype: 'I64', shape: [2], data: () => new Uint8Array(BigInt64Array.of(BigInt(n), BigInt(k)).buffer) },
    ]
  }
  if (layout !== 'panel8') {
    const values = (): Float32Array => (by ? store.read(held).map((x, i) => x * by[i % k]!) : store.read(held))
    return [{ name, dtype: 'F32', shape, data: () => new Uint8Array(values().buffer) }]
  }
  return [
    { name, dtype: 'I8', shape, data: () => new Uint8Array(store.readInt8(held).integers.buffer) },
    { name: scaleName(name), dtype: 'F32', shape: [n, 1], data: () => new Uint8Array(store.readInt8(held).scales.buffer) },
  ]
}

const vector = (name: string, values: Float32Array): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  data: () => new Uint8Array(values.buffer),
})

/** Hugging Face ties no decoder to words in integers: it wants both. */
function decoderOf({ head, config, trunk }: Loaded, { name }: PlacedSpec): string[] {
  const both = trunk.dtype !== undefined && trunk.dtype !== 'f32' && head.decodes && config.tie_word_embeddings && name === WORDS
  return both ? ['cls.predictions.decoder.weight'] : []
}

/** Matrices that multiply and lie so, as modules. */
const modules = ({ specs, engine: { store } }: Loaded, wanted: 'panel' | 'panel8'): string[] =>
  specs
    .filter(({ layout, held, name }) => layout === 'panel' && name !== WORDS && store.get(held).layout === wanted)
    .map(({ name }) => name.replace(/\.weight$/, ''))

/** What has files of its own to save: a tokenizer. */
export interface WithFiles {
  files(): Readonly<Record<string, string>>
}

export async function saveFiles(from: WithFiles, to: Target): Promise<void> {
  const sink = openSink(to)
  for (const [name, text] of Object.entries(from.files())) await sink.write(name, [new TextEncoder().encode(text)])
}
