import { stat } from 'node:fs/promises'
import path from 'node:path'
import { expected, Words } from '../errors.ts'
import { AutoModel, inspect, openModel, type Source } from '../index.node.ts'
import type { Cosines } from './calibrate.ts'
import { copyBeside } from './checkpoint-files.ts'
import { columns } from './output.ts'

export interface QuantizeOptions {
  readonly dtype: 'int8' | 'int4'
  readonly calibrate?: string
  readonly json?: boolean
}

/** `bertlet quantize`: the checkpoint is rounded while it is read, and written as compressed-tensors has it. */
export async function quantize(from: string, to: string, options: QuantizeOptions, signal: AbortSignal): Promise<void> {
  const { dtype, calibrate, json } = options
  if (calibrate !== undefined && dtype !== 'int8')
    throw expected(
      '--calibrate',
      '--dtype int8',
      new Words(`--dtype ${dtype}`),
      'Smoothing is for 7 bits of activations beside 8 of weights',
    )
  const source = openModel(from)
  const smoothed = calibrate === undefined ? undefined : await (await import('./calibrate.ts')).smoothed(source, calibrate, signal)
  const { before, after, left } = await quantized(source, to, dtype, signal, smoothed?.source)
  const cosines = smoothed?.cosines
  if (json) return void process.stdout.write(`${JSON.stringify({ output: to, dtype, before, after, left, ...(cosines && { cosines }) })}\n`)
  process.stdout.write(
    columns([
      ['output', to],
      ['weights', `${megabytes(before)} before, ${megabytes(after)} now, ${dtype}`],
      ['left out', left.length === 0 ? 'nothing' : left.join(', ')],
      ...(cosines
        ? [['vectors', `of ${cosines.texts} texts beside f32, cosine: ${told(cosines.plain)} before, ${told(cosines.smoothed)} now`]]
        : []),
    ]),
  )
}

const told = ({ mean, worst }: Cosines): string => `${mean.toFixed(5)} (worst ${worst.toFixed(5)})`

/**
 * The checkpoint of a place, rounded, in a folder: bytes of the weights before and after, and the tensors that are in no model. `smoothed` is the same
 * model, smoothed.
 */
export async function quantized(
  source: Source,
  to: string,
  dtype: QuantizeOptions['dtype'],
  signal: AbortSignal,
  smoothed?: Source,
): Promise<{ before: number; after: number; left: readonly string[] }> {
  const { files, missing } = await inspect(source, { signal })
  const add_pooling_layer = !missing.some((name) => name.startsWith('pooler.'))
  const model = await AutoModel.fromPretrained(smoothed ?? source, { dtype, threads: 0, add_pooling_layer, signal })
  try {
    await model.savePretrained(to)
    await copyBeside(source, to, signal)
    const before = files.reduce((sum, { bytes }) => sum + bytes, 0)
    const { size: after } = await stat(path.join(to, 'model.safetensors'))
    return { before, after, left: model.info().unexpected }
  } finally {
    await model.dispose()
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
