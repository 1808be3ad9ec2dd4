// The encoder in tfjs's operations: the package has no BERT of its own. Its wasm back end runs one thread in Node.
import { createRequire } from 'node:module'
import { readCheckpoint } from './checkpoint.mjs'

export async function load({ folder }) {
  const require = createRequire(import.meta.url)
  const tf = require('@tensorflow/tfjs-core')
  require('@tensorflow/tfjs-backend-wasm')
  await tf.setBackend('wasm')
  await tf.ready()
  const { config, weights } = await readCheckpoint(folder)
  const { hidden_size: hidden, num_attention_heads: heads, num_hidden_layers: layers, layer_norm_eps } = config
  const tensors = new Map([...weights].map(([name, { data, shape }]) => [name, tf.tensor(data, shape)]))
  const get = (name) => tensors.get(name)
  // [in, out], once: with transposeB the back end's results are wrong in 4.22.
  for (const [name, tensor] of tensors)
    if (tensor.rank === 2 && !name.startsWith('embeddings.'))
      tensors.set(
        name,
        tf.tidy(() => tf.transpose(tensor)),
      )
  const dense = (x, name) => tf.fused.matMul({ a: x, b: get(`${name}.weight`), bias: get(`${name}.bias`) })
  const norm = (x, name) => {
    const { mean, variance } = tf.moments(x, -1, true)
    const unit = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, layer_norm_eps)))
    return tf.add(tf.mul(unit, get(`${name}.weight`)), get(`${name}.bias`))
  }
  const gelu = (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))

  function forward(ids, batch, length) {
    const split = (x) => tf.transpose(tf.reshape(x, [batch, length, heads, hidden / heads]), [0, 2, 1, 3])
    const words = tf.gather(get('embeddings.word_embeddings.weight'), tf.tensor1d(ids, 'int32'))
    const places = tf.slice(get('embeddings.position_embeddings.weight'), [0, 0], [length, hidden])
    const kind = tf.slice(get('embeddings.token_type_embeddings.weight'), [0, 0], [1, hidden])
    const sum = tf.add(tf.reshape(words, [batch, length, hidden]), tf.add(places, kind))
    let x = norm(tf.reshape(sum, [batch * length, hidden]), 'embeddings.LayerNorm')
    for (let l = 0; l < layers; l++) {
      const layer = `encoder.layer.${l}`
      const [query, key, value] = ['query', 'key', 'value'].map((part) => split(dense(x, `${layer}.attention.self.${part}`)))
      const scores = tf.mul(tf.matMul(query, key, false, true), 1 / Math.sqrt(hidden / heads))
      const context = tf.transpose(tf.matMul(tf.softmax(scores), value), [0, 2, 1, 3])
      const attended = dense(tf.reshape(context, [batch * length, hidden]), `${layer}.attention.output.dense`)
      x = norm(tf.add(attended, x), `${layer}.attention.output.LayerNorm`)
      const inner = gelu(dense(x, `${layer}.intermediate.dense`))
      x = norm(tf.add(dense(inner, `${layer}.output.dense`), x), `${layer}.output.LayerNorm`)
    }
    return x
  }

  return async (rows) => {
    const result = tf.tidy(() => forward(Int32Array.from(rows.flat()), rows.length, rows[0].length))
    const data = result.dataSync()
    result.dispose()
    return data
  }
}
