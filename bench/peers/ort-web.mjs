import { readFile } from 'node:fs/promises'
import path from 'node:path'
import * as ort from 'onnxruntime-web'
import { measure } from './cell.mjs'

await measure(async (folder, rows) => {
  ort.env.wasm.numThreads = 1
  const session = await ort.InferenceSession.create(await readFile(path.join(folder, 'model.onnx')), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  })
  const tensor = (values) => new ort.Tensor('int64', BigInt64Array.from(values.flat(), BigInt), [values.length, values[0].length])
  const feeds = {
    input_ids: tensor(rows),
    attention_mask: tensor(rows.map((row) => row.map(() => 1))),
    token_type_ids: tensor(rows.map((row) => row.map(() => 0))),
  }
  return async () => (await session.run(feeds)).last_hidden_state.data
})
