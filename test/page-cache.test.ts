// The hub's files in a page: kept, shared by tabs, gone on with, and done without where the storage is full.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { hubServer, type HubServer } from './support/hub-server.ts'
import { install } from './support/install.ts'
import { missingBrowser } from './support/runtimes/browsers.ts'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { FOLDER } from './support/runtimes/installed.ts'
import { MODEL } from './support/runtimes/processes.ts'
import { serve, withPage, type Page, type Site } from './support/runtimes/site.ts'

const missing = (await install(FOLDER).then(() => undefined, String)) ?? missingBrowser('chromium')

describeRuntime('the hub in a page of Chromium', missing, () => {
  let folder: string
  let site: Site
  let hub: HubServer
  let files: Record<string, Uint8Array>
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'bertlet-page-'))
    await cp(path.join(import.meta.dirname, '../dist'), path.join(folder, 'dist'), { recursive: true })
    await writeFile(path.join(folder, 'index.html'), '<!doctype html><link rel="icon" href="data:,">')
    site = await serve(folder)
    const names = { 'config.json': 'config.json', 'tokenizer.json': 'tokenizer.json', 'model.safetensors': 'model.fp16.safetensors' }
    files = Object.fromEntries(
      await Promise.all(Object.entries(names).map(async ([name, file]) => [name, new Uint8Array(await readFile(path.join(MODEL, file)))])),
    )
  })
  afterAll(async () => {
    await site.close()
    await rm(folder, { recursive: true, force: true })
  })
  beforeEach(async () => {
    hub = await hubServer(files)
    // As the real hub: pages of any origin may read its answers and their headers.
    hub.fault = (_, response) => {
      response.setHeader('access-control-allow-origin', '*').setHeader('access-control-expose-headers', '*')
      return false
    }
  })
  afterEach(() => hub.close())

  /** The first numbers of a text's vector. */
  const embed = (page: Page, options = ''): Promise<number[]> =>
    page.evaluate(`(async () => {
  const { pipeline } = await import('/dist/index.web.js')
  const embed = await pipeline('feature-extraction', 'org/tiny', { endpoint: ${JSON.stringify(hub.endpoint)}, ${options} })
  const { data } = await embed('a text', { pooling: 'mean' })
  await embed.dispose()
  return [...data.subarray(0, 4)]
})()`)
  const weights = (): number => hub.seen.filter(({ host, method }) => host === 'cdn' && method === 'GET').length

  it(
    'is asked once: later loads take what is kept',
    () =>
      withPage(async (page) => {
        await page.goto(site.url)
        const first = await embed(page)
        expect(weights()).toBe(1)
        const before = hub.seen.length
        expect(await embed(page)).toEqual(first)
        // One question: what commit main is now.
        expect(hub.seen.slice(before).filter(({ method }) => method === 'GET')).toEqual([])
        expect(hub.seen.length - before).toBeLessThanOrEqual(2)
        await hub.close()
        expect(await embed(page)).toEqual(first)
      }),
    60_000,
  )

  it(
    'is asked once by two tabs',
    () =>
      withPage(async (page) => {
        const other = await page.context().newPage()
        await Promise.all([page.goto(site.url), other.goto(site.url)])
        hub.piece = 1 << 18
        const [a, b] = await Promise.all([embed(page), embed(other)])
        expect(a).toEqual(b)
        expect(weights()).toBe(1)
      }),
    60_000,
  )

  it(
    'goes on where a closed tab stopped',
    () =>
      withPage(async (page) => {
        const other = await page.context().newPage()
        await Promise.all([page.goto(site.url), other.goto(site.url)])
        hub.piece = 1 << 17
        embed(other).catch(() => undefined)
        while (weights() === 0) await sleep(20)
        // Until parts are kept.
        const kept = `caches.open('bertlet').then((cache) => cache.keys()).then((keys) => keys.filter(({ url }) => /safetensors\\?part=/.test(url)).length)`
        while ((await page.evaluate<number>(kept)) < 2) await sleep(20)
        await other.goto('about:blank')
        hub.piece = undefined
        await embed(page)
        const ranges = hub.seen.filter(({ host, range }) => host === 'cdn' && range !== undefined)
        expect(ranges.map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range!)![1]) >= 2 << 22)).toEqual([true])
      }),
    60_000,
  )

  it(
    'streams into place where the storage is full',
    () =>
      withPage(async (page) => {
        await page.goto(site.url)
        await page.evaluate(`void (Cache.prototype.put = () => Promise.reject(new DOMException('full', 'QuotaExceededError')))`)
        expect(await embed(page)).toHaveLength(4)
        expect(await page.evaluate<number>(`caches.open('bertlet').then((cache) => cache.keys()).then((keys) => keys.length)`)).toBe(0)
      }),
    60_000,
  )

  it(
    'drops what is damaged, and asks again',
    () =>
      withPage(async (page) => {
        await page.goto(site.url)
        const first = await embed(page)
        await page.evaluate(`caches.open('bertlet').then(async (cache) => {
  const key = (await cache.keys()).find(({ url }) => /safetensors\\?part=3/.test(url))
  await cache.put(key, new Response('short', { headers: (await cache.match(key)).headers }))
})`)
        expect(await embed(page)).toEqual(first)
        expect(weights()).toBe(2)
      }),
    60_000,
  )

  it(
    'keeps nothing with cache_dir: null',
    () =>
      withPage(async (page) => {
        await page.goto(site.url)
        await embed(page, 'cache_dir: null')
        expect(await page.evaluate<boolean>(`caches.has('bertlet')`)).toBe(false)
      }),
    60_000,
  )
})
