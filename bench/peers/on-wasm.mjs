// transformers.js in Node on onnxruntime-web's wasm, and a checkpoint as the folder that it reads.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import Module, { createRequire } from 'node:module'
import path from 'node:path'

/** The library as installed in `modules`. In Node it requires its native back end: this gives it the one of wasm, which has the same interface. */
export function onWasm(threads, modules = import.meta.dirname) {
  const require = createRequire(path.join(modules, 'package.json'))
  const resolve = Module._resolveFilename
  const web = require.resolve('onnxruntime-web')
  Module._resolveFilename = (name, ...rest) => (name === 'onnxruntime-node' ? web : resolve(name, ...rest))
  const transformers = require('@huggingface/transformers')
  // The binary beside it, not a server's.
  Object.assign(require(web).env.wasm, { numThreads: threads, wasmPaths: undefined })
  transformers.env.allowRemoteModels = false
  return transformers
}

/** Fails where the native back end was loaded all the same. */
export function assertWasm() {
  const native = process.report.getReport().sharedObjects.filter((file) => /onnxruntime/.test(file))
  if (native.length > 0) throw new Error(`expected wasm, got ${native}`)
}

/**
 * `folder/name`: config.json and the ONNX file of `folder`, and all-MiniLM-L6-v2's tokenizer of `model`, without the truncation and padding that its file
 * has.
 */
export async function folderFor(name, { folder, model, onnx }) {
  const place = path.join(folder, name)
  await mkdir(path.join(place, 'onnx'), { recursive: true })
  await copyFile(path.join(folder, 'config.json'), path.join(place, 'config.json'))
  await copyFile(path.join(folder, onnx), path.join(place, 'onnx', onnx))
  const tokenizer = JSON.parse(await readFile(path.join(model, 'tokenizer.json'), 'utf8'))
  await writeFile(path.join(place, 'tokenizer.json'), JSON.stringify({ ...tokenizer, truncation: null, padding: null }))
  const config = { tokenizer_class: 'BertTokenizer', model_max_length: 512, do_lower_case: true, pad_token: '[PAD]' }
  await writeFile(path.join(place, 'tokenizer_config.json'), JSON.stringify(config))
}
