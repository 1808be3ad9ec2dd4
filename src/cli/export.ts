import { mkdir, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { inspect, openModel } from '../index.node.ts'
import { copyBeside, copyFile } from './checkpoint-files.ts'
import { sourceOptions, type ModelOptions } from './options.ts'
import { columns } from './output.ts'
import { quantized, type QuantizeOptions } from './quantize.ts'

export interface ExportOptions extends Omit<ModelOptions, 'dtype'> {
  readonly dtype?: QuantizeOptions['dtype']
  readonly json?: boolean
}

/** What Cloudflare and its like host of one file. */
const LARGEST = 25 * 1024 * 1024
const INDEX = 'model.safetensors.index.json'

/** `bertlet export`: a folder to host, with the files that pages and isolates ask for, under the names that they ask for. */
export async function exportModel(to: string, options: ExportOptions, signal: AbortSignal): Promise<void> {
  const source = openModel(options.model, sourceOptions(options))
  await mkdir(to, { recursive: true })
  if (options.dtype !== undefined) await quantized(source, to, options.dtype, signal)
  else {
    const { files } = await inspect(source, { signal })
    const shards = files.length > 1
    for (const { file } of files) await copyFile(source, file, path.join(to, shards ? file : 'model.safetensors'), signal)
    await copyBeside(source, to, signal, shards ? ['config.json', INDEX] : ['config.json'])
  }
  const names = (await readdir(to, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  const files = await Promise.all(
    names.map(async ({ name, parentPath }) => {
      const file = path.join(parentPath, name)
      return { file: path.relative(to, file), bytes: (await stat(file)).size }
    }),
  )
  const large = files.filter(({ bytes }) => bytes > LARGEST).map(({ file }) => file)
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ output: to, files })}\n`)
    return
  }
  process.stdout.write(columns(files.map(({ file, bytes }) => [path.join(to, file), `${(bytes / 1e6).toFixed(1)} MB`])))
  if (large.length > 0) process.stderr.write(`${large.join(', ')}: larger than the 25 MiB that some hosts take of one file; see --dtype\n`)
}
