// Where a source keeps its weights: one safetensors file, or shards under an index.
import { BertletError, expected, show, Words } from '../errors.ts'
import { isObject, parseObject } from '../json.ts'
import { readHeader, type Header } from './safetensors.ts'
import type { ByteReader, ReadOptions, Source } from './source.ts'

const WHOLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'
/** Of an adapter, which is no model. */
const ADAPTER = 'adapter_model.safetensors'
const TORCH = ['pytorch_model.bin', 'pytorch_model.bin.index.json']
/** The index: object, weight_map. */
const INDEX_DEPTH = 8

/** An open weights file whose header has been checked. */
export interface WeightsFile {
  readonly file: string
  readonly reader: ByteReader
  readonly header: Header
}

/** Opens and checks a source's weights: model.safetensors, its shards, or the only safetensors file that is there; `file`, which is there, if it is named. */
export async function openWeights(
  source: Source,
  options: ReadOptions & { readonly file?: string | undefined } = {},
): Promise<WeightsFile[]> {
  const { file } = options
  if (file !== undefined) {
    const reader = await source.open(file, options)
    return readAll([{ file, reader: reader! }])
  }
  const whole = await source.open(WHOLE, options)
  if (whole !== undefined) return readAll([{ file: WHOLE, reader: whole }])
  const index = await source.text(INDEX, options)
  if (index !== undefined) return openShards(source, parseIndex(index), options)
  const files = (await source.list?.(options)) ?? []
  const candidates = files.filter((file) => file.endsWith('.safetensors') && file !== ADAPTER)
  const only = candidates[0]
  if (only === undefined) throw await noWeights(source, files, options)
  if (candidates.length > 1) {
    throw new BertletError(
      'invalid_file',
      `${source.name}: expected ${WHOLE} or one other safetensors file, got ${candidates.slice(0, 10).join(', ')}`,
      `Rename the one that holds the model to ${WHOLE}`,
    )
  }
  const reader = await source.open(only, options)
  if (reader === undefined) throw await noWeights(source, files, options)
  return readAll([{ file: only, reader }])
}

async function readAll(files: readonly { file: string; reader: ByteReader }[]): Promise<WeightsFile[]> {
  try {
    return await Promise.all(files.map(async ({ file, reader }) => ({ file, reader, header: await readHeader(reader, file) })))
  } catch (error) {
    await closeWeights(files)
    throw error
  }
}

/** Closes every file, whatever becomes of the others. */
export async function closeWeights(files: readonly { reader: ByteReader }[]): Promise<void> {
  await Promise.allSettled(files.map(({ reader }) => reader.close()))
}

/** Shard of each tensor, from an index file. */
function parseIndex(text: string): ReadonlyMap<string, string> {
  const map = parseObject(text, INDEX, INDEX_DEPTH).weight_map
  if (!isObject(map)) throw expected(`${INDEX}: weight_map`, 'an object from tensor to file', map, undefined, 'invalid_file')
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file === 'string' && /^[^/\\:]+\.safetensors$/.test(file)) continue
    throw expected(
      `${INDEX}: tensor ${show(tensor)}`,
      'a plain file name that ends in .safetensors',
      file,
      'Shards lie beside the index; export the checkpoint again',
      'invalid_file',
    )
  }
  return new Map(Object.entries(map) as [string, string][])
}

async function openShards(source: Source, index: ReadonlyMap<string, string>, options: ReadOptions): Promise<WeightsFile[]> {
  const names = [...new Set(index.values())].sort()
  const opened: { file: string; reader: ByteReader }[] = []
  const absent: string[] = []
  try {
    for (const file of names) {
      const reader = await source.open(file, options)
      if (reader === undefined) absent.push(file)
      else opened.push({ file, reader })
    }
    if (absent.length > 0) {
      throw new BertletError(
        'not_found',
        `${source.name}: expected the ${names.length} shards that ${INDEX} names, found no ${absent.slice(0, 10).join(', ')}`,
        'Download the missing files into the same folder',
      )
    }
  } catch (error) {
    await closeWeights(opened)
    throw error
  }
  const files = await readAll(opened)
  const headers = new Map(files.map(({ file, header }) => [file, header]))
  for (const [tensor, file] of index) {
    if (headers.get(file)!.tensors.has(tensor)) continue
    await closeWeights(files)
    throw expected(
      file,
      `tensor ${show(tensor)}, as ${INDEX} says`,
      new Words('no such tensor'),
      'Download index and shards again',
      'invalid_file',
    )
  }
  return files
}

/** `importing` is Python that brings a class which reads the file and writes it anew. */
export function pickled(source: Source, wanted: string, found: string, importing: string): BertletError {
  const type = importing.split(' ').at(-1)
  return new BertletError(
    'unsupported',
    `${source.name}: expected ${wanted}, found only ${found}, which holds Python objects`,
    `Convert it once: python -c "${importing}; ${type}.from_pretrained('FOLDER').save_pretrained('FOLDER')"`,
  )
}

export const absent = (source: Source, file: string, fix: string): BertletError =>
  new BertletError('not_found', `${source.name}: expected a file ${file}, found none`, fix)

/** What a source without a whole checkpoint is answered. */
export const GIVE_CHECKPOINT =
  'Give the folder of a Hugging Face BERT checkpoint: config.json, model.safetensors, and tokenizer.json or vocab.txt'

async function noWeights(source: Source, files: readonly string[], options: ReadOptions): Promise<BertletError> {
  for (const file of TORCH) {
    const reader = files.includes(file) ? undefined : await source.open(file, options)
    await reader?.close()
    if (reader === undefined && !files.includes(file)) continue
    return pickled(source, WHOLE, file, 'from transformers import AutoModel')
  }
  const found = files.length === 0 ? 'none' : `only ${files.slice(0, 10).join(', ')}`
  return new BertletError(
    'not_found',
    `${source.name}: expected a weights file ${WHOLE}, found ${found}`,
    files.includes(ADAPTER) ? 'It holds an adapter: give the model that it was trained on, and this as adapter' : GIVE_CHECKPOINT,
  )
}
