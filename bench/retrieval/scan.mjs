// npm run bench:retrieval -- [--rows 100000] [--width 384] [--rounds 15]: exact search by the index beside a loop that only reads as many bytes, on as
// many threads, in turn. What is told is the share of that loop's speed.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import '../../dist/index.node.js'
import { EmbeddingIndex } from '../../dist/retrieval.js'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    width: { type: 'string', default: '384' },
    rounds: { type: 'string', default: '15' },
  },
})
const [rows, width, rounds] = [values.rows, values.width, values.rounds].map(Number)
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1]

/** Workers that each read their part of one shared memory. */
async function reader(threads, bytes) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bertlet-read-'))
  const root = path.join(import.meta.dirname, '../..')
  const options =
    '--config none -O3 --noAssert --runtime stub --enable simd,threads --importMemory --sharedMemory --maximumMemory 65536 -o'.split(' ')
  const asc = path.join(root, 'node_modules/assemblyscript/bin/asc.js')
  execFileSync(process.execPath, [asc, 'bench/retrieval/read.ts', ...options, path.join(folder, 'read.wasm')], { cwd: root })
  const code = readFileSync(path.join(folder, 'read.wasm'))
  rmSync(folder, { recursive: true })
  const pages = Math.ceil(bytes / 65536) + 2
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true })
  new Uint8Array(memory.buffer).fill(1)
  const text = `const { parentPort, workerData } = require('node:worker_threads')
const { read } = new WebAssembly.Instance(new WebAssembly.Module(workerData.code), { env: { memory: workerData.memory, abort() {} } }).exports
for (let i = 0; i < 300; i++) read(65536, 131072)
parentPort.on('message', ([from, to]) => parentPort.postMessage(read(from, to)))
parentPort.postMessage(0)`
  const workers = Array.from({ length: threads }, () => new Worker(text, { eval: true, workerData: { code, memory } }))
  const answer = (worker) => new Promise((resolve) => worker.once('message', resolve))
  await Promise.all(workers.map(answer))
  const part = Math.floor(bytes / threads / 64) * 64
  return {
    read: () =>
      Promise.all(
        workers.map((worker, i) => {
          const done = answer(worker)
          worker.postMessage([65536 + i * part, 65536 + (i + 1) * part])
          return done
        }),
      ),
    end: () => Promise.all(workers.map((worker) => worker.terminate())),
  }
}

async function timed(work) {
  const start = performance.now()
  await work()
  return performance.now() - start
}

let state = 1
const number = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1
const vectors = Float32Array.from({ length: rows * width }, number)
const query = Float32Array.from({ length: width }, number)
const ids = Array.from({ length: rows }, (_, i) => i)
console.log(`${rows} x ${width}, ${cpus()[0].model.trim()}, Node ${process.version}, median of ${rounds}\n`)
console.log('| precision | threads | search ms | MB | GB/s | reading alone GB/s | share |\n|---|---|---|---|---|---|---|')
for (const threads of [1, 2])
  for (const precision of ['float32', 'int8', 'binary']) {
    const index = new EmbeddingIndex({ precision, threads })
    await index.add(ids, { data: vectors, dims: [rows, width] })
    const bytes = rows * { float32: 4 * width, int8: width + 8, binary: Math.ceil(width / 32) * 4 }[precision]
    const reading = await reader(threads, bytes)
    const [searches, reads] = [[], []]
    for (let i = 0; i < rounds + 5; i++) {
      const [a, b] = [await timed(() => index.search(query)), await timed(reading.read)]
      // The first few are code that is not yet good.
      if (i >= 5) (searches.push(a), reads.push(b))
    }
    const speed = (list) => bytes / median(list) / 1e6
    const cells = [median(searches).toFixed(2), (bytes / 1e6).toFixed(1), speed(searches).toFixed(1), speed(reads).toFixed(1)]
    console.log(`| ${[precision, threads, ...cells, (median(reads) / median(searches)).toFixed(2)].join(' | ')} |`)
    await reading.end()
    await index.dispose()
  }
