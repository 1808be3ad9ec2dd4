// One cell of the comparison, in a process of its own: a runtime, a batch and a length. The sides differ only in `load`.
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'

const WARM_MS = 2500 // V8 compiles wasm anew while it runs; before that, times say nothing
const MIN_RUNS = 10
const MAX_RUNS = 60
const BUDGET_MS = 2000

/** Rows of seeded ids between [CLS] and [SEP], no padding. */
function rows(batch, length) {
  let state = 7
  const id = () => 1000 + (((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % 29000)
  return Array.from({ length: batch }, () => [101, ...Array.from({ length: length - 2 }, id), 102])
}

/** Milliseconds of CPU that the whole machine spent. */
const busy = () => cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0)

/**
 * `load(folder, rows)` gives a function that runs the model once and resolves to last_hidden_state as a Float32Array. Writes that to a file
 * and prints the timings as JSON.
 */
export async function measure(load) {
  const [folder, batch, length, outputFile] = process.argv.slice(2)
  const loading = performance.now()
  const run = await load(folder, rows(Number(batch), Number(length)))
  const loaded = performance.now()
  const output = await run()
  const first = performance.now() - loaded
  await writeFile(outputFile, new Uint8Array(output.buffer, output.byteOffset, output.byteLength))

  for (const start = performance.now(); performance.now() - start < WARM_MS;) await run()
  const times = []
  const [busyBefore, ownBefore, start] = [busy(), process.cpuUsage(), performance.now()]
  while (times.length < MIN_RUNS || (times.length < MAX_RUNS && performance.now() - start < BUDGET_MS)) {
    const before = performance.now()
    await run()
    times.push(performance.now() - before)
  }
  const own = process.cpuUsage(ownBefore)
  const elapsed = performance.now() - start
  const others = (busy() - busyBefore - (own.user + own.system) / 1000) / elapsed // cores
  times.sort((a, b) => a - b)
  const quantile = (q) => times[Math.floor(q * (times.length - 1))]
  const result = {
    load: loaded - loading,
    first,
    runs: times.length,
    min: times[0],
    p25: quantile(0.25),
    median: quantile(0.5),
    p75: quantile(0.75),
    others,
  }
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0))
}
