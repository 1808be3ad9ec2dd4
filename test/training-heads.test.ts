// Training of every head is held against PyTorch's float64: gradients by name and ten steps' losses. See test/golden/generate_training.py.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import * as bertlet from '../src/index.node.ts'
import { HeadTraining, type TrainingInputs } from '../src/training/head-training.ts'
import { fromHuggingFace } from '../src/weights/names.ts'
import { readGolden, type Golden } from './support/golden.ts'

const FOLDERS = readdirSync(path.join(import.meta.dirname, 'golden/training-heads')).sort()
const CLASSES = bertlet as unknown as Readonly<Record<string, bertlet.ModelClass & typeof bertlet.BertModel>>

interface GoldenJson {
  readonly adamw: { readonly lr: number; readonly betas: [number, number]; readonly eps: number; readonly weight_decay: number }
  readonly losses: readonly number[]
  /** Tensors whose true gradient is zero. */
  readonly zero: readonly string[]
}

interface Case extends GoldenJson {
  readonly folder: string
  readonly inputs: TrainingInputs
  /** By our names. */
  readonly gradients: ReadonlyMap<string, Float32Array>
}

function toCase({ folder, json, tensors }: Golden): Case {
  const [inputs, gradients]: [Record<string, unknown>, Map<string, Float32Array>] = [{}, new Map()]
  for (const [name, tensor] of tensors) {
    if (name.startsWith('grad.')) gradients.set(fromHuggingFace(name.slice('grad.'.length)), tensor.data as Float32Array)
    else inputs[name] = tensor
  }
  const { adamw, losses, zero } = json as unknown as GoldenJson
  return { folder, inputs, gradients, adamw, losses, zero: zero.map((name) => fromHuggingFace(name)) }
}

interface Trained {
  readonly gradients: ReadonlyMap<string, Float32Array>
  readonly losses: readonly number[]
  /** Gradients after the last step: they depend on every bit of every weight that counts. */
  readonly after: ReadonlyMap<string, Float32Array>
}

async function train(
  { folder, inputs, adamw, losses }: Case,
  options: { threads: number; budget?: number; attn_implementation?: 'eager' },
): Promise<Trained> {
  const { lr, ...adamW } = adamw
  const type = CLASSES[path.basename(folder).split('-')[0]!]!
  const model = await type.fromPretrained(folder, options)
  try {
    expect(model.info().initialized).toEqual([])
    const training = new HeadTraining(model, { ...adamW, dropout: false })
    const gradients = await training.gradients(inputs)
    const got: number[] = []
    for (let step = 0; step < losses.length; step++) got.push((await training.step(inputs, lr)).loss)
    const after = await training.gradients(inputs)
    await training.dispose()
    return { gradients, losses: got, after }
  } finally {
    await model.dispose()
  }
}

const norm = (a: Float32Array): number => Math.hypot(...a)
const distance = (a: Float32Array, b: Float32Array): number => Math.hypot(...b.map((x, i) => a[i]! - x))
/** Names of what differs in any bit. */
const differing = (a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): string[] =>
  [...a].filter(([name, values]) => values.some((x, i) => !Object.is(x, b.get(name)?.[i]))).map(([name]) => name)

it('every head has a golden folder, and the classifier one for every kind of loss', () => {
  const heads = Object.keys(CLASSES).filter((name) => name.startsWith('BertFor'))
  expect(heads).toHaveLength(7)
  expect([...new Set(FOLDERS.map((name) => name.split('-')[0]!))]).toEqual(heads.sort())
  expect(FOLDERS.filter((name) => name.startsWith('BertForSequence'))).toHaveLength(3)
})

describe.each(FOLDERS)('training %s', (name) => {
  let golden: Case
  let one: Trained
  beforeAll(async () => {
    golden = toCase(await readGolden(`training-heads/${name}`))
    one = await train(golden, { threads: 1 })
  })

  it('every gradient by name equals PyTorch', () => {
    expect([...one.gradients.keys()].sort()).toEqual([...golden.gradients.keys()].sort())
    const largest = Math.max(...[...golden.gradients.values()].map(norm))
    for (const [parameter, wanted] of golden.gradients) {
      const got = one.gradients.get(parameter)!
      expect(got.length, parameter).toBe(wanted.length)
      const bound = golden.zero.includes(parameter) ? 1e-6 * largest : 1e-5 * norm(wanted)
      expect(distance(got, wanted), parameter).toBeLessThanOrEqual(bound)
    }
  })

  it('ten steps of AdamW have its losses', () => {
    expect(golden.losses.length).toBe(10)
    golden.losses.forEach((wanted, step) => expect(Math.abs(one.losses[step]! - wanted) / wanted, `step ${step}`).toBeLessThanOrEqual(1e-5))
  })

  it('the plain chain of attention gives the same gradients and losses', async () => {
    const eager = await train(golden, { threads: 2, attn_implementation: 'eager' })
    const largest = Math.max(...[...golden.gradients.values()].map(norm))
    for (const [parameter, wanted] of golden.gradients) {
      const bound = golden.zero.includes(parameter) ? 1e-6 * largest : 1e-5 * norm(wanted)
      expect(distance(eager.gradients.get(parameter)!, wanted), parameter).toBeLessThanOrEqual(bound)
    }
    golden.losses.forEach((wanted, step) =>
      expect(Math.abs(eager.losses[step]! - wanted) / wanted, `step ${step}`).toBeLessThanOrEqual(1e-5),
    )
  })

  it('the same bits for any number of threads and however the batch is cut', async () => {
    for (const options of [
      { threads: 0 },
      { threads: 2 },
      { threads: 3 },
      { threads: 1, budget: 1 },
      { threads: 2, budget: 1 },
      { threads: 1, budget: 1024 },
    ]) {
      const other = await train(golden, options)
      expect(differing(one.gradients, other.gradients), `first gradients, ${JSON.stringify(options)}`).toEqual([])
      expect(other.losses, `losses, ${JSON.stringify(options)}`).toEqual(one.losses)
      expect(differing(one.after, other.after), `last gradients, ${JSON.stringify(options)}`).toEqual([])
    }
  })
})
