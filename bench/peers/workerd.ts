// npm run bench:workerd [-- --rounds 5] : bertlet beside onnxruntime-web in isolates of workerd, all-MiniLM-L6-v2 in 8 bits, 1x128: the first request of a fresh isolate,
// which loads the model, and later ones. Both take turns; their outputs are compared before a time is believed.
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { install } from '../../test/support/install.ts'
import { ensureIsolates, withWorkerd, type Isolate } from '../../test/support/runtimes/isolates.ts'
import { prepare, QUANTIZED } from './models.mjs'

const here = import.meta.dirname
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const RUNS = 10

await ensureIsolates()
await install(here)
const folder = path.join(here, '.cache/minilm')
await prepare('minilm', folder, (text) => process.stderr.write(`${text}\n`))
const binary = await readFile(path.join(here, 'node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm'))

type Side = <T>(work: (isolate: Isolate) => Promise<T>) => Promise<T>
const bundled = { minify: true, define: { 'import.meta.url': '"http://isolate/"' } }
const ours: Side = (work) => withWorkerd('../../../bench/peers/workerd-bertlet.mjs', { MODEL: path.join(folder, QUANTIZED) }, work, bundled)
const peer: Side = (work) =>
  withWorkerd('../../../bench/peers/workerd-ort.mjs', { MODEL: folder }, work, bundled, { 'ort.wasm': new Uint8Array(binary) })

/** Milliseconds of a request of so many runs, and what it says. */
async function ask(isolate: Isolate, runs: number): Promise<{ ms: number; data: Float32Array }> {
  const start = performance.now()
  const response = await isolate.dispatchFetch(`http://isolate/?runs=${runs}`)
  const bytes = await response.arrayBuffer()
  const ms = performance.now() - start
  if (!response.ok) throw new Error(new TextDecoder().decode(bytes))
  return { ms, data: new Float32Array(bytes) }
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1]!
const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0)

const found = { first: [[], []] as [number[], number[]], later: [[], []] as [number[], number[]] }
for (let round = 0; round < Number(values.rounds); round++) {
  await ours((one) =>
    peer(async (other) => {
      // Neither waits for its isolate to be there.
      await Promise.all([one.ready, other.ready])
      const isolates = [one, other]
      const said: Float32Array[] = []
      for (const [i, isolate] of isolates.entries()) {
        const { ms, data } = await ask(isolate, 1)
        found.first[i]!.push(ms)
        said.push(data)
      }
      const cosine = dot(said[0]!, said[1]!) / Math.sqrt(dot(said[0]!, said[0]!) * dot(said[1]!, said[1]!))
      // int8 is another rounding in each.
      if (!(cosine >= 0.97)) throw new Error(`outputs differ: cosine ${cosine}`)
      for (const isolate of isolates) await ask(isolate, RUNS)
      for (const [i, isolate] of isolates.entries()) found.later[i]!.push((await ask(isolate, RUNS)).ms / RUNS)
    }),
  )
}
console.log(`${cpus()[0]!.model}\n| | bertlet ms | onnxruntime-web ms | ratio (each round) |\n|---|---|---|---|`)
for (const [name, [a, b]] of [
  ['first request, the model loaded', found.first],
  ['1x128', found.later],
] as const) {
  const ratios = a.map((ms, i) => ms / b[i]!)
  console.log(
    `| ${name} | ${median(a).toFixed(1)} | ${median(b).toFixed(1)} | ${median(ratios).toFixed(2)} (${ratios.map((x) => x.toFixed(2)).join(' ')}) |`,
  )
}
