// A Hugging Face checkpoint of BERT-base's size with seeded random weights, as a folder that any BERT runtime can load; and the way back.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

export const BASE = {
  architectures: ['BertModel'],
  model_type: 'bert',
  hidden_act: 'gelu',
  vocab_size: 30522,
  type_vocab_size: 2,
  max_position_embeddings: 512,
  num_hidden_layers: 12,
  hidden_size: 768,
  num_attention_heads: 12,
  intermediate_size: 3072,
  layer_norm_eps: 1e-12,
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  initializer_range: 0.02,
  pad_token_id: 0,
  position_embedding_type: 'absolute',
}

/** Uniform in [-1, 1), the same on every machine. */
function* uniform(seed) {
  for (let x = seed; ;) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    yield x / 2 ** 31
  }
}

/** Name -> { shape, data }, in Hugging Face's names and layouts: matrices are [out, in]. */
export function randomWeights(config, seed = 20) {
  const random = uniform(seed)
  const weights = new Map()
  const put = (name, shape, centre = 0) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b))
    const width = config.initializer_range * Math.sqrt(3) // a uniform distribution of that deviation
    for (let i = 0; i < data.length; i++) data[i] = centre + width * random.next().value
    weights.set(name, { shape, data })
  }
  const dense = (name, out, width) => (put(`${name}.weight`, [out, width]), put(`${name}.bias`, [out]))
  const norm = (name) => (put(`${name}.weight`, [H], 1), put(`${name}.bias`, [H]))
  const { hidden_size: H, intermediate_size: F } = config
  put('embeddings.word_embeddings.weight', [config.vocab_size, H])
  put('embeddings.position_embeddings.weight', [config.max_position_embeddings, H])
  put('embeddings.token_type_embeddings.weight', [config.type_vocab_size, H])
  norm('embeddings.LayerNorm')
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const layer = `encoder.layer.${l}`
    for (const part of ['query', 'key', 'value']) dense(`${layer}.attention.self.${part}`, H, H)
    dense(`${layer}.attention.output.dense`, H, H)
    norm(`${layer}.attention.output.LayerNorm`)
    dense(`${layer}.intermediate.dense`, F, H)
    dense(`${layer}.output.dense`, H, F)
    norm(`${layer}.output.LayerNorm`)
  }
  dense('pooler.dense', H, H)
  return weights
}

function safetensors(weights) {
  let end = 0
  const entries = [...weights].map(([name, { shape, data }]) => [
    name,
    { dtype: 'F32', shape, data_offsets: [end, (end += data.byteLength)] },
  ])
  const text = JSON.stringify(Object.fromEntries(entries))
  const header = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return [length, header, ...[...weights.values()].map(({ data }) => Buffer.from(data.buffer))]
}

export async function writeCheckpoint(folder, config, weights) {
  await mkdir(folder, { recursive: true })
  const special = new Map([
    [0, '[PAD]'],
    [100, '[UNK]'],
    [101, '[CLS]'],
    [102, '[SEP]'],
    [103, '[MASK]'],
  ])
  const vocabulary = Array.from({ length: config.vocab_size }, (_, id) => special.get(id) ?? `token${id}`)
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config, null, 2))
  await writeFile(path.join(folder, 'vocab.txt'), vocabulary.join('\n') + '\n')
  await writeFile(path.join(folder, 'model.safetensors'), safetensors(weights))
}

/** The config and the f32 tensors of such a folder, name -> { shape, data }, without the prefix `bert.`. */
export async function readCheckpoint(folder) {
  const config = JSON.parse(await readFile(path.join(folder, 'config.json'), 'utf8'))
  const file = await readFile(path.join(folder, 'model.safetensors'))
  const { buffer, byteOffset } = file
  const end = 8 + Number(file.readBigUInt64LE(0))
  const entries = Object.entries(JSON.parse(file.toString('utf8', 8, end))).filter(([name]) => name !== '__metadata__')
  const tensor = ({ dtype, shape, data_offsets: [from, to] }) => {
    if (dtype !== 'F32') throw new Error(`expected F32, got ${dtype}`)
    return { shape, data: new Float32Array(buffer.slice(byteOffset + end + from, byteOffset + end + to)) }
  }
  const weights = entries.map(([name, entry]) => [name.replace(/^bert\./, ''), tensor(entry)])
  return { config, weights: new Map(weights) }
}
