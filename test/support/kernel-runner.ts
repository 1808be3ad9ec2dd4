// Runs one record of the op cases on a build of the kernels, with a guard of NaN right behind every operand.
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { Plan, Slot, Status, Sync } from '../../assembly/abi.ts'
import type { OpCase } from './op-cases.ts'

const GUARD = 0x7fc0beef // a NaN: reading past an operand shows in the result, writing past it shows in the guard
const GUARD_WORDS = 16
const SCRATCH = 2 << 20
const MAX_RANKS = 4

export interface Outcome {
  /** Contents of every operand after the run. */
  readonly operands: (Float32Array | Int32Array | null)[]
  /** What went wrong; empty when all is well. */
  readonly errors: string[]
}

export class KernelRunner {
  private readonly memory = new WebAssembly.Memory({ initial: 1024, maximum: 65536, shared: true })
  private readonly workers: Worker[] = []

  private constructor(
    private readonly module: WebAssembly.Module,
    private readonly exports: {
      run(plan: number, first: number, last: number, sync: number, rank: number, ranks: number): number
      runUnits(plan: number, record: number, from: number, to: number): number
      BASE: WebAssembly.Global
    },
  ) {}

  static async create(file: string): Promise<KernelRunner> {
    const module = await WebAssembly.compile(readFileSync(file))
    const runner = new KernelRunner(module, undefined as never)
    const instance = await WebAssembly.instantiate(module, { env: { memory: runner.memory, abort: failed } })
    Object.assign(runner, { exports: instance.exports })
    return runner
  }

  /** Runs the case on 1..4 ranks, with more than one on real threads; or on one in pieces of so many units. */
  async run(test: OpCase, ranks = 1, units?: number): Promise<Outcome> {
    const words = new Int32Array(this.memory.buffer)
    const values = new Float32Array(this.memory.buffer)
    const sync = Math.ceil(Number(this.exports.BASE.value) / 64) * 64
    const plan = sync + Sync.Words * 4
    const scratch = plan + 4 * (Plan.Slots + Plan.Words) + 64
    let at = (scratch + MAX_RANKS * SCRATCH) / 4
    words.fill(0, sync / 4, (scratch + 64) / 4)
    const record = plan / 4 + Plan.Slots
    words[plan / 4 + Slot.Scratch] = scratch
    words[plan / 4 + Slot.ScratchStride] = SCRATCH
    words[record + Plan.Op] = test.op
    words[record + Plan.Mode] = test.mode
    words.set(test.dims, record + Plan.Dims)
    values.set(test.floats, record + Plan.Floats)
    // Scratch holds NaN too: what a kernel reads of it, it must have written.
    words.fill(GUARD, scratch / 4, (scratch + ranks * SCRATCH) / 4)
    words.fill(GUARD, at, at + GUARD_WORDS)
    at += GUARD_WORDS
    const places = test.operands.map((operand, i) => {
      if (operand === null) return null
      const place = at
      if (operand.initial instanceof Int32Array) words.set(operand.initial, place)
      else values.set(operand.initial, place)
      at += operand.initial.length
      words.fill(GUARD, at, at + GUARD_WORDS)
      at += GUARD_WORDS
      words[record + Plan.Operands + 2 * i] = Slot.Absolute
      words[record + Plan.Operands + 2 * i + 1] = place * 4
      return place
    })

    const errors: string[] = []
    const alone = (): number => (units === undefined ? this.exports.run(plan, 0, 1, sync, 0, 1) : this.inPieces(plan, units))
    const statuses = ranks === 1 ? [alone()] : await this.together(plan, sync, ranks)
    if (statuses.some((status) => status !== Status.Done)) errors.push(`status ${statuses.join(', ')}`)
    const operands = test.operands.map((operand, i) => {
      const place = places[i]
      if (operand === null || place === null || place === undefined) return null
      const end = place + operand.initial.length
      for (let j = 0; j < GUARD_WORDS; j++) {
        if (words[end + j] !== GUARD) errors.push(`operand ${i}: written ${j + 1} words past its end`)
        if (words[place - 1 - j] !== GUARD) errors.push(`operand ${i}: written ${j + 1} words before its start`)
      }
      return operand.initial instanceof Int32Array ? words.slice(place, end) : values.slice(place, end)
    })
    errors.push(...compare(test, operands))
    return { operands, errors }
  }

  /** How many pieces the last run took. */
  pieces = 0

  private inPieces(plan: number, units: number): number {
    for (this.pieces = 1; ; this.pieces++) {
      const status = this.exports.runUnits(plan, 0, (this.pieces - 1) * units, this.pieces * units)
      if (status !== Status.Paused) return status
    }
  }

  close(): void {
    for (const worker of this.workers) void worker.terminate()
  }

  private together(plan: number, sync: number, ranks: number): Promise<number[]> {
    while (this.workers.length < ranks) {
      const code = `const { parentPort, workerData: { module, memory } } = require('node:worker_threads')
WebAssembly.instantiate(module, { env: { memory, abort() { throw new Error('abort') } } }).then(({ exports }) =>
  parentPort.on('message', (args) => parentPort.postMessage(exports.run(...args))))`
      this.workers.push(new Worker(code, { eval: true, workerData: { module: this.module, memory: this.memory } }))
    }
    return Promise.all(
      this.workers.slice(0, ranks).map(
        (worker, rank) =>
          new Promise<number>((resolve, reject) => {
            worker.removeAllListeners()
            worker.once('error', reject)
            worker.once('message', resolve)
            worker.postMessage([plan, 0, 1, sync, rank, ranks])
          }),
      ),
    )
  }
}

function failed(_message: number, _file: number, line: number, column: number): never {
  throw new Error(`an assertion of the kernels failed at line ${line}:${column}`)
}

function compare(test: OpCase, operands: Outcome['operands']): string[] {
  const errors: string[] = []
  test.operands.forEach((operand, i) => {
    if (operand === null) return
    const got = operands[i]!
    if (operand.expected === undefined) {
      const changed = got.findIndex((value, j) => !Object.is(value, operand.initial[j]))
      if (changed >= 0) errors.push(`operand ${i} is only read, and changed at ${changed}`)
      return
    }
    const { values, tolerance } = operand.expected
    for (let j = 0; j < values.length; j++) {
      const bound = typeof tolerance === 'number' ? tolerance : tolerance[j]!
      if (Math.abs(got[j]! - values[j]!) <= bound) continue
      errors.push(`operand ${i}[${j}]: expected ${values[j]} within ${bound}, got ${got[j]}`)
      break
    }
  })
  return errors
}
