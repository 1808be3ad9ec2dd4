// What changes a step of the optimizer, held against PyTorch's float64: ten steps' losses and norms. See test/golden/generate_optimizers.py.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import * as bertlet from '../src/index.node.ts'
import { HeadTraining, type HeadTrainingOptions, type TrainingInputs } from '../src/training/head-training.ts'
import { readGolden, type Golden } from './support/golden.ts'

interface Case {
  readonly folder: string
  readonly options: HeadTrainingOptions & { readonly frozen?: string; readonly parts?: readonly [number, number][] }
  readonly losses: readonly number[]
  readonly grad_norm: readonly number[]
}
const { betas, weight_decay, learning_rates, cases } = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'golden/optimizers.json'), 'utf8'),
) as { betas: [number, number]; weight_decay: number; learning_rates: number[]; cases: Record<string, Case> }
const CLASSES = bertlet as unknown as Readonly<Record<string, bertlet.ModelClass & typeof bertlet.BertModel>>

/** Rows first..last-1 of the batch. */
function rows({ tensors }: Golden, first: number, last: number): TrainingInputs {
  const inputs = [...tensors].filter(([name]) => !name.startsWith('grad.'))
  const cut = inputs.map(([name, { data, dims }]) => {
    const width = data.length / dims[0]!
    return [name, { data: data.subarray(first * width, last * width), dims: [last - first, ...dims.slice(1)] }]
  })
  return Object.fromEntries(cut) as TrainingInputs
}

async function train({ folder, options }: Case, threads: number): Promise<{ losses: number[]; norms: number[] }> {
  const golden = await readGolden(`training-heads/${folder}`)
  const { frozen, parts = [[0, golden.tensors.get('input_ids')!.dims[0]!]], ...own } = options
  const model = await CLASSES[folder.split('-')[0]!]!.fromPretrained(golden.folder, { threads })
  try {
    const trainable = frozen === undefined ? {} : { trainable: (name: string) => !new RegExp(frozen).test(name) }
    const training = new HeadTraining(model, { betas, weight_decay, dropout: false, ...own, ...trainable })
    const inputs = parts.map(([first, last]) => rows(golden, first, last))
    const [losses, norms]: number[][] = [[], []]
    for (const rate of learning_rates) {
      const { loss, grad_norm } = await training.step(inputs, rate)
      losses!.push(loss)
      norms!.push(grad_norm)
    }
    await training.dispose()
    return { losses: losses!, norms: norms! }
  } finally {
    await model.dispose()
  }
}

const far = (got: readonly number[], wanted: readonly number[]): number =>
  Math.max(...wanted.map((value, i) => Math.abs(got[i]! - value) / value))

describe('ten steps have the losses and norms of PyTorch', () => {
  it.each(Object.entries(cases))('%s', async (_, golden) => {
    const { losses, norms } = await train(golden, 1)
    expect(golden.losses).toHaveLength(10)
    expect(far(losses, golden.losses)).toBeLessThanOrEqual(1e-5)
    expect(far(norms, golden.grad_norm)).toBeLessThanOrEqual(1e-5)
    expect(await train(golden, 2)).toEqual({ losses, norms })
  })
})
