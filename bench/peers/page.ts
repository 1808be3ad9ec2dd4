// npm run bench:page [-- --rounds 5] : bertlet beside onnxruntime-web in one isolated page of Chromium, one thread and two, all-MiniLM-L6-v2. Both take turns within
// the session; their outputs are compared before a time is believed.
import { cpus } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { install } from '../../test/support/install.ts'
import { missingBrowser } from '../../test/support/runtimes/browsers.ts'
import { FOLDER } from '../../test/support/runtimes/installed.ts'
import { ISOLATED, serve, withPage } from '../../test/support/runtimes/site.ts'
import { prepare } from './models.mjs'

const here = import.meta.dirname
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })

interface Cell {
  readonly dtype: 'f32' | 'int8'
  readonly threads: number
  readonly batch: number
  readonly length: number
}

/** Medians of both sides' rounds in ms, and how far their outputs are apart. */
interface Sides {
  readonly ours: number
  readonly peer: number
  readonly ratios: readonly number[]
  readonly difference: number
  readonly cosine: number
  readonly build: string
  readonly browser: string
}

const missing = missingBrowser('chromium')
if (missing !== undefined) throw new Error(missing)
await install(FOLDER)
await install(here)
await prepare('minilm', path.join(here, '.cache/minilm'), (text) => process.stderr.write(`${text}\n`))

/** In the page. */
const script = (cell: Cell): string => `(async ({ dtype, threads, batch, length }, rounds) => {
  const files = '/bench/peers/.cache/minilm'
  const ort = await import('/bench/peers/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs')
  const { runner } = await import('/bench/peers/ort.mjs')
  const { BertModel } = await import('/dist/index.web.js')
  Object.assign(ort.env.wasm, { numThreads: threads, wasmPaths: '/bench/peers/node_modules/onnxruntime-web/dist/' })
  const options = { executionProviders: ['wasm'], graphOptimizationLevel: 'all' }
  const session = await ort.InferenceSession.create(files + (dtype === 'int8' ? '/model_int8.onnx' : '/model.onnx'), options)
  const model = await BertModel.fromPretrained(new URL(files, location.href), { threads, dtype })
  const rows = Array.from({ length: batch }, (_, i) => [101, ...Array.from({ length: length - 2 }, (_, j) => 1000 + ((7919 * (i + 1) * (j + 1)) % 29000)), 102])
  const attention_mask = rows.map((row) => row.map(() => 1))
  const sides = {
    ours: async () => (await model({ input_ids: rows, attention_mask })).last_hidden_state.data,
    peer: runner(ort, session).bind(undefined, rows),
  }
  const [a, b] = [await sides.ours(), await sides.peer()]
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  const found = { ours: [], peer: [] }
  for (const warm of [true, false]) {
    for (let round = 0; round < (warm ? 1 : rounds); round++) {
      for (const [name, run] of Object.entries(sides)) {
        // Who has just run may still spin.
        await new Promise((resolve) => setTimeout(resolve, 200))
        await run()
        const times = []
        for (const start = performance.now(); times.length < 5 || performance.now() - start < (warm ? 2500 : 700);) {
          const before = performance.now()
          await run()
          times.push(performance.now() - before)
        }
        if (!warm) found[name].push(times.sort((x, y) => x - y)[times.length >> 1])
      }
    }
  }
  const median = (list) => [...list].sort((x, y) => x - y)[list.length >> 1]
  const { runtime, build } = model.info()
  return {
    ours: median(found.ours),
    peer: median(found.peer),
    ratios: found.ours.map((x, i) => x / found.peer[i]),
    difference: a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0),
    cosine: dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)),
    build: build.name,
    browser: runtime,
  }
})(${JSON.stringify(cell)}, ${Number(values.rounds)})`

const site = await serve(path.join(here, '../..'), ISOLATED)
const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1]!
try {
  console.log(
    `${cpus()[0]!.model}\n| dtype | threads | shape | build | bertlet ms | onnxruntime-web ms | ratio (each round) | outputs |\n|---|---|---|---|---|---|---|---|`,
  )
  for (const dtype of ['f32', 'int8'] as const) {
    for (const threads of [1, 2]) {
      for (const [batch, length] of [
        [1, 128],
        [8, 128],
      ] as const) {
        const { ours, peer, ratios, difference, cosine, build, browser } = await withPage(async (page) => {
          await page.goto(`${site.url}bench/peers/page.html`)
          return page.evaluate<Sides>(script({ dtype, threads, batch, length }))
        })
        // As bench:peers has it: f32 sides may be off by 2e-5 each, int8 is another rounding in each.
        if (dtype === 'f32' ? !(difference <= 4e-5) : !(cosine >= 0.97))
          throw new Error(`outputs differ: by ${difference}, cosine ${cosine}`)
        const apart = dtype === 'f32' ? `differ by ${difference.toExponential(1)}` : `cosine ${cosine.toFixed(4)}`
        console.log(
          `| ${dtype} | ${threads} | ${batch}x${length} | ${build}, ${browser} | ${ours.toFixed(1)} | ${peer.toFixed(1)} | ${median(ratios).toFixed(2)} (${ratios.map((x) => x.toFixed(2)).join(' ')}) | ${apart} |`,
        )
      }
    }
  }
} finally {
  await site.close()
}
