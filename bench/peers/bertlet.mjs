import { BertModel } from '../../dist/index.node.js'
import { measure } from './cell.mjs'

await measure(async (folder, rows) => {
  const model = await BertModel.fromPretrained(folder, { threads: 1 })
  const inputs = { input_ids: rows, attention_mask: rows.map((row) => row.map(() => 1)) }
  return async () => (await model(inputs)).last_hidden_state.data
})
