// The examples, with the built package, in the runtimes that they are for.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Plugin } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { BertForSequenceClassification, Tokenizer } from '../src/index.node.ts'
import { missingBrowser } from './support/runtimes/browsers.ts'
import { withBundle } from './support/runtimes/bundle.ts'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { ensureProcess, FOLDER } from './support/runtimes/installed.ts'
import { ensureIsolates, KERNELS } from './support/runtimes/isolates.ts'
import { MODEL } from './support/runtimes/processes.ts'
import { ISOLATED, serve, withPage, type Page, type Site } from './support/runtimes/site.ts'
import { REVIEWS } from './support/reviews.ts'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '..')
const examples = path.join(root, 'examples')
const require = createRequire(path.join(FOLDER, 'index.js'))
const missing = await ensureIsolates().then(() => undefined, String)
const noChromium = missing ?? missingBrowser('chromium')

/** The examples as a person has them: beside an installed bertlet and a model. */
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-examples-'))
  await cp(examples, folder, { recursive: true })
  await mkdir(path.join(folder, 'node_modules'))
  await symlink(root, path.join(folder, 'node_modules/bertlet'))
  await symlink(path.join(root, 'node_modules/@lat.md'), path.join(folder, 'node_modules/@lat.md'))
  await writeFile(path.join(folder, 'questions.txt'), `${LIST.join('\n')}\nWhere is my package?\n`)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const LIST = ['How do I reset my password?', 'Where is my parcel?', 'Can I have my money back?', 'Which cards do you take?']
const NEAREST = 'Where is my parcel?'
const QUERY = 'when+will+it+be+delivered'

/** The model under the names that every server of files gives it. */
async function putModel(to: string): Promise<void> {
  await cp(MODEL, to, { recursive: true })
  await rename(path.join(to, 'model.fp16.safetensors'), path.join(to, 'model.safetensors'))
}

const isolate = (entry: string, kernels: string, plugins: Plugin[] = []) => ({
  entryPoints: [path.join(examples, entry)],
  alias: { bertlet: path.join(root, 'dist', kernels) },
  plugins,
  // Inside of the repository, dist is no installed package: esbuild warns of what it then may drop.
  logLevel: 'error' as const,
})

async function expectFound(answer: { json(): Promise<unknown> }): Promise<void> {
  const found = (await answer.json()) as { text: string; score: number }[]
  expect(found.map(({ text }) => text)[0]).toBe(NEAREST)
  expect(found).toHaveLength(LIST.length)
}

async function expectFoundIn(page: Page): Promise<void> {
  await page.waitForSelector('#state:text-is("Ready")', { timeout: 60_000 })
  const items = await page.locator('#found li').allTextContents()
  expect(items).toHaveLength(LIST.length)
  expect(items[0]).toMatch(/^Where is my parcel\? 0\.\d{3}$/)
}

describeRuntime('examples/cloudflare-worker', missing, () => {
  it('finds the nearest entry of its list', async () => {
    const options = { ...isolate('cloudflare-worker/worker.js', 'index.workerd.js'), external: ['*.wasm'] }
    await withBundle('', options, async (file, assets) => {
      await putModel(path.join(assets, 'model'))
      const { Miniflare } = require('miniflare')
      const wasm = KERNELS.map(async (name) => ({
        type: 'CompiledWasm',
        path: name,
        contents: await readFile(path.join(root, 'dist', name)),
      }))
      const worker = new Miniflare({
        compatibilityDate: '2025-09-01',
        modules: [{ type: 'ESModule', path: 'worker.mjs', contents: await readFile(file, 'utf8') }, ...(await Promise.all(wasm))],
        serviceBindings: { ASSETS: { disk: { path: assets } } },
      })
      try {
        await expectFound(await worker.dispatchFetch(`http://worker/?q=${QUERY}`))
      } finally {
        await worker.dispose()
      }
    })
  }, 120_000)
})

describeRuntime('examples/vercel-edge', missing, () => {
  it('finds the nearest entry of its list', async () => {
    // Vercel compiles what is imported with ?module, and hands it over from outside of the isolate: so does this.
    const given: Plugin = {
      name: 'given-modules',
      setup({ onResolve, onLoad }) {
        onResolve({ filter: /\.wasm\?module$/ }, ({ path: file }) => ({ path: path.basename(file, '?module'), namespace: 'given' }))
        onLoad({ filter: /./, namespace: 'given' }, ({ path: file }) => ({ contents: `export default MODULES[${JSON.stringify(file)}]` }))
      },
    }
    const options = { ...isolate('vercel-edge/api/search.js', 'index.edge.js', [given]), format: 'iife' as const, globalName: 'api' }
    await withBundle('', options, async (file, site) => {
      await putModel(path.join(site, 'model'))
      const { EdgeRuntime } = require('edge-runtime')
      const modules: Record<string, WebAssembly.Module> = {}
      for (const name of KERNELS) {
        const bytes = new Uint8Array(await readFile(path.join(root, 'dist', name)))
        if (WebAssembly.validate(bytes)) modules[name] = new WebAssembly.Module(bytes)
      }
      const server = await serve(site)
      const edge = new EdgeRuntime({
        extend: (context: object) => Object.assign(context, { MODULES: modules }),
        initialCode: `${await readFile(file, 'utf8')}
addEventListener('fetch', (event) => event.respondWith(api.default(event.request)))`,
      })
      try {
        await expectFound(await edge.dispatchFetch(`${server.url}api/search?q=${QUERY}`))
      } finally {
        await server.close()
      }
    })
  }, 120_000)
})

describeRuntime('examples/deno and examples/bun', missing, () => {
  it('search.js finds the nearest lines in Deno', async () => {
    const { path: deno } = await ensureProcess('deno')
    const args = ['run', '--no-prompt', '--allow-read', '--allow-env', '--allow-sys', 'search.js', '../questions.txt', 'where is my parcel']
    const { stdout } = await run(deno, args, { cwd: path.join(folder, 'deno'), env: { ...process.env, NO_COLOR: '1' } })
    expect(stdout.split('\n')[0]).toMatch(/^0\.\d{3} Where is my parcel\?$/)
    expect(stdout.trim().split('\n')).toHaveLength(3)
  }, 60_000)

  it('duplicates.js finds what says the same in Bun', async () => {
    const { path: bun } = await ensureProcess('bun')
    const { stdout } = await run(bun, ['duplicates.js', '../questions.txt'], { cwd: path.join(folder, 'bun') })
    expect(stdout.trim().split('\n')).toEqual([expect.stringMatching(/^0\.\d{3} \| Where is my parcel\? \| Where is my package\?$/)])
  }, 60_000)
})

describeRuntime('examples/offline-page', noChromium, () => {
  it('answers with the server stopped and the page reloaded', async () => {
    const site = path.join(folder, 'offline-page')
    await cp(path.join(root, 'dist'), path.join(site, 'bertlet'), { recursive: true })
    await putModel(path.join(site, 'model'))
    const server = await serve(site)
    await withPage(async (page) => {
      await page.goto(server.url)
      await expectFoundIn(page)
      await server.close()
      await page.reload()
      await expectFoundIn(page)
    }).finally(() => server.close())
  }, 120_000)
})

describeRuntime('examples/train-page', noChromium, () => {
  const NAMES = ['bad', 'good']
  const LINES = REVIEWS.map(({ text, label }) => `${NAMES[label]}\t${text}`).join('\n')
  /** Steps of three epochs, eight texts each. */
  const STEPS = 24

  let site: string
  let server: Site
  beforeAll(async () => {
    site = path.join(folder, 'train-page')
    await cp(path.join(root, 'dist'), path.join(site, 'bertlet'), { recursive: true })
    await putModel(path.join(site, 'model'))
    server = await serve(site, ISOLATED)
  }, 60_000)
  afterAll(() => server.close())

  const click = (page: Page, id: string): Promise<unknown> => page.evaluate(`document.getElementById('${id}').click()`)
  const state = (page: Page, wanted: string): Promise<unknown> => page.waitForSelector(`#state:text-is("${wanted}")`, { timeout: 90_000 })
  const open = async (page: Page): Promise<void> => {
    await page.goto(server.url)
    await state(page, 'Ready')
    await page.evaluate(`void (document.getElementById('examples').value = ${JSON.stringify(LINES)})`)
  }
  /** What the page saved, on the model in Node: the bits that the page shows. Resolves with the size of the weights. */
  const sameInNode = async (page: Page): Promise<number> => {
    await page.waitForSelector('#said:not(:empty)', { timeout: 30_000 })
    const [said, text, saved] = await page.evaluate<[string, string, Record<string, number[]>]>(`(async () => {
  const bytes = async ({ href }) => [...new Uint8Array(await (await fetch(href)).arrayBuffer())]
  const files = await Promise.all([...document.querySelectorAll('#files a')].map(async (a) => [a.download, await bytes(a)]))
  return [document.getElementById('said').value, document.getElementById('text').value, Object.fromEntries(files)]
})()`)
    expect(Object.keys(saved).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'config.json'])
    const adapter = Object.fromEntries(Object.entries(saved).map(([name, bytes]) => [name, Uint8Array.from(bytes)]))
    const folder = path.join(site, 'model')
    const model = await BertForSequenceClassification.fromPretrained(folder, { adapter })
    const { logits } = await model((await Tokenizer.fromPretrained(folder))([text]))
    expect(said).toBe([...logits.data].map((score, i) => `${model.config.id2label[i]} ${score.toPrecision(9)}`).join(', '))
    await model.dispose()
    return adapter['adapter_model.safetensors']!.length
  }

  it('makes a classifier of 64 texts in under 5 s; what it saves gives the same bits in Node', { timeout: 180_000 }, () =>
    withPage(async (page) => {
      await open(page)
      const times: number[] = []
      // The best of three: the machine may have other work.
      while (times.length < 3 && !(times.at(-1)! < 5000)) {
        await click(page, 'few-shot')
        await state(page, 'Done')
        times.push(Number(await page.getAttribute('#state', 'data-ms')))
      }
      console.info(`few-shot on 64 texts in a worker of Chromium, model and all: ${times.join(', ')} ms`)
      expect(times.at(-1)).toBeLessThan(5000)
      expect(await sameInNode(page)).toBeLessThan(10_000)
    }),
  )

  it(
    'trains an adapter, telling of each step; stopped, it begins again; what it saves gives the same bits in Node',
    () =>
      withPage(async (page) => {
        await open(page)
        await page.evaluate(`(() => {
  const progress = document.getElementById('progress')
  globalThis.seen = []
  new MutationObserver(() => seen.at(-1) === progress.value || seen.push(progress.value)).observe(progress, { attributes: true })
})()`)
        const seen = (): Promise<number[]> => page.evaluate<number[]>('seen.splice(0)')
        await click(page, 'train')
        await page.evaluate(`new Promise((done) => {
  const watch = setInterval(() => document.getElementById('progress').value >= 2 && (clearInterval(watch), done()), 5)
})`)
        await click(page, 'stop')
        await state(page, 'Stopped')
        const before = await seen()
        expect(before.length).toBeGreaterThanOrEqual(2)
        expect(before.length).toBeLessThan(STEPS)
        await click(page, 'train')
        await state(page, 'Done')
        expect(await seen()).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1))
        expect(await sameInNode(page)).toBeLessThan(1e6)
      }),
    180_000,
  )
})

it('docs/training-in-a-page.md shows the worker of examples/train-page', async () => {
  const shown = await readFile(path.join(root, 'docs/training-in-a-page.md'), 'utf8')
  expect(shown).toContain(await readFile(path.join(examples, 'train-page/worker.js'), 'utf8'))
})
