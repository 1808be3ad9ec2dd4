// Low-rank adapters are held against PEFT and PyTorch's float64: outputs, gradients by name, AdamW's losses, merged weights, and the files name by name.
// See test/golden/generate_adapters.py.
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import * as bertlet from '../src/index.node.ts'
import { HeadTraining } from '../src/training/head-training.ts'
import { readGolden, type Golden, type GoldenTensor } from './support/golden.ts'
import { readSafetensors } from './support/safetensors.ts'

const FOLDERS = readdirSync(path.join(import.meta.dirname, 'golden/adapters')).sort()
const CLASSES = bertlet as unknown as Readonly<Record<string, bertlet.ModelClass & typeof bertlet.BertForSequenceClassification>>

interface GoldenJson {
  readonly base: string
  readonly adamw: { readonly lr: number; readonly betas: [number, number]; readonly eps: number; readonly weight_decay: number }
  readonly losses: readonly number[]
  readonly config: bertlet.LoraConfig
  /** Of the file. */
  readonly names: Readonly<Record<string, readonly number[]>>
  /** Parameters whose true gradient is zero. */
  readonly zero: readonly string[]
}

const norm = (a: Float32Array): number => Math.hypot(...a)
const distance = (a: Float32Array, b: Float32Array): number => Math.hypot(...b.map((x, i) => a[i]! - x))
const differing = (a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): string[] =>
  [...a].filter(([name, values]) => values.some((x, i) => !Object.is(x, b.get(name)?.[i]))).map(([name]) => name)

/** Our name of a parameter in a file. */
const ours = (name: string): string =>
  name
    .replace('base_model.model.', '')
    .replace(/^bert\./, '')
    .replace('.base_layer.', '.')

async function files(model: { savePretrained(to: bertlet.Sink): Promise<void> }): Promise<Record<string, Uint8Array>> {
  const written: Record<string, Uint8Array> = {}
  await model.savePretrained({
    async write(name, pieces) {
      const all: Uint8Array[] = []
      for await (const piece of pieces) all.push(piece.slice())
      written[name] = Uint8Array.from(all.flatMap((piece) => [...piece]))
    },
  })
  return written
}

describe.each(FOLDERS)('an adapter of PEFT, %s', (name) => {
  let golden: Golden
  let json: GoldenJson
  let base: string
  let inputs: Record<string, GoldenTensor>
  beforeAll(async () => {
    golden = await readGolden(`adapters/${name}`)
    json = golden.json as unknown as GoldenJson
    const of = await readGolden(`training-heads/${json.base}`)
    base = of.folder
    inputs = Object.fromEntries([...of.tensors].filter(([key]) => !key.startsWith('grad.')))
  })
  const load = async (options: { threads: number; budget?: number; attn_implementation?: 'eager' }) =>
    CLASSES[json.base.split('-')[0]!]!.fromPretrained(base, options)

  it('gives its outputs, and leaves the base as it was', async () => {
    const plain = await load({ threads: 2 })
    const before = await plain(inputs)
    const tuned = await plain.withAdapter(golden.folder)
    const { loss, ...got } = (await tuned(inputs)) as unknown as Record<string, bertlet.Tensor>
    expect(Math.abs(loss!.data[0]! - json.losses[0]!) / json.losses[0]!).toBeLessThanOrEqual(1e-5)
    const mask = inputs.attention_mask as GoldenTensor
    for (const [output, tensor] of Object.entries(got)) {
      const wanted = golden.tensors.get(`output.${output}`)!
      const data = wanted.data as Float32Array
      const width = tensor.data.length / mask.data.length
      // Masked places are zero here.
      const real = Number.isInteger(width) ? data.map((x, i) => (mask.data[Math.floor(i / width)] === 1 ? x : 0)) : data
      expect(tensor.dims, output).toEqual([...wanted.dims])
      expect(distance(tensor.data, real) / norm(real), output).toBeLessThanOrEqual(1e-5)
    }
    expect(await plain(inputs as never)).toEqual(before)
    await tuned.dispose()
    await plain.dispose()
  })

  it('has every gradient of PyTorch, its losses of five steps, and none for the base; the same bits however it runs', async () => {
    const train = async (options: { threads: number; budget?: number; attn_implementation?: 'eager' }, checkpointing = false) => {
      const plain = await load(options)
      const tuned = await plain.withAdapter(golden.folder)
      const { lr, ...adamW } = json.adamw
      const training = new HeadTraining(tuned, { ...adamW, dropout: false, gradient_checkpointing: checkpointing })
      const gradients = await training.gradients(inputs)
      const losses: number[] = []
      for (let i = 0; i < json.losses.length; i++) losses.push((await training.step(inputs, lr)).loss)
      const after = await training.gradients(inputs)
      await training.dispose()
      await tuned.dispose()
      await plain.dispose()
      return { gradients, losses, after }
    }
    const one = await train({ threads: 1 })
    const wanted = new Map(
      [...golden.tensors].filter(([key]) => key.startsWith('grad.')).map(([key, { data }]) => [ours(key.slice(5)), data as Float32Array]),
    )
    expect([...one.gradients.keys()].sort()).toEqual([...wanted.keys()].sort())
    const largest = Math.max(...[...wanted.values()].map(norm))
    const zero = json.zero.map(ours)
    for (const [parameter, values] of wanted) {
      const bound = zero.includes(parameter) ? 1e-6 * largest : 1e-5 * norm(values)
      expect(distance(one.gradients.get(parameter)!, values), parameter).toBeLessThanOrEqual(bound)
    }
    json.losses.forEach((loss, step) => expect(Math.abs(one.losses[step]! - loss) / loss, `step ${step}`).toBeLessThanOrEqual(1e-5))
    for (const [options, checkpointing] of [
      [{ threads: 0 }, false],
      [{ threads: 3 }, false],
      [{ threads: 2, budget: 1 }, false],
      [{ threads: 2 }, true],
    ] as const) {
      const other = await train(options, checkpointing)
      expect(differing(one.gradients, other.gradients), JSON.stringify(options)).toEqual([])
      expect(other.losses).toEqual(one.losses)
      expect(differing(one.after, other.after), JSON.stringify(options)).toEqual([])
    }
  })

  it('merges to the weights of PEFT, and comes apart without a trace', async () => {
    const plain = await load({ threads: 1 })
    const tuned = await plain.withAdapter(golden.folder)
    const [base, apart] = [await plain(inputs), await tuned(inputs)]
    await tuned.merge()
    const together = (await tuned(inputs)) as unknown as Record<string, bertlet.Tensor>
    for (const [output, { data }] of Object.entries(apart as unknown as Record<string, bertlet.Tensor>))
      expect(distance(together[output]!.data, data) / norm(data), output).toBeLessThanOrEqual(1e-5)
    expect(await plain(inputs as never)).toEqual(base)
    await tuned.unmerge()
    expect(await tuned(inputs as never)).toEqual(apart)
    const whole = await tuned.mergeAndUnload()
    expect(await plain(inputs as never)).toEqual(base)
    expect(whole.adapter).toBeUndefined()
    expect(Object.values((await whole(inputs as never)) as object)).toEqual(Object.values(together))
    const saved = readSafetensors((await files(whole))['model.safetensors']!)
    for (const [key, { data, dims }] of golden.tensors) {
      if (!key.startsWith('merged.')) continue
      const tensor = saved.get(key.replace('merged.base_model.model.', ''))!
      expect(tensor.dims, key).toEqual(dims)
      // Each was rounded once from the same sum, here of weights in f32.
      ;(data as Float32Array).forEach((x, i) =>
        expect(Math.abs((tensor.data as Float32Array)[i]! - x)).toBeLessThanOrEqual(2 ** -23 * Math.abs(x) + 2 ** -40),
      )
    }
    await plain.dispose()
    expect((await whole(inputs as never)) as object).toBeDefined()
    await whole.dispose()
  })

  it('saves the file that PEFT saves, name by name, shape by shape and bit by bit', async () => {
    const plain = await load({ threads: 1 })
    const tuned = await plain.withAdapter(golden.folder)
    const saved = await files(tuned)
    // PEFT's files, and where the adapter brings the head what its outputs mean.
    const head = Object.keys(json.names).some((key) => /\.(classifier|qa_outputs)\.weight$/.test(key))
    expect(Object.keys(saved).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', ...(head ? ['config.json'] : [])])
    const tensors = readSafetensors(saved['adapter_model.safetensors']!)
    expect(Object.fromEntries([...tensors].map(([key, { dims }]) => [key, [...dims]]).sort())).toEqual(
      Object.fromEntries(Object.entries(json.names).sort()),
    )
    const theirs = readSafetensors(await readFile(path.join(golden.folder, 'adapter_model.safetensors')))
    for (const [key, { data }] of theirs) expect(tensors.get(key)!.data, key).toEqual(data)
    const config = JSON.parse(new TextDecoder().decode(saved['adapter_config.json'])) as Record<string, unknown>
    const given = JSON.parse(await readFile(path.join(golden.folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    for (const [field, value] of Object.entries(config)) expect([value].flat().sort(), field).toEqual([given[field]].flat().sort())

    const fresh = await plain.withAdapter(json.config)
    expect(await fresh(inputs as never)).toEqual(await plain(inputs as never))
    const names = readSafetensors((await files(fresh))['adapter_model.safetensors']!)
    expect(Object.fromEntries([...names].map(([key, { dims }]) => [key, [...dims]]).sort())).toEqual(
      Object.fromEntries(Object.entries(json.names).sort()),
    )
    await Promise.all([fresh.dispose(), tuned.dispose(), plain.dispose()])
  })
})
