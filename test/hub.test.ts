// The hub client against a server on the loopback: what is asked, what is kept, and everything that can go wrong on the way.
import { execFile } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BertModel, type ProgressEvent } from '../src/index.node.ts'
import { folderCache } from '../src/runtimes/node-cache.ts'
import { nodeHub } from '../src/runtimes/node-hub.ts'
import { hubSource, type HubOptions } from '../src/weights/hub.ts'
import type { Network } from '../src/weights/http.ts'
import type { Source } from '../src/weights/source.ts'
import { COMMIT, cut, gitSha, hubServer, sha256, type HubServer } from './support/hub-server.ts'
import { checkpoint } from './support/models.ts'
import { random } from './support/random.ts'

const next = random(5)
const WEIGHTS = Uint8Array.from({ length: 300_000 }, () => Math.floor(next() * 256))
const CONFIG = new TextEncoder().encode('{"model_type":"bert"}')
const OTHER = 'f'.repeat(40)

let root: string
let hub: HubServer
let waits: number[]
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'bertlet-hub-'))
  hub = await hubServer({ 'config.json': CONFIG, 'model.safetensors': WEIGHTS, 'sub/config.json': CONFIG })
  waits = []
})
afterEach(async () => {
  await hub.close()
  await rm(root, { recursive: true, force: true })
})

const network = (): Network => ({
  fetch: (url, init) => fetch(url, init),
  sleep: async (ms) => void waits.push(ms),
  sha256: () => nodeHub({}).sha256!(),
})
function open(options: Partial<HubOptions> = {}, id = 'org/tiny'): Source {
  const cache = folderCache(root)
  const common = {
    network: network(),
    endpoint: hub.endpoint,
    revision: 'main',
    subfolder: '',
    token: undefined,
    offline: false,
    tell: undefined,
  }
  return hubSource(id, { ...common, cache, ...options })
}
async function bytes(source: Source, file = 'model.safetensors', signal?: AbortSignal): Promise<Uint8Array | undefined> {
  const reader = await source.open(file, { signal })
  try {
    return reader && (await reader.read(0, reader.size)).slice()
  } finally {
    await reader?.close()
  }
}
/** Element by element, expect().toEqual() takes a second for so many. */
function expectWeights(got: Uint8Array | undefined): void {
  expect(Buffer.compare(got!, WEIGHTS)).toBe(0)
}
const folder = (...parts: string[]): string => path.join(root, 'models--org--tiny', ...parts)
const blobs = (): string[] => (existsSync(folder('blobs')) ? readdirSync(folder('blobs')).sort() : [])
const isWeights = (seen: { path: string }): boolean => seen.path.includes('model.safetensors')
const gets = (): string[] => hub.seen.filter(isWeights).map(({ host, range }) => `${host} ${range ?? 'all'}`)

const startOf = (range: string | undefined): number => (range === undefined ? 0 : Number(range.slice(6, -1)))

/**
 * What was asked for: first all, then, of hub and CDN alike, what followed the bytes that had come: at most those that were sent. (fetch drops
 * what waits unread when a connection ends, so it may be less.)
 */
function expectResumed(sent: readonly number[]): void {
  const asked = hub.seen.filter(isWeights)
  expect(asked.map(({ host }) => host)).toEqual([0, ...sent].flatMap(() => ['hub', 'cdn']))
  const starts = asked.map(({ range }) => startOf(range))
  expect(starts.slice(0, 2)).toEqual([0, 0])
  sent.forEach((most, i) => {
    const [first, second] = starts.slice(2 * i + 2) as [number, number]
    expect(first).toBe(second)
    expect(first).toBeLessThanOrEqual(most)
    expect(first).toBeGreaterThan(i === 0 ? 0 : starts[2 * i]! - 1)
  })
}

describe('the cache folder', () => {
  it("is laid out as Python's", async () => {
    const source = open()
    expect(await source.text('config.json')).toBe('{"model_type":"bert"}')
    expectWeights(await bytes(source))
    expect(await source.text('sub/config.json')).toBe('{"model_type":"bert"}')
    expect(await source.text('vocab.txt')).toBeUndefined()
    expect(readFileSync(folder('refs/main'), 'utf8')).toBe(COMMIT)
    expect(blobs()).toEqual([gitSha(CONFIG), sha256(WEIGHTS)].sort())
    expect(readlinkSync(folder('snapshots', COMMIT, 'model.safetensors'))).toBe(`../../blobs/${sha256(WEIGHTS)}`)
    expect(readlinkSync(folder('snapshots', COMMIT, 'sub/config.json'))).toBe(`../../../blobs/${gitSha(CONFIG)}`)
    expect(readFileSync(folder('.no_exist', COMMIT, 'vocab.txt'), 'utf8')).toBe('')
    expect((await source.list!()).sort()).toEqual(['config.json', 'model.safetensors'])
  })

  it('that Python wrote is read', async () => {
    await mkdir(folder('blobs'), { recursive: true })
    await mkdir(folder('refs/refs/pr'), { recursive: true })
    await mkdir(folder('snapshots', OTHER), { recursive: true })
    await writeFile(folder('snapshots', OTHER, 'config.json'), 'from python')
    await writeFile(folder('refs/refs/pr/1'), OTHER)
    for (const revision of ['refs/pr/1', OTHER]) {
      expect(await open({ offline: true, revision }).text('config.json')).toBe('from python')
    }
    expect(hub.seen).toEqual([])
  })

  it('holds plain files where there are no links', async () => {
    const source = open({ cache: folderCache(root, { symlinks: false }) })
    expectWeights(await bytes(source))
    expect(lstatSync(folder('snapshots', COMMIT, 'model.safetensors')).isFile()).toBe(true)
    expectWeights(await bytes(open({ offline: true })))
  })

  it('answers with one question about the branch, and with none about a commit', async () => {
    await bytes(open())
    hub.seen.length = 0
    expectWeights(await bytes(open()))
    expect(hub.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(['HEAD /org/tiny/resolve/main/config.json'])
    expectWeights(await bytes(open({ revision: COMMIT })))
    expect(hub.seen).toHaveLength(1)
  })

  it('follows the branch, and keeps content that stayed the same once', async () => {
    await open().text('config.json')
    await bytes(open())
    hub.commit = OTHER
    hub.files = { ...hub.files, 'config.json': new TextEncoder().encode('{}') }
    expect(await open().text('config.json')).toBe('{}')
    expectWeights(await bytes(open()))
    expect(readFileSync(folder('refs/main'), 'utf8')).toBe(OTHER)
    expect(blobs()).toHaveLength(3)
    expect(await open({ revision: COMMIT }).text('config.json')).toBe('{"model_type":"bert"}')
  })

  it.each([
    ['the server is gone', async () => hub.close()],
    ['it is down', async () => void (hub.fault = (_, response) => (response.writeHead(503).end(), true))],
    ['it has had enough', async () => void (hub.fault = (_, response) => (response.writeHead(429).end(), true))],
  ])('serves when %s', async (_, fail) => {
    await open().text('config.json')
    await bytes(open())
    await open().text('vocab.txt')
    await fail()
    const source = open()
    expect(await source.text('config.json')).toBe('{"model_type":"bert"}')
    expectWeights(await bytes(source))
    expect(await source.text('vocab.txt')).toBeUndefined()
    expect((await source.list!()).sort()).toEqual(['config.json', 'model.safetensors'])
    expect(waits).toEqual([])
  })

  it('that has nothing is said so when nothing may be asked', async () => {
    await expect(open({ offline: true }).text('config.json')).rejects.toThrow(/"org\/tiny".*not in .*bertlet-hub.*may not be asked/)
    await expect(open({ offline: true, cache: undefined }).text('config.json')).rejects.toThrow(/none is used/)
    expect(hub.seen).toEqual([])
  })

  it('that cannot be written is said so', async () => {
    await writeFile(path.join(root, 'file'), '')
    await expect(open({ cache: folderCache(path.join(root, 'file')) }).text('config.json')).rejects.toThrow(
      /cache_dir: .*written.*cache_dir: null/,
    )
  })
})

describe('a token', () => {
  it('goes to the hub and not to whom it redirects to', async () => {
    expectWeights(await bytes(open({ token: 'secret' })))
    const to = (host: string): (string | undefined)[] =>
      hub.seen.filter((seen) => seen.host === host).map(({ authorization }) => authorization)
    expect(new Set(to('hub'))).toEqual(new Set(['Bearer secret']))
    expect(to('cdn')).toEqual([undefined])
  })

  it('goes along when the hub redirects to itself', async () => {
    hub.fault = ({ path }, response) =>
      path.startsWith('/old/') && (response.writeHead(307, { location: path.replace('/old/name', '/org/tiny') }).end(), true)
    expectWeights(await bytes(open({ token: 'secret' }, 'old/name')))
    expect(hub.seen.filter(({ host }) => host === 'hub').every(({ authorization }) => authorization === 'Bearer secret')).toBe(true)
  })
})

describe.each([
  ['with a cache', {}],
  ['without', { cache: undefined }],
] as const)('a download %s', (how, options) => {
  const cached = how === 'with a cache'

  it('goes on where the connection was cut, from the first address', async () => {
    hub.fault = ({ host, range }, response, count) => host === 'cdn' && count < 3 && cut(response, WEIGHTS, startOf(range), 100_000)
    expectWeights(await bytes(open(options)))
    expectResumed([100_000, 200_000])
  })

  it('begins anew where ranges are ignored', async () => {
    hub.ranges = false
    hub.fault = ({ host }, response, count) => host === 'cdn' && count < 2 && cut(response, WEIGHTS, 0, 1000)
    expectWeights(await bytes(open(options)))
    expect(gets()).toHaveLength(4)
  })

  it('waits as long as it is told, and tries no more than five times', async () => {
    hub.fault = ({ host }, response, count) =>
      host === 'cdn' && count === 1 && (response.writeHead(429, { 'retry-after': '7' }).end(), true)
    expectWeights(await bytes(open(options)))
    hub.fault = ({ path }, response, count) =>
      path.includes('config') && count === 1 && (response.writeHead(429, { ratelimit: '"api";r=0;t=12' }).end(), true)
    expect(await open({ ...options, revision: COMMIT }).text('config.json')).toBe('{"model_type":"bert"}')
    expect(waits).toEqual([7000, 12_000])
    hub.fault = (_, response) => (response.writeHead(500).end(), true)
    hub.seen.length = waits.length = 0
    await expect(open({ ...options, cache: cached ? folderCache(path.join(root, 'b')) : undefined }).text('config.json')).rejects.toThrow(
      /status 500/,
    )
    expect(hub.seen).toHaveLength(5)
    expect(waits).toEqual([500, 1000, 2000, 4000])
    hub.fault = (_, response) => (response.writeHead(429, { 'retry-after': '3600' }).end(), true)
    hub.seen.length = 0
    await expect(open({ ...options, cache: undefined }).text('config.json')).rejects.toThrow(/status 429/)
    expect(hub.seen).toHaveLength(1)
  })

  it('gives up a connection that is always cut', async () => {
    hub.fault = ({ host, range }, response) => host === 'cdn' && cut(response, WEIGHTS, startOf(range), 100)
    await expect(bytes(open(options))).rejects.toThrow(/cannot be reached/)
    expect(blobs().filter((name) => !name.endsWith('.incomplete'))).toEqual([])
    hub.fault = undefined
    hub.seen.length = 0
    expectWeights(await bytes(open(options)))
    if (cached) expectResumed([500])
    expect(blobs().filter((name) => name.endsWith('.incomplete'))).toEqual([])
  })

  it('refuses another length and another content', async () => {
    hub.fault = ({ host }, response) => host === 'cdn' && (response.end(WEIGHTS.subarray(1)), true)
    await expect(bytes(open(options))).rejects.toThrow(/expected 300000 bytes, as the hub says, got 299999/)
    hub.fault = ({ host }, response) => host === 'cdn' && (response.end(WEIGHTS.map((x, i) => (i === 9 ? x ^ 1 : x))), true)
    await expect(bytes(open(options))).rejects.toThrow(/expected SHA-256 [0-9a-f]{64}, got/)
    expect(blobs()).toEqual([])
    expect(existsSync(folder('snapshots', COMMIT, 'model.safetensors'))).toBe(false)
  })

  it('refuses the page of a network that wants a log-in', async () => {
    hub.fault = (_, response) => (response.setHeader('content-type', 'text/html; charset=utf-8').end('<html>'), true)
    await expect(open(options).text('config.json')).rejects.toThrow(/config\.json: expected the file, got an HTML page.*log-in/)
    expect(blobs()).toEqual([])
  })

  it('refuses a file that changed under way', async () => {
    hub.fault = ({ host }, response, count) => {
      if (host !== 'cdn' || count > 1) return false
      cut(response, WEIGHTS, 0, 1000)
      hub.files = { ...hub.files, 'model.safetensors': WEIGHTS.slice().reverse() }
      return true
    }
    await expect(bytes(open(options))).rejects.toThrow(/the same file as before, got another/)
  })

  it('ends at the signal, at any point, and leaves nothing that could be taken for whole', async () => {
    await expect(bytes(open(options), undefined, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
    expect(hub.seen).toEqual([])
    for (const when of ['HEAD', 'hub', 'cdn', 'body'] as const) {
      const controller = new AbortController()
      hub.piece = 10_000
      hub.fault = ({ host, method }, response) => {
        const stage = method === 'HEAD' ? 'HEAD' : host
        if (when === 'body' && host === 'cdn') setTimeout(() => controller.abort(new Error(when)), 10)
        if (stage === when) controller.abort(new Error(when))
        if (stage === when) response.destroy()
        return stage === when
      }
      await expect(bytes(open(options), undefined, controller.signal)).rejects.toThrow(when)
      expect(blobs().filter((name) => !name.endsWith('.incomplete'))).toEqual([])
    }
    hub.fault = hub.piece = undefined
    expectWeights(await bytes(open(options)))
  })
})

describe('downloads at once', () => {
  it('of one file are one, and each hears of it', async () => {
    const events: ProgressEvent[][] = [[], [], []]
    const got = await Promise.all(events.map((list) => bytes(open({ tell: (event) => list.push(event) }))))
    for (const one of got) expectWeights(one)
    expect(gets()).toEqual(['hub all', 'cdn all'])
    const known = { name: 'org/tiny', file: 'model.safetensors' }
    for (const list of events) expect(list.at(-1)).toEqual({ status: 'done', ...known })
    expect(events[0]!.slice(0, 2)).toEqual(['initiate', 'download'].map((status) => ({ status, ...known })))
    expect(events[0]!.at(-2)).toEqual({ status: 'progress', ...known, progress: 100, loaded: 300_000, total: 300_000 })
  })

  it('go on when one of the callers leaves', async () => {
    hub.piece = 10_000
    const controller = new AbortController()
    const leaving = bytes(open(), undefined, controller.signal)
    const staying = bytes(open())
    hub.fault = ({ host }) => void (host === 'cdn' && setTimeout(() => controller.abort(new Error('left')), 5))
    await expect(leaving).rejects.toThrow('left')
    expectWeights(await staying)
    expect(gets()).toEqual(['hub all', 'cdn all'])
  })

  it('begin anew after the last caller left', async () => {
    hub.piece = 10_000
    const controller = new AbortController()
    hub.fault = ({ host }) => void (host === 'cdn' && setTimeout(() => controller.abort(new Error('left')), 5))
    const first = bytes(open(), undefined, controller.signal)
    await expect(first).rejects.toThrow('left')
    hub.fault = hub.piece = undefined
    expectWeights(await bytes(open()))
  })

  it('by two processes end in one whole file', async () => {
    hub.piece = 20_000
    const main = path.join(root, 'main.ts')
    const own = path.join(import.meta.dirname, '..')
    await writeFile(
      main,
      `import { folderCache } from ${JSON.stringify(path.join(own, 'src/runtimes/node-cache.ts'))}
import { hubSource } from ${JSON.stringify(path.join(own, 'src/weights/hub.ts'))}
const source = hubSource('org/tiny', { network: { fetch }, endpoint: process.argv[2]!, revision: 'main', subfolder: '', token: undefined,
  cache: folderCache(process.argv[3]!), offline: false, tell: undefined })
const reader = await source.open('model.safetensors')
console.log((await reader!.read(0, reader!.size)).length)
await reader!.close()`,
    )
    const { build } = await import('esbuild')
    const outfile = path.join(root, 'main.mjs')
    await build({ entryPoints: [main], outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'silent' })
    const cache = path.join(root, 'both')
    const one = (): Promise<{ stdout: string }> => promisify(execFile)(process.execPath, [outfile, hub.endpoint, cache])
    for (const { stdout } of await Promise.all([one(), one()])) expect(stdout.trim()).toBe('300000')
    expect(readdirSync(path.join(cache, 'models--org--tiny/blobs'))).toEqual([sha256(WEIGHTS)])
  })

  it('an unfinished file of a process that is no more is gone on with; one that is wrong is thrown away', async () => {
    await mkdir(folder('blobs'), { recursive: true })
    // No process has this number: Linux ends at 2^22.
    const partial = folder('blobs', `${sha256(WEIGHTS)}.7ffffff0.incomplete`)
    await writeFile(partial, WEIGHTS.subarray(0, 120_000))
    expectWeights(await bytes(open()))
    expect(gets().slice(2)).toEqual(['hub bytes=120000-', 'cdn bytes=120000-'])
    await rm(folder(), { recursive: true })
    await mkdir(folder('blobs'), { recursive: true })
    await writeFile(partial, new Uint8Array(120_000))
    expectWeights(await bytes(open()))
    expect(blobs()).toEqual([sha256(WEIGHTS)])
  })
})

describe('what the hub says', () => {
  const says = (status: number, headers: Record<string, string> = {}): void =>
    void (hub.fault = (_, response) => (response.writeHead(status, headers).end(), true))

  it.each([
    [
      401,
      { 'x-error-code': 'RepoNotFound' },
      'not_found',
      /model "org\/tiny": found nothing on the hub .*no such model, or a private one.*HF_TOKEN/,
    ],
    [401, {}, 'not_found', /unknown or private.*HF_TOKEN/],
    [404, { 'x-error-code': 'RevisionNotFound' }, 'not_found', /no revision "main" of it/],
    [403, { 'x-error-code': 'GatedRepo' }, 'forbidden', /agree to their terms.*token of that account/],
    [403, {}, 'forbidden', /status 403.*token/],
    [400, { 'x-error-message': 'Bad id' }, 'network', /status 400 \(Bad id\)/],
    [200, { 'x-repo-commit': '../../etc' }, 'network', /X-Repo-Commit: expected a commit of 40 digits/],
    [302, { location: 'ftp://elsewhere/' }, 'network', /redirects to "ftp:\/\/elsewhere\/", which is not followed/],
    [302, { location: '/org/tiny/resolve/main/config.json' }, 'network', /redirects more than 10 times/],
  ])('%i %j is an error of its own', async (status, headers, code, message) => {
    says(status, headers)
    await expect(open().text('config.json')).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string })
  })

  it.each(['../../../x', 'a/b', '.', ''])('an ETag %j names no file', async (etag) => {
    hub.fault = ({ method }, response) => {
      if (method === 'HEAD') return false
      response.writeHead(200, { etag: `"${etag}"`, 'content-length': 2 }).end('{}')
      return true
    }
    await expect(open().text('config.json')).rejects.toThrow(/expected an ETag of letters and digits/)
    expect(blobs()).toEqual([])
  })

  it.each(['99999999999999999999', '-1', '1e3'])('a length of %s is none', async (size) => {
    hub.fault = ({ method }, response) => {
      if (method === 'HEAD') return false
      response.writeHead(200, { etag: '"a"', 'x-linked-size': size }).end('{}')
      return true
    }
    await expect(open().text('config.json')).rejects.toThrow(/a length below 2\^53/)
  })

  it('a host without the headers of a hub is read, and nothing kept', async () => {
    hub.fault = ({ method, path: asked }, response) => {
      response.removeHeader('x-repo-commit')
      if (!asked.endsWith('config.json')) response.writeHead(404).end()
      else response.end(method === 'HEAD' ? undefined : CONFIG)
      return true
    }
    expect(await open().text('config.json')).toBe('{"model_type":"bert"}')
    expect(await open().text('vocab.txt')).toBeUndefined()
    expect(readdirSync(root)).toEqual([])
  })
})

it('bad names are refused before anything is asked', async () => {
  for (const id of ['a/b/c', '../x', 'a/..', 'a b', '-x/y', 'a--b/c', '']) expect(() => open({}, id)).toThrow(/a hub id, org\/name/)
  for (const revision of ['..', 'a/../b', 'a\\b', '/a']) expect(() => open({ revision })).toThrow(/revision: expected a branch/)
  for (const subfolder of ['../x', 'a\\b', 'C:x', '/a']) expect(() => open({ subfolder })).toThrow(/climb/)
  for (const file of ['../x', 'a/../../b', '..\\x', 'C:\\x', '/etc/passwd', '']) {
    await expect(open().text(file)).rejects.toThrow()
    await expect(open({ cache: undefined }).open(file)).rejects.toThrow()
  }
  expect(hub.seen.filter(({ method }) => method === 'GET')).toEqual([])
})

it('a folder of the repository is read as a model', async () => {
  const source = open({ subfolder: 'sub' })
  expect(await source.text('config.json')).toBe('{"model_type":"bert"}')
  expect(await source.list!()).toEqual(['config.json'])
})

it('a model streams from the hub into place, sequentially, and loads offline once it is kept', async () => {
  hub.files = checkpoint()
  const options = { threads: 0, endpoint: hub.endpoint, cache_dir: root }
  const run = async (more: object): Promise<unknown> => {
    const model = await BertModel.fromPretrained('org/tiny', { ...options, ...more })
    const { last_hidden_state } = await model({ input_ids: [[1, 2, 3]] })
    await model.dispose()
    return [...last_hidden_state.data]
  }
  const streamed = await run({ cache_dir: null })
  expect(gets()).toEqual(['hub all', 'cdn all'])
  expect(readdirSync(root)).toEqual([])
  expect(await run({})).toEqual(streamed)
  await hub.close()
  expect(await run({})).toEqual(streamed)
  expect(await run({ local_files_only: true })).toEqual(streamed)
})
