import { mkdir, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { AutoModel, inspect, openModel } from '../index.node.ts'
import { columns } from './output.ts'

export interface QuantizeOptions {
  readonly dtype: 'int8' | 'int4'
  readonly json?: boolean
}

/** What belongs to a checkpoint beside its config and weights: tokenizers, and what sentence-transformers knows of pooling. */
const BESIDE = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'modules.json',
  'config_sentence_transformers.json',
  'sentence_bert_config.json',
  '1_Pooling/config.json',
]

/** `bertlet quantize`: the checkpoint is rounded while it is read, and written as compressed-tensors has it. */
export async function quantize(from: string, to: string, { dtype, json }: QuantizeOptions, signal: AbortSignal): Promise<void> {
  const source = openModel(from)
  const { files, missing } = await inspect(source, { signal })
  const add_pooling_layer = !missing.some((name) => name.startsWith('pooler.'))
  const model = await AutoModel.fromPretrained(source, { dtype, threads: 0, add_pooling_layer, signal })
  try {
    await model.savePretrained(to)
    for (const name of BESIDE) {
      const text = await source.text(name, { signal })
      if (text === undefined) continue
      await mkdir(path.dirname(path.join(to, name)), { recursive: true })
      await writeFile(path.join(to, name), text)
    }
    const before = files.reduce((sum, { bytes }) => sum + bytes, 0)
    const { size: after } = await stat(path.join(to, 'model.safetensors'))
    const { unexpected: left } = model.info()
    if (json) process.stdout.write(`${JSON.stringify({ output: to, dtype, before, after, left })}\n`)
    else {
      process.stdout.write(
        columns([
          ['output', to],
          ['weights', `${megabytes(before)} before, ${megabytes(after)} now, ${dtype}`],
          ['left out', left.length === 0 ? 'nothing' : left.join(', ')],
        ]),
      )
    }
  } finally {
    await model.dispose()
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
