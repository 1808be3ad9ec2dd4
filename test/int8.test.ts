import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { inlineAssets } from '../scripts/assets.mjs'
import { BertConfig, BertForSequenceClassification, BertModel, pipeline } from '../src/index.node.ts'
import { HeadTraining } from '../src/training.ts'
import { memorySource } from '../src/weights/source.ts'
import { int8Report, type Int8Report } from './support/int8-main.ts'
import { checkpoint, rectangle, sequences } from './support/models.ts'
import { describeNodes } from './support/runtimes/conforms.ts'

// The same bits for threads, batches, budgets, heads and builds are conformance cases, and reproducible.test.ts runs them on other engines.
const wasm = path.join(import.meta.dirname, '../build/dot.wasm')
const files = checkpoint({ hidden_size: 52, num_attention_heads: 4, intermediate_size: 101 })
const source = memorySource(files, 'tiny')

const TEXTS = [
  'A man is playing a guitar.',
  'The quick brown fox jumps over the lazy dog',
  'hello',
  'Stocks fell sharply on Tuesday after the central bank raised its rates again.',
  'Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. '.repeat(6),
  '1234567890 !?',
]

describe('int8 beside f32', () => {
  it('all-MiniLM-L6-v2: every embedding close to that of f32, in a quarter of the memory', async () => {
    const outputs = []
    const bytes = []
    for (const dtype of ['f32', 'int8'] as const) {
      const embed = await pipeline('feature-extraction', null, { dtype, threads: 2 })
      outputs.push(await embed(TEXTS, { pooling: 'mean', normalize: true }))
      const info = embed.model.info()
      expect(info.dtype.name).toBe(dtype)
      bytes.push(info.bytes)
      await embed.dispose()
    }
    const [exact, int8] = outputs as [(typeof outputs)[0], (typeof outputs)[0]]
    const width = exact.dims[1]!
    for (const [i] of TEXTS.entries()) {
      let cosine = 0
      for (let j = i * width; j < (i + 1) * width; j++) cosine += exact.data[j]! * int8.data[j]!
      expect(cosine, TEXTS[i]).toBeGreaterThanOrEqual(0.98)
      // Not f32 by another name.
      expect(cosine, TEXTS[i]).toBeLessThan(0.9999)
    }
    // Positions, types, biases and LayerNorm stay f32.
    expect(bytes[1]!.weights / bytes[0]!.weights).toBeLessThan(0.265)
    // The f32 copy never exists whole: the memory is weights, one window of the file, plan and activations.
    expect(bytes[1]!.memory - bytes[1]!.weights).toBeLessThan(8 << 20)
  })

  it('random heads stay within a few hundredths, and estimate() tells the bytes', async () => {
    const inputs = rectangle(sequences(5, { seed: 3 }))
    const logits: Float32Array[] = []
    for (const dtype of ['f32', 'int8'] as const) {
      const options = { dtype, threads: 1, initialize_missing: true, num_labels: 3, seed: 5 }
      const model = await BertForSequenceClassification.fromPretrained(source, options)
      logits.push((await model(inputs)).logits.data)
      const { weights } = await BertForSequenceClassification.estimate(source, { dtype, threads: 1, num_labels: 3 })
      expect(model.info().bytes.weights).toBe(weights)
      await model.dispose()
    }
    const largest = Math.max(...logits[0]!.map(Math.abs))
    logits[0]!.forEach((x, i) => expect(Math.abs(x - logits[1]![i]!)).toBeLessThan(0.05 * largest))
  })

  it('q8 is another name for it, and fresh weights are those of f32, rounded', async () => {
    const config = { vocab_size: 100, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 128 }
    const outputs = []
    for (const dtype of ['f32', 'q8'] as const) {
      const model = new BertModel(config, { dtype, threads: 1, seed: 2 })
      outputs.push((await model({ input_ids: [[1, 2, 3, 4]] })).last_hidden_state.data)
      expect(model.info().dtype.name).toBe(dtype === 'q8' ? 'int8' : 'f32')
      await model.dispose()
    }
    const [a, b] = outputs as [Float32Array, Float32Array]
    const worst = a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
    expect(worst).toBeLessThan(0.15)
    expect(worst).toBeGreaterThan(1e-4)
  })
})

describe('int4', () => {
  it('BERT-base in an isolate of 128 MB: weights and arena for 1x128 are at most 85 MB, and all that it takes fits', async () => {
    const { weights, arena, total } = await BertModel.estimate(new BertConfig(), { dtype: 'int4', threads: 0, budget: 128 })
    expect((weights + arena) / 1e6).toBeLessThanOrEqual(85)
    expect(total / 1e6).toBeLessThanOrEqual(90)
    const int8 = await BertModel.estimate(new BertConfig(), { dtype: 'int8', threads: 0, budget: 128 })
    expect(weights / int8.weights).toBeLessThan(0.75)
  })

  it('estimate() tells the bytes, which are what the model has; its outputs are near those of f32', async () => {
    const config = { vocab_size: 100, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 128 }
    const outputs = []
    for (const dtype of ['f32', 'q4'] as const) {
      const model = new BertModel(config, { dtype, threads: 1, seed: 2 })
      outputs.push((await model({ input_ids: [[1, 2, 3, 4]] })).last_hidden_state.data)
      expect(model.info().dtype.name).toBe(dtype === 'q4' ? 'int4' : 'f32')
      const { weights } = await BertModel.estimate(new BertConfig(config), { dtype, threads: 1 })
      expect(model.info().bytes.weights).toBe(weights)
      await model.dispose()
    }
    const [a, b] = outputs as [Float32Array, Float32Array]
    const worst = a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
    expect(worst).toBeLessThan(1)
    expect(worst).toBeGreaterThan(1e-3)
  })
})

describe('what int8 cannot do is refused', () => {
  it('training and other vocabularies', async () => {
    const options = { dtype: 'int8', threads: 0, initialize_missing: true } as const
    const model = await BertForSequenceClassification.fromPretrained(source, options)
    expect(() => new HeadTraining(model)).toThrow(/expected weights in f32, got int8.*Load the model with dtype f32/)
    await expect(model.resizeTokenEmbeddings(130)).rejects.toThrow(/expected weights in f32, got int8/)
    await model.dispose()
  })

  it('other dtypes', async () => {
    await expect(BertModel.fromPretrained(source, { dtype: 'int9' as 'int8' })).rejects.toThrow(
      /dtype: expected one of f32, fp32, int8, q8, int4, q4.*int8/,
    )
  })
})

describe('the build that runs int8', async () => {
  const check = (report: Int8Report, relaxed: boolean): void => {
    expect(report.build.name).toBe(relaxed ? 'dot' : 'simd')
    expect(report.build.why).toMatch(relaxed ? /pass their self-test/ : /no relaxed SIMD/)
    expect(report.selfTest).toBe(relaxed ? 0 : undefined)
    expect(report.spoiled).toBe(relaxed ? 2 : undefined)
    expect(report.refused).toMatch(/relaxed instruction 2 fails its self-test/)
  }

  it('here', async () => check(await int8Report(wasm), WebAssembly.validate(readFileSync(wasm))))

  await describeNodes('and under other Nodes', (nodes) => {
    for (const { name, path: node, version } of nodes) {
      it(`${name} (${version})`, async () => {
        const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
        try {
          const [entry, outfile] = [path.join(folder, 'entry.ts'), path.join(folder, 'main.mjs')]
          const main = JSON.stringify(path.join(import.meta.dirname, 'support/int8-main.ts'))
          await writeFile(entry, `import { int8Report } from ${main}\nconsole.log(JSON.stringify(await int8Report(process.argv[2])))`)
          const plugins = [inlineAssets()]
          await build({ entryPoints: [entry], outfile, bundle: true, format: 'esm', platform: 'node', plugins, logLevel: 'warning' })
          const { stdout } = await promisify(execFile)(node, [outfile, wasm])
          check(JSON.parse(stdout) as Int8Report, true)
        } finally {
          await rm(folder, { recursive: true, force: true })
        }
      })
    }
  })
})
