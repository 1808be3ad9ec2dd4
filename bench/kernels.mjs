// npm run bench -- kernels [--threads 2] [--dtype int8]: GFLOP/s of the GEMM at the shapes of MiniLM and BERT-base, beside this machine's own
// in-register peak, in turn in one run. Results are checked first.
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { peak } from './peak/peak.mjs'

// Words of assembly/abi.ts; the test of the bench is that its products are right.
const PLAN = { slots: 32, words: 36, dims: 2, operands: 8, floats: 32 }
/** What a dtype's product is: its op, and the words of A [M][K] and of B [N][K], whose sizes are multiples of 8. */
const PRODUCTS = {
  f32: { op: 1, a: (m, k) => m * k, b: (n, k) => n * k },
  // Rows of a step, a least value and 7-bit numbers; panels of 8 scales, 8 sums and 8-bit numbers.
  int8: { op: 19, a: (m, k) => m * (2 + k / 4), b: (n, k) => (n / 8) * (16 + 2 * k) },
}
/** Operations of one timing, about 10 ms, as the peak takes: what interrupts a longer one more often would make the peak unfair. */
const SLICE = 4e8
/** Of several threads, which begin up to 0.1 ms apart, as their messages come: that is no part of a product's time. */
const THREADED_SLICE = 1e9

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

/** Elements of a product of 37 x 24 that are checked. */
const SOME = [
  [0, 0],
  [36, 23],
  [17, 9],
]

export async function kernels({ threads = 1, build = 'simd', dtype = 'f32', rounds = 25 } = {}) {
  const product = PRODUCTS[dtype]
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
    const b = a + product.a(m, k) * 4
    const c = b + product.b(n, k) * 4
    const record = plan / 4 + PLAN.slots
    words.fill(0, record, record + PLAN.words)
    words[record] = product.op
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

  const slice = threads > 1 ? THREADED_SLICE : SLICE
  const top = await peak({ relaxed: build !== 'simd' })
  if (dtype === 'int8') fillBytes(new Uint8Array(memory.buffer, scratch + (4 << 20)))
  else for (let i = scratch / 4 + (1 << 20); i < words.length; i++) floats[i] = ((i * 2654435761) % 1000) / 500 - 1
  await (dtype === 'int8' ? checkInt8(run, memory.buffer) : check(run, floats))
  const results = []
  for (const [model, k, n] of SHAPES) {
    const cells = { 128: [], 1024: [], peak: [], single: [] }
    for (let i = 0; i < 3; i++) await run(128, k, n, threads, 20)
    for (let round = 0; round < rounds; round++) {
      for (const m of [128, 1024]) {
        const times = Math.max(1, Math.round(slice / (2 * m * k * n)))
        const { ms } = await run(m, k, n, threads, times)
        cells[m].push((2 * m * k * n) / ms / 1e6)
      }
      if (threads > 1)
        cells.single.push((2 * 128 * k * n) / (await run(128, k, n, 1, Math.max(1, Math.round(slice / (256 * k * n))))).ms / 1e6)
      cells.peak.push(dtype === 'int8' ? top.measureDots() : top.measure())
    }
    const row = {
      model,
      k,
      n,
      rows128: median(cells[128]),
      rows1024: median(cells[1024]),
      peak: median(cells.peak),
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
  for (const [i, j] of SOME) {
    let sum = 0
    for (let l = 0; l < k; l++) sum += floats[a / 4 + i * k + l] * floats[b / 4 + ((j >> 3) * k + l) * 8 + (j & 7)]
    const got = floats[c / 4 + i * n + j]
    if (Math.abs(got - sum) > 1e-4) throw new Error(`the product is wrong: element ${i},${j} is ${got}, not ${sum}`)
  }
}

/** Small numbers everywhere: as bytes 1..7, as f32 (of a step or a scale) about 1e-36, with no NaN among them. */
function fillBytes(bytes) {
  for (let i = 0; i < bytes.length; i++) bytes[i] = 1 + ((i * 40503) % 7)
}

/** A product of integers with steps and scales of 1 is exact. */
async function checkInt8(run, buffer) {
  const [m, k, n] = [37, 96, 24]
  const { a, b, c } = await run(m, k, n, 1, 1)
  const floats = new Float32Array(buffer)
  const bytes = new Uint8Array(buffer)
  for (let i = 0; i < m; i++) floats.set([1, 0], (a + i * (8 + k)) / 4)
  for (let p = 0; p < n / 8; p++) floats.fill(1, (b + p * (64 + 8 * k)) / 4, (b + p * (64 + 8 * k)) / 4 + 16)
  await run(m, k, n, 1, 1)
  for (const [i, j] of SOME) {
    let sum = 0
    const panel = b + (j >> 3) * (64 + 8 * k) + 64
    for (let l = 0; l < k; l++) sum += bytes[a + i * (8 + k) + 8 + l] * bytes[panel + (l >> 2) * 32 + (j & 7) * 4 + (l & 3)]
    const got = floats[c / 4 + i * n + j]
    if (got !== sum) throw new Error(`the product is wrong: element ${i},${j} is ${got}, not ${sum}`)
  }
}

function median(values) {
  const sorted = [...values].sort((x, y) => x - y)
  return sorted[Math.floor(sorted.length / 2)]
}

export async function printKernels(options) {
  const { threads = 1, build = 'simd', dtype = 'f32' } = options
  console.log(
    `${dtype} GEMM, build ${build}, ${threads} thread${threads > 1 ? 's' : ''}, ${dtype === 'f32' ? 'GFLOP/s' : 'GOP/s'} (medians)   ${cpus()[0].model.trim()}, node ${process.versions.node}`,
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
}
