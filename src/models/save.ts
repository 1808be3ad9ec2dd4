// Writing a checkpoint folder that Hugging Face transformers loads unchanged.
import { currentRuntime } from '../engine/engine.ts'
import { expected } from '../errors.ts'
import { toHuggingFace } from '../weights/names.ts'
import { writeSafetensors, type TensorToWrite } from '../weights/safetensors.ts'
import type { Sink } from '../weights/sink.ts'
import type { Loaded } from './load.ts'

/** A folder's path, or whatever takes files. */
export type Target = string | Sink

export function openSink(to: Target): Sink {
  if (typeof to === 'string' && to !== '') return currentRuntime().sink(to)
  if (typeof to === 'object' && to !== null && typeof to.write === 'function') return to
  throw expected('savePretrained', 'the path of a folder, or an object with write(name, pieces)', to)
}

/** config.json and model.safetensors, under Hugging Face's names, in F32. */
export async function saveModel(loaded: Loaded, architecture: string, to: Target): Promise<void> {
  const sink = openSink(to)
  const { head, config, engine, specs } = loaded
  const prefix = head.architecture === 'BertModel' ? '' : 'bert.'
  const bytesOf = (held: string) => (): Uint8Array => new Uint8Array(engine.store.read(held).buffer)
  const tensors = specs.flatMap(({ name, copies = [], shape, held }) =>
    [name, ...copies].map((each): TensorToWrite => ({ name: toHuggingFace(each, prefix), dtype: 'F32', shape, data: bytesOf(held) })),
  )
  // `torch_dtype` is the older name: one must not contradict the other.
  const { torch_dtype: _, ...fields } = config.toJSON()
  const text = `${JSON.stringify({ ...fields, architectures: [architecture], dtype: 'float32' }, null, 2)}\n`
  await engine.exclusively(async () => {
    await sink.write('config.json', [new TextEncoder().encode(text)])
    await sink.write('model.safetensors', writeSafetensors(tensors))
  })
}

/** What has files of its own to save: a tokenizer. */
export interface WithFiles {
  files(): Readonly<Record<string, string>>
}

export async function saveFiles(from: WithFiles, to: Target): Promise<void> {
  const sink = openSink(to)
  for (const [name, text] of Object.entries(from.files())) await sink.write(name, [new TextEncoder().encode(text)])
}
