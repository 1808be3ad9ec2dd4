export async function load({ folder, threads, dtype, precision }) {
  const { BertModel } = await import('../../dist/index.node.js')
  const model = await BertModel.fromPretrained(folder, { threads, dtype, ...(precision && { precision }) })
  return async (rows, mask = rows.map((row) => row.map(() => 1))) =>
    (await model({ input_ids: rows, attention_mask: mask })).last_hidden_state.data
}
