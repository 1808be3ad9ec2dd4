import { BertModel } from '../../src/index.edge.ts'
import { answer } from './workerd-rows.mjs'

export default answer(async (fetch) => {
  const model = await BertModel.fromPretrained('http://files/', { fetch: (url) => fetch(new URL(url).pathname.slice(1)) })
  return async (rows) => (await model({ input_ids: rows })).last_hidden_state.data
})
