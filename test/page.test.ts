// What a page lives through with bertlet in it: its frames while a thread of its own computes, a freeze, a second copy of the package, files of its own.
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { install } from './support/install.ts'
import { missingBrowser } from './support/runtimes/browsers.ts'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { FOLDER } from './support/runtimes/installed.ts'
import { MODEL } from './support/runtimes/processes.ts'
import { ISOLATED, serve, withPage, type Page, type Site } from './support/runtimes/site.ts'

const missing = (await install(FOLDER).then(() => undefined, String)) ?? missingBrowser('chromium')
const dist = path.join(import.meta.dirname, '../dist')

/** What the scripts below may use: all-MiniLM-L6-v2 as files by name, 8 texts of 128 tokens, and a call's longest task and longest time between frames. */
const KIT = `
const fetched = async (name) => new Uint8Array(await (await fetch('/model/' + name)).arrayBuffer())
const files = async () => ({
  'config.json': await fetched('config.json'),
  'model.safetensors': await fetched('model.safetensors'),
  'tokenizer.json': await fetched('tokenizer.json'),
})
const input_ids = Array.from({ length: 8 }, (_, row) => Array.from({ length: 128 }, (_, i) => 1000 + 37 * row + i))
const hashOf = (data) => new Uint32Array(data.buffer, data.byteOffset, data.length).reduce((hash, word) => Math.imul(hash ^ word, 16777619), 1)
const watch = async (work) => {
  let [task, frame, last, going] = [0, 0, performance.now(), true]
  const observer = new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (task = Math.max(task, duration))))
  observer.observe({ type: 'longtask' })
  const tick = (now) => {
    ;[frame, last] = [Math.max(frame, now - last), now]
    if (going) requestAnimationFrame(tick)
  }
  requestAnimationFrame(tick)
  const started = performance.now()
  await work()
  const took = performance.now() - started
  // What is long is told of a little later.
  await new Promise((resolve) => setTimeout(resolve, 200))
  going = false
  observer.disconnect()
  return { task, frame, took }
}
`

interface Watched {
  readonly task: number
  readonly frame: number
  readonly took: number
}

/** ms without a frame, or in one task. */
const longest = ({ task, frame }: Watched): number => Math.max(task, frame)

describeRuntime('a page of Chromium', missing, () => {
  let folder: string
  let alone: Site
  let isolated: Site
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'bertlet-page-'))
    for (const copy of ['dist', 'other']) await cp(dist, path.join(folder, copy), { recursive: true })
    await mkdir(path.join(folder, 'model'))
    for (const file of ['config.json', 'tokenizer.json', 'model.safetensors'])
      await symlink(path.join(MODEL, file.replace('model.', 'model.fp16.')), path.join(folder, 'model', file))
    await writeFile(path.join(folder, 'index.html'), '<!doctype html><link rel="icon" href="data:,">')
    ;[alone, isolated] = [await serve(folder), await serve(folder, ISOLATED)]
  })
  afterAll(async () => {
    await Promise.all([alone.close(), isolated.close()])
    await rm(folder, { recursive: true, force: true })
  })

  const inPage = <T>(page: Page, script: string): Promise<T> => page.evaluate<T>(`(async () => { ${KIT} ${script} })()`)

  /** The calmest of several calls: what a busy machine adds comes and goes, what bertlet adds stays. */
  async function calmest(page: Page, call: string): Promise<Watched> {
    let best: Watched | undefined
    for (let i = 0; i < 20 && !(best && longest(best) < 50); i++) {
      const watched = await inPage<Watched>(page, `return watch(() => ${call})`)
      if (best === undefined || longest(watched) < longest(best)) best = watched
    }
    return best!
  }

  it(
    'that is not isolated shows every frame within 50 ms while 8x128 runs',
    () =>
      withPage(async (page) => {
        await page.goto(alone.url)
        const threads = await inPage<object>(
          page,
          `
  const { BertModel } = await import('/dist/index.web.js')
  window.model = await BertModel.fromPretrained(await files())
  await model({ input_ids })
  return model.info().threads`,
        )
        expect(threads).toEqual({ count: 0, why: expect.stringMatching(/Cross-Origin-Opener-Policy/) as string })
        const watched = await calmest(page, 'model({ input_ids })')
        expect(watched.took).toBeGreaterThan(100)
        expect(longest(watched)).toBeLessThan(50)
      }),
    120_000,
  )

  it(
    'and while each product is more than 100 ms of work: a layer four times as wide as those of BERT-base',
    () =>
      withPage(async (page) => {
        await page.goto(alone.url)
        await inPage(
          page,
          `
  const { BertConfig, BertModel } = await import('/dist/index.web.js')
  window.model = new BertModel(new BertConfig({ num_hidden_layers: 1, intermediate_size: 12288 }), { seed: 1 })
  await model({ input_ids: input_ids.slice(0, 1) })`,
        )
        const watched = await calmest(page, 'model({ input_ids: input_ids.slice(0, 2) })')
        expect(watched.took).toBeGreaterThan(200)
        expect(longest(watched)).toBeLessThan(50)
      }),
    120_000,
  )

  it(
    "that is not isolated, with the README's worker, has its thread for itself",
    () =>
      withPage(async (page) => {
        const readme = await readFile(path.join(import.meta.dirname, '../README.md'), 'utf8')
        const [, script] = /```js\n( *\/\/ worker\.js[^]*?)```/.exec(readme)!
        const worker = script!.replace("'bertlet'", "'/dist/index.web.js'").replace(/https:[^']*model/, `${alone.url}model`)
        await writeFile(path.join(folder, 'worker.js'), worker)
        await page.goto(alone.url)
        await inPage(
          page,
          `
  const worker = new Worker('/worker.js', { type: 'module' })
  const texts = Array.from({ length: 8 }, (_, i) => 'a text of many words '.repeat(25) + i)
  window.ask = () => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data.dims)
    worker.onerror = reject
    worker.postMessage({ id: 1, texts })
  })`,
        )
        expect(await page.evaluate('ask()')).toEqual([8, 384])
        const watched = await calmest(page, 'ask()')
        expect(watched.took).toBeGreaterThan(100)
        expect(longest(watched)).toBeLessThan(50)
      }),
    120_000,
  )

  for (const [kind, site] of [
    ['isolated', () => isolated],
    ['not isolated', () => alone],
  ] as const) {
    it(
      `${kind}, frozen and resumed amid a call, gets the same bits, and computes on`,
      () =>
        withPage(async (page) => {
          await page.goto(site().url)
          const want = await inPage<number>(
            page,
            `
  const { BertModel } = await import('/dist/index.web.js')
  window.model = await BertModel.fromPretrained(await files())
  window.run = async (input_ids) => hashOf((await model({ input_ids })).last_hidden_state.data)
  window.many = Array.from({ length: 4 }, () => input_ids).flat()
  return run(many)`,
          )
          const gap = page.evaluate<Watched>(
            `(async () => { ${KIT} return watch(() => (window.call = run(many).finally(() => (window.ended = true)))) })()`,
          )
          const session = await page.context().browser().newBrowserCDPSession()
          const { processInfo } = await session.send('SystemInfo.getProcessInfo')
          const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
          expect(await page.evaluate<boolean>('window.ended === true')).toBe(false)
          // All threads of the page at once, as when a system suspends it.
          for (const id of renderers) process.kill(id, 'SIGSTOP')
          await sleep(1000)
          for (const id of renderers) process.kill(id, 'SIGCONT')
          expect((await gap).frame).toBeGreaterThan(500)
          expect(await page.evaluate<number>('call')).toBe(want)
          expect(await page.evaluate<number>('run(many)')).toBe(want)
        }),
      120_000,
    )
  }

  it(
    'with two copies of the package: both compute, at once, and one goes on when the other is gone',
    () =>
      withPage(async (page) => {
        await page.goto(isolated.url)
        const found = await inPage<{ same: boolean; at: number[]; after: boolean; threads: number[] }>(
          page,
          `
  const libraries = [await import('/dist/index.web.js'), await import('/other/index.web.js')]
  if (libraries[0].BertModel === libraries[1].BertModel) throw new Error('one copy only')
  const given = await files()
  const [one, two] = await Promise.all(libraries.map(({ pipeline }) => pipeline('feature-extraction', given, { threads: 2 })))
  const text = ['a text', 'another, longer text']
  const [a, b] = await Promise.all([one(text, { pooling: 'mean' }), two(text, { pooling: 'mean' })])
  const threads = [one, two].map(({ model }) => model.info().threads.count)
  await one.dispose()
  const c = await two(text, { pooling: 'mean' })
  // What one copy has made, the other takes where it is data.
  const { data } = await two({ ...text }[0], { pooling: 'mean' })
  await two.dispose()
  return { same: hashOf(a.data) === hashOf(b.data), at: a.dims, after: hashOf(c.data) === hashOf(a.data) && data.length === 384, threads }`,
        )
        expect(found).toEqual({ same: true, at: [2, 384], after: true, threads: [2, 2] })
      }),
    120_000,
  )

  it(
    'keeps a model in its private files (OPFS), and reads it from there in pieces',
    () =>
      withPage(async (page) => {
        await page.goto(alone.url)
        const found = await inPage<Record<string, unknown>>(
          page,
          `
  const { pipeline, Tokenizer, BertModel } = await import('/dist/index.web.js')
  const root = await navigator.storage.getDirectory()
  const folder = await root.getDirectoryHandle('models', { create: true })
  const kept = await folder.getDirectoryHandle('minilm', { create: true })
  const embed = await pipeline('feature-extraction', await files())
  await embed.model.savePretrained(kept, { tokenizer: embed.tokenizer })
  const want = (await embed('a text', { pooling: 'mean' })).data
  await embed.dispose()
  let largest = 0
  const { slice } = Blob.prototype
  Blob.prototype.slice = function (start = 0, end = this.size, ...rest) {
    largest = Math.max(largest, end - start)
    return slice.call(this, start, end, ...rest)
  }
  const again = await pipeline('feature-extraction', kept)
  const got = (await again('a text', { pooling: 'mean' })).data
  const { model: name } = again.model.info()
  await again.dispose()
  const inside = await BertModel.fromPretrained(folder, { subfolder: 'minilm', add_pooling_layer: false })
  await inside.dispose()
  const names = []
  for await (const name of kept.keys()) names.push(name)
  const message = await pipeline('feature-extraction', await root.getDirectoryHandle('none', { create: true })).catch(({ message }) => message)
  const climbs = await Tokenizer.fromPretrained(kept, { subfolder: '..' }).catch(({ message }) => message)
  const full = await (async () => {
    FileSystemWritableFileStream.prototype.write = () => Promise.reject(new DOMException('full', 'QuotaExceededError'))
    const model = await BertModel.fromPretrained(kept, { add_pooling_layer: false })
    return model.savePretrained(kept).catch(({ code, message }) => code + ' ' + message)
  })()
  const stillWhole = (await (await kept.getFileHandle('model.safetensors')).getFile()).size
  return { same: hashOf(got) === hashOf(want), name, names: names.sort(), largest, message, climbs, full, stillWhole }`,
        )
        expect(found).toMatchObject({ same: true, name: 'minilm' })
        expect(found.names).toEqual([
          'config.json',
          'model.safetensors',
          'special_tokens_map.json',
          'tokenizer.json',
          'tokenizer_config.json',
          'vocab.txt',
        ])
        expect(found.largest).toBeLessThanOrEqual(4 << 20)
        expect(found.message).toMatch(/^none: expected tokenizer\.json or vocab\.txt/)
        expect(found.climbs).toMatch(/may not climb/)
        expect(found.full).toMatch(/^write_failed .*storage of this origin is full/)
        expect(found.stillWhole).toBeGreaterThan(80e6)
      }),
    120_000,
  )
})
