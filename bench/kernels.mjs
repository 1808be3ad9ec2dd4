// npm run bench -- kernels [--threads 2]: GFLOP/s of the f32 GEMM at the shapes of MiniLM and BERT-base, beside this machine's own in-register
// peak, in turn in one run. Results are checked first.
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { peak } from './peak/peak.mjs'

// Words of assembly/abi.ts; the test of the bench is that its products are right.
const PLAN = { slots: 32, words: 36, dims: 2, operands: 8, floats: 32 }
const GEMM = 1
/** Operations of one timing, about 10 ms, as the peak takes: what interrupts a longer one more often would make the peak unfair. */
const SLICE = 4e8

if (!isMainThread) {
  const { module, memory } = workerData
  const { exports } = await WebAssembly.instantiate(module, { env: { memory, abort() {} } })
  parentPort.on('message', ({ args, times }) => {
    const start = performance.now()
    for (let i = 0; i < times; i++) exports.run(...args)
    parentPort.postMessage(performance.now() - start)
  })
  parentPort.postMessage('ready')
}

const SHAPES = [
  ['MiniLM', 384, 384],
  ['MiniLM', 384, 1536],
  ['MiniLM', 1536, 384],
  ['BERT-base', 768, 768],
  ['BERT-base', 768, 3072],
  ['BERT-base', 3072, 768],
]

export async function kernels({ threads = 1, build = 'simd', rounds = 25 } = {}) {
  const module = await WebAssembly.compile(readFileSync(path.join(import.meta.dirname, `../build/${build}.wasm`)))
  const memory = new WebAssembly.Memory({ initial: 1600, maximum: 65536, shared: true })
  const { exports } = await WebAssembly.instantiate(module, { env: { memory, abort() {} } })
  const workers = await Promise.all(
    Array.from({ length: threads }, async () => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { module, memory } })
      await new Promise((resolve) => worker.once('message', resolve))
      return worker
    }),
  )
  const base = Math.ceil(Number(exports.BASE.value) / 64) * 64
  const sync = base
  const plan = base + 1024
  const scratch = base + 4096
  const words = new Int32Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  words[plan / 4 + 3] = scratch
  words[plan / 4 + 4] = 1 << 20

  /** Milliseconds of one product on `count` workers. */
  async function run(m, k, n, count, times) {
    const a = scratch + (4 << 20)
    const b = a + m * k * 4
    const c = b + k * n * 4
    const record = plan / 4 + PLAN.slots
    words.fill(0, record, record + PLAN.words)
    words[record] = GEMM
    words.set([m, n, k, n], record + PLAN.dims)
    words.set([1, a, 1, b, 0, 0, 1, c], record + PLAN.operands)
    floats[record + PLAN.floats] = 1
    const elapsed = await Promise.all(
      workers.slice(0, count).map((worker, rank) => {
        worker.postMessage({ args: [plan, 0, 1, sync, rank, count], times })
        return new Promise((resolve) => worker.once('message', resolve))
      }),
    )
    return { ms: Math.max(...elapsed) / times, a, b, c }
  }

  const top = await peak({ relaxed: build === 'fast' })
  for (let i = scratch / 4 + (1 << 20); i < words.length; i++) floats[i] = ((i * 2654435761) % 1000) / 500 - 1
  await check(run, floats)
  const results = []
  for (const [model, k, n] of SHAPES) {
    const cells = { 128: [], 1024: [], peak: [], dots: [], single: [] }
    for (let i = 0; i < 3; i++) await run(128, k, n, threads, 20)
    for (let round = 0; round < rounds; round++) {
      for (const m of [128, 1024]) {
        const times = Math.max(1, Math.round(SLICE / (2 * m * k * n)))
        const { ms } = await run(m, k, n, threads, times)
        cells[m].push((2 * m * k * n) / ms / 1e6)
      }
      if (threads > 1)
        cells.single.push((2 * 128 * k * n) / (await run(128, k, n, 1, Math.max(1, Math.round(SLICE / (256 * k * n))))).ms / 1e6)
      cells.peak.push(top.measure())
      cells.dots.push(top.measureDots())
    }
    const row = {
      model,
      k,
      n,
      rows128: median(cells[128]),
      rows1024: median(cells[1024]),
      peak: median(cells.peak),
      dots: median(cells.dots),
    }
    if (threads > 1) row.scaling = median(cells[128].map((x, i) => x / cells.single[i]))
    else {
      const shares = cells[128].map((x, i) => x / cells.peak[i]).sort((x, y) => x - y)
      row.ofPeak = median(shares)
      // What the machine gives when nobody else is on the core: others slow loads down, and the peak has none.
      row.quiet = shares[Math.floor(0.9 * (shares.length - 1))]
    }
    row.large = median(cells[1024].map((x, i) => x / cells[128][i]))
    results.push(row)
  }
  for (const worker of workers) await worker.terminate()
  return results
}

/** A few elements of a product against float64. */
async function check(run, floats) {
  const [m, k, n] = [37, 96, 24]
  const { a, b, c } = await run(m, k, n, 1, 1)
  for (const [i, j] of [
    [0, 0],
    [36, 23],
    [17, 9],
  ]) {
    let sum = 0
    for (let l = 0; l < k; l++) sum += floats[a / 4 + i * k + l] * floats[b / 4 + ((j >> 3) * k + l) * 8 + (j & 7)]
    const got = floats[c / 4 + i * n + j]
    if (Math.abs(got - sum) > 1e-4) throw new Error(`the product is wrong: element ${i},${j} is ${got}, not ${sum}`)
  }
}

function median(values) {
  const sorted = [...values].sort((x, y) => x - y)
  return sorted[Math.floor(sorted.length / 2)]
}

export async function printKernels(options) {
  const { threads = 1, build = 'simd' } = options
  console.log(
    `f32 GEMM, build ${build}, ${threads} thread${threads > 1 ? 's' : ''}, GFLOP/s (medians)   ${cpus()[0].model.trim()}, node ${process.versions.node}`,
  )
  console.log(`model      K    N     128 rows  1024 rows  ${threads > 1 ? 'threads/1' : 'peak   128/peak (p90)'}  1024/128`)
  const rows = await kernels(options)
  for (const row of rows) {
    const right =
      threads > 1
        ? row.scaling.toFixed(2).padStart(9)
        : `${row.peak.toFixed(1).padStart(4)}   ${row.ofPeak.toFixed(3)} (${row.quiet.toFixed(3)})  `
    console.log(
      `${row.model.padEnd(10)} ${String(row.k).padEnd(4)} ${String(row.n).padEnd(5)} ${row.rows128.toFixed(1).padStart(8)}  ${row.rows1024.toFixed(1).padStart(9)}  ${right}  ${row.large.toFixed(3)}`,
    )
  }
  if (threads === 1)
    console.log(
      `peak of integer dot products: ${median(rows.map(({ dots }) => dots)).toFixed(0)} GOP/s (${build === 'fast' ? 'relaxed, of bytes' : 'of 16-bit numbers'})`,
    )
}
