// transformers.js on the same ONNX file: AutoModel as people call it, in Node on its native back end.
import path from 'node:path'
import { mkdir, copyFile } from 'node:fs/promises'

export async function load({ folder, onnx, threads }) {
  const { AutoModel, env, Tensor } = await import('@huggingface/transformers')
  await mkdir(path.join(folder, 'onnx'), { recursive: true })
  const name = path.basename(onnx) === 'model.onnx' ? 'model.onnx' : 'model_int8.onnx'
  await copyFile(onnx, path.join(folder, 'onnx', name))
  env.allowRemoteModels = false
  env.localModelPath = `${path.dirname(folder)}${path.sep}`
  const model = await AutoModel.from_pretrained(path.basename(folder), {
    dtype: name === 'model.onnx' ? 'fp32' : 'int8',
    device: 'cpu',
    session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
  })
  const tensor = (rows) => new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length])
  const filled = (rows, value) => rows.map((row) => row.map(() => value))
  return async (rows, mask = filled(rows, 1)) => {
    const inputs = { input_ids: tensor(rows), attention_mask: tensor(mask), token_type_ids: tensor(filled(rows, 0)) }
    return (await model(inputs)).last_hidden_state.data
  }
}
