// Smoothing of models in 8 bits: what is written, what it is worth, and what is refused.
import { describe, expect, it } from 'vitest'
import { BertForMaskedLM, BertModel, inspect, type ModelSource } from '../src/index.node.ts'
import { calibrate, memoryFolder } from '../src/training.ts'
import { memorySource, type Source } from '../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from './support/models.ts'
import { readSafetensors } from './support/safetensors.ts'

const SIZES = { hidden_size: 40, num_attention_heads: 4, intermediate_size: 72, num_hidden_layers: 2 }
const seen = [1, 2, 3].map((seed) => rectangle(sequences(6, { seed })))
const unseen = rectangle(sequences(8, { seed: 9 }))

/** A checkpoint with columns far larger than the others, as trained ones have, whose weights are small. */
function outliers(): Source {
  const files = checkpoint(SIZES, 3)
  const bytes = Buffer.from(files['model.safetensors']!)
  const length = bytes.readUInt32LE(0)
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, { data_offsets: [number, number]; shape: number[] }>
  for (const [name, { data_offsets: at, shape }] of Object.entries(header)) {
    const values = (change: (x: number, i: number) => number): void => {
      for (let i = 0; i < shape.reduce((a, b) => a * b, 1); i++) {
        const place = 8 + length + at[0] + 4 * i
        bytes.writeFloatLE(change(bytes.readFloatLE(place), i), place)
      }
    }
    if (name.endsWith('LayerNorm.weight')) values((x, i) => (i % 13 === 5 ? 20 * x : x))
    if (/(query|key|value|intermediate\.dense)\.weight$/.test(name)) values((x, i) => ((i % shape[1]!) % 13 === 5 ? x / 20 : x))
  }
  return memorySource({ ...files, 'model.safetensors': new Uint8Array(bytes) }, 'outliers')
}

const load = (from: ModelSource, options: object = {}): Promise<BertModel> => BertModel.fromPretrained(from, { threads: 0, ...options })

async function using<T>(model: BertModel, work: (model: BertModel) => Promise<T>): Promise<T> {
  try {
    return await work(model)
  } finally {
    await model.dispose()
  }
}
const smoothed = (options: object = {}, batches = seen): Promise<Source> =>
  load(outliers(), options).then((model) => using(model, (float) => calibrate(float, batches)))
const hidden = (from: ModelSource, options: object = {}): Promise<Float32Array> =>
  load(from, options).then((model) => using(model, async (m) => (await m(unseen)).last_hidden_state.data))
const error = (got: Float32Array, exact: Float32Array): number => Math.hypot(...got.map((x, i) => x - exact[i]!)) / Math.hypot(...exact)

async function file(source: Source): Promise<Uint8Array<ArrayBuffer>> {
  const reader = (await source.open('model.safetensors'))!
  const bytes = new Uint8Array(reader.size)
  await reader.read(0, reader.size, bytes)
  return bytes
}

/** By name, of F32 alone. */
const tensors = (bytes: Uint8Array): Map<string, Float32Array> =>
  new Map([...readSafetensors(bytes)].map(([name, { data }]) => [name, data as Float32Array]))

describe('calibrate', () => {
  it('folds the root of activation over weight into columns, and writes its inverse', async () => {
    const [before, after] = [tensors(await file(outliers())), tensors(await file(await smoothed()))]
    const float = await load(outliers())
    const rows = await using(float, async (m) => {
      const largest = new Float64Array(SIZES.hidden_size)
      for (const inputs of seen) {
        const { hidden_states } = await m({ ...inputs, output_hidden_states: true })
        hidden_states![1]!.data.forEach((x, i) => (largest[i % largest.length] = Math.max(largest[i % largest.length]!, Math.abs(x))))
      }
      return largest
    })
    const part = 'encoder.layer.1.attention.self'
    const matrices = ['query', 'key', 'value'].map((name) => before.get(`${part}.${name}.weight`)!)
    const weights = Array.from(rows, (_, j) =>
      Math.max(...matrices.flatMap((w) => [...w].filter((__, i) => i % rows.length === j).map(Math.abs))),
    )
    after.get(`${part}.smoothing`)!.forEach((by, j) => expect(by * Math.sqrt(rows[j]! / weights[j]!)).toBeCloseTo(1, 6))
    const [was, is] = [before.get(`${part}.key.weight`)!, after.get(`${part}.key.weight`)!]
    was.forEach((x, i) => expect(is[i]! * after.get(`${part}.smoothing`)![i % rows.length]!).toBeCloseTo(x, 6))
    // What is not read through smoothing stays.
    expect(after.get('encoder.layer.1.output.dense.weight')).toEqual(before.get('encoder.layer.1.output.dense.weight'))
  })

  it('brings 8 bits nearer to the float model on texts that it has not seen', async () => {
    const exact = await hidden(outliers())
    const [plain, smooth] = [error(await hidden(outliers(), { dtype: 'int8' }), exact), error(await hidden(await smoothed()), exact)]
    expect(smooth).toBeLessThan(0.75 * plain)
  })

  it('gives the same bytes for any threads and cut, and any batches of the same texts', async () => {
    const bytes = await file(await smoothed())
    for (const options of [{ threads: 2 }, { budget: 16 }]) expect(await file(await smoothed(options))).toEqual(bytes)
    expect(await file(await smoothed({}, [...seen].reverse()))).toEqual(bytes)
  })

  it('what is saved gives the same bits, names a method of its own, and says what it is', async () => {
    const source = await smoothed()
    const folder = memoryFolder()
    await using(await load(source), (small) => small.savePretrained(folder.sink('int8')))
    const saved = folder.source('int8')
    expect(await hidden(saved)).toEqual(await hidden(source))
    expect(await hidden(saved, { threads: 2 })).toEqual(await hidden(source))
    const config = JSON.parse((await saved.text('config.json'))!) as { quantization_config: { quant_method: string } }
    expect(config.quantization_config.quant_method).toBe('bertlet')
    expect(await inspect(saved)).toMatchObject({ unexpected: [], missing: [] })
    await expect(load(saved, { dtype: 'f32' })).rejects.toThrow(/dtype: expected int8, what the checkpoint holds, got f32/)
  })

  it('takes heads along, and leaves the model as it was', async () => {
    const source = memorySource(checkpoint(SIZES, 3, ['cls']), 'words')
    const model = await BertForMaskedLM.fromPretrained(source, { threads: 0 })
    const before = (await model(unseen)).logits.data
    const small = await BertForMaskedLM.fromPretrained(await calibrate(model, seen), { threads: 0 })
    expect((await model(unseen)).logits.data).toEqual(before)
    expect(error((await small(unseen)).logits.data, before)).toBeLessThan(0.1)
    await Promise.all([model.dispose(), small.dispose()])
  })

  it('refuses weights in integers, and no texts', async () => {
    await expect(smoothed({ dtype: 'int8' })).rejects.toThrow(/calibrate: expected weights in f32, got int8/)
    await expect(smoothed({}, [])).rejects.toThrow(/calibrate: expected at least one batch, got none/)
  })

  it('a file without its smoothing is refused by name', async () => {
    const source = await smoothed()
    const config = (await source.text('config.json'))!
    const bare = memorySource({ 'config.json': new TextEncoder().encode(config), 'model.safetensors': await file(outliers()) }, 'bare')
    await expect(load(bare)).rejects.toThrow(/missing: encoder\.layer\.0\.attention\.self\.smoothing/)
  })
})
