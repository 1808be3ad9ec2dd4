// Where the time of a run goes, record by record: processor time of one thread, summed by op. Each record is a job of its own while this watches.
import { GemmMode, GradMode, Op, Plan } from '../../assembly/abi.ts'
import { Pool, type Job } from '../../src/engine/pool.ts'
import { RECORDS } from '../../src/graph/records.ts'

interface Entry {
  /** Processor milliseconds, each time. */
  readonly times: number[]
  /** Multiply-adds times two. */
  readonly operations: number
}

interface Row {
  readonly name: string
  readonly count: number
  readonly ms: number
  /** Billions of operations. */
  readonly work: number
}

export class Profile {
  measuring = false
  private readonly entries = new Map<string, Entry>()

  /** Watches every run of the process from now on. */
  constructor() {
    const { entries } = this
    const isMeasuring = (): boolean => this.measuring
    const whole = Pool.prototype.run
    Pool.prototype.run = async function (job: Job): Promise<void> {
      const words = job.store.view(Int32Array, job.plan, Plan.Slots + job.last * Plan.Words)
      for (let record = job.first; record < job.last; record++) {
        const start = process.cpuUsage()
        await whole.call(this, { ...job, first: record, last: record + 1 })
        const { user, system } = process.cpuUsage(start)
        if (!isMeasuring()) continue
        const { name, operations } = said(words, Plan.Slots + record * Plan.Words)
        const key = `${job.plan}.${String(record).padStart(3, '0')} ${name}`
        let entry = entries.get(key)
        if (entry === undefined) entries.set(key, (entry = { times: [], operations }))
        entry.times.push((user + system) / 1000)
      }
    }
  }

  /** Prints a line for each op, or for each record, of `runs` runs that were alike; then what the products reached. */
  print(what: string, runs: number, byRecord: boolean): void {
    /** A quiet moment's worth of each record: the median of its times. */
    const records = [...this.entries].map(([name, { times, operations }]) => ({
      name,
      count: 1,
      ms: [...times].sort((a, b) => a - b)[times.length >> 1]! * (times.length / runs),
      work: operations / 1e9,
    }))
    const table = byRecord ? records : summed(records).sort((a, b) => b.ms - a.ms)
    const total = table.reduce((ms, one) => ms + one.ms, 0)
    for (const { name, count, ms, work } of table)
      console.log(
        `${ms.toFixed(2).padStart(9)} ms ${((100 * ms) / total).toFixed(1).padStart(5)} %  ${String(count).padStart(4)} x ${name.padEnd(44)}` +
          (work > 0 ? `${((1000 * work) / ms).toFixed(1).padStart(6)} GOP/s` : ''),
      )
    const products = table.filter(({ work }) => work > 0)
    const [spent, work] = [products.reduce((s, { ms }) => s + ms, 0), products.reduce((s, { work }) => s + work, 0)]
    console.log(
      `${what}: ${total.toFixed(1)} ms of one thread, of it ${((100 * spent) / total).toFixed(1)} % GEMM at ${((1000 * work) / spent).toFixed(1)} GOP/s`,
    )
  }
}

const PRODUCTS: readonly Op[] = [Op.Gemm, Op.GemmInt8, Op.GemmInt4]

function said(words: Int32Array, at: number): { name: string; operations: number } {
  const op = words[at + Plan.Op]! as Op
  const mode = words[at + Plan.Mode]!
  const dims = Array.from(words.subarray(at + Plan.Dims, at + Plan.Dims + Plan.MaxDims), (dim) => (dim >= 0 ? dim : words[~dim]!))
  const name = RECORDS[op]!.name
  if (!PRODUCTS.includes(op)) return { name, operations: 0 }
  const [m, n, k] = dims as [number, number, number]
  const shape = `${name} ${m}x${n}x${k}`
  const operations = 2 * m * n * k
  if (op !== Op.Gemm) return { name: shape, operations }
  const b = ['panel', 'rows', 'columns', 'panel^T', 'int8^T'][(mode & GemmMode.BMask) >> 6]!
  const source = `${(mode & GemmMode.AColumns) !== 0 ? 'A^T' : 'A'} ${b}${(mode & GradMode.Accumulate) !== 0 ? ' +=' : ''}`
  return { name: `${shape} ${source}`, operations }
}

function summed(all: readonly Row[]): Row[] {
  const sums = new Map<string, Row>()
  for (const { name, count, ms, work } of all) {
    const op = name.slice(name.indexOf(' ') + 1)
    const before = sums.get(op) ?? { name: op, count: 0, ms: 0, work: 0 }
    sums.set(op, { name: op, count: before.count + count, ms: before.ms + ms, work: before.work + work })
  }
  return [...sums.values()]
}
