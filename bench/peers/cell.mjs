// One side of one row, in a process of its own. usage: node cell.mjs JSON, as run.mjs writes it; prints JSON.
import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'

const WARM_MS = 1500 // V8 compiles wasm anew while it runs; before that, times say nothing
const MIN_RUNS = 5
const MAX_RUNS = 60
const BUDGET_MS = 1000

const cell = JSON.parse(process.argv[2])
const print = (result) => process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0))
const { load } = await import(`./${cell.side}.mjs`)
const { cold, sentences } = { cold: measureCold, sentences: measureSentences }
print(await (cell.cold ? cold() : cell.sentences ? sentences() : measure()))

/** Rows of seeded ids between [CLS] and [SEP], no padding. */
function ids(batch, length) {
  let state = 7
  const id = () => 1000 + (((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % 29000)
  return Array.from({ length: batch }, () => [101, ...Array.from({ length: length - 2 }, id), 102])
}

/** Milliseconds of CPU that the whole machine spent. */
function busy() {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0)
}

/** Runs `work`, tells how many cores others used meanwhile. */
async function watched(work) {
  const [busyBefore, ownBefore, start] = [busy(), process.cpuUsage(), performance.now()]
  const result = await work()
  const own = process.cpuUsage(ownBefore)
  return { ...result, others: (busy() - busyBefore - (own.user + own.system) / 1000) / (performance.now() - start) }
}

async function measure() {
  const run = await load(cell)
  const rows = ids(cell.batch, cell.length)
  const output = await run(rows)
  await writeFile(cell.output, new Uint8Array(output.buffer, output.byteOffset, output.byteLength))
  for (const start = performance.now(); performance.now() - start < WARM_MS;) await run(rows)
  return await watched(async () => {
    const times = []
    const start = performance.now()
    while (times.length < MIN_RUNS || (times.length < MAX_RUNS && performance.now() - start < BUDGET_MS)) {
      const before = performance.now()
      await run(rows)
      times.push(performance.now() - before)
    }
    times.sort((a, b) => a - b)
    const quantile = (q) => times[Math.floor(q * (times.length - 1))]
    return { runs: times.length, p25: quantile(0.25), median: quantile(0.5), p75: quantile(0.75) }
  })
}

/** The parent holds the watch: from spawning to this line of output. */
async function measureCold() {
  const run = await load(cell)
  await run(ids(1, cell.length))
  return { megabytes: (await peakMemory()) / 1024 }
}

/** Kilobytes. Not maxRSS where there is another: on Linux a child's begins with its parent's, which may just have written a model. */
async function peakMemory() {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  return Number(/^VmHWM:\s*(\d+) kB/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS)
}

/** Every sentence once, after a first batch of each length that warms the engine up. */
async function measureSentences() {
  const run = await load(cell)
  const batches = JSON.parse(await readFile(cell.sentences, 'utf8'))
  const inputs = batches.map((batch) => {
    const longest = Math.max(...batch.map((row) => row.length))
    const pad = (row, with_) => row.concat(new Array(longest - row.length).fill(with_))
    return [
      batch.map((row) => pad(row, 0)),
      batch.map((row) =>
        pad(
          row.map(() => 1),
          0,
        ),
      ),
    ]
  })
  for (const start = performance.now(); performance.now() - start < WARM_MS;) await run(...inputs[Math.floor(inputs.length / 2)])
  return await watched(async () => {
    const start = performance.now()
    const last = []
    for (const input of inputs) last.push((await run(...input))[0])
    await writeFile(cell.output, new Uint8Array(Float32Array.from(last).buffer))
    return { runs: 1, median: performance.now() - start }
  })
}
