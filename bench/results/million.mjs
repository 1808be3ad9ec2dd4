// npm run measure:million [-- --models minilm,bert-base-uncased --steps 3 --threads N] : how long a million tokens of fine-tuning take on this machine:
// steps of 32 rows of 128 tokens, as GLUE's recipes have them at the most, from fresh weights of a model's sizes. The first step is not counted. With
// --threads 1 the processor's time stands beside the clock's: it says the same on a machine that does other work too.
import { parseArgs } from 'node:util'
import { BertConfig, BertForSequenceClassification } from '../../dist/index.node.js'
import { HeadTraining } from '../../dist/training.js'
import { CHECKPOINT } from './tokens.mjs'

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: 'minilm,bert-base-uncased' },
    steps: { type: 'string', default: '3' },
    rows: { type: 'string', default: '32' },
    length: { type: 'string', default: '128' },
    threads: { type: 'string' },
  },
})
const [rows, length, steps] = [values.rows, values.length, values.steps].map(Number)
const run = values.threads === undefined ? {} : { threads: Number(values.threads) }
const ids = Array.from({ length: rows }, (_, r) => Array.from({ length }, (__, c) => 1000 + ((31 * r + 7 * c) % 20000)))
const batch = { input_ids: ids, labels: ids.map((_, i) => i % 2) }

for (const name of values.models.split(',')) {
  const model =
    name === 'minilm'
      ? await BertForSequenceClassification.fromPretrained(CHECKPOINT, { ...run, initialize_missing: true })
      : new BertForSequenceClassification(BertConfig.preset(name), run)
  const { total } = HeadTraining.estimate(model, {}, { batch_size: rows, sequence_length: length })
  const training = new HeadTraining(model)
  await training.step(batch, 1e-5)
  const times = []
  const before = process.cpuUsage()
  for (let i = 0; i < steps; i++) {
    const start = performance.now()
    await training.step(batch, 1e-5)
    times.push((performance.now() - start) / 1000)
  }
  const { user, system } = process.cpuUsage(before)
  const cpu = (rows * length * steps) / ((user + system) / 1e6)
  const median = times.sort((a, b) => a - b)[times.length >> 1]
  const rate = (rows * length) / median
  const { build, threads } = model.info()
  process.stdout.write(
    `${name.padEnd(18)} ${build.name}, ${threads.count} threads: ${median.toFixed(2)} s a step (${times[0].toFixed(2)} to ${times.at(-1).toFixed(2)}), ${Math.round(rate)} tokens/s, ${(1e6 / rate / 60).toFixed(1)} minutes a million${threads.count === 1 ? ` (${(1e6 / cpu / 60).toFixed(1)} of the processor)` : ''}, ${(total / 2 ** 20).toFixed(0)} MiB\n`,
  )
  await training.dispose()
  await model.dispose()
}
