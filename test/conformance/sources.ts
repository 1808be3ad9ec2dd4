// Sources in any runtime: files in memory and a hub behind an injected fetch. No socket and no file is used.
import { BertModel, env, type ProgressEvent } from '../../src/index.ts'
import { openSource } from '../../src/models/source.ts'
import { checkpoint } from '../support/models.ts'
import { check, rejects, same, type ConformanceCase } from './case.ts'

const COMMIT = 'c'.repeat(40)
const ENDPOINT = 'https://hub.invalid'

/** A hub that holds `files`; notes what it was asked. Where `cutAt` is given, the first answer with weights ends there. */
function hub(files: Record<string, Uint8Array>, { cutAt }: { cutAt?: number } = {}) {
  const asked: string[] = []
  const fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    init.signal?.throwIfAborted()
    const { pathname } = new URL(url)
    const range = (init.headers as Record<string, string>).Range
    asked.push(`${init.method} ${pathname.split('/').slice(4).join('/')}${range === undefined ? '' : ` ${range}`}`)
    const bytes = files[pathname.split('/').at(-1)!]
    const headers: Record<string, string> = { 'x-repo-commit': COMMIT, etag: '"abc"' }
    if (bytes === undefined) return new Response(null, { status: 404, headers: { ...headers, 'x-error-code': 'EntryNotFound' } })
    const from = range === undefined ? 0 : Number(range.slice(6, -1))
    if (from > 0) headers['content-range'] = `bytes ${from}-${bytes.length - 1}/${bytes.length}`
    headers['content-length'] = String(bytes.length - from)
    if (init.method === 'HEAD') return new Response(null, { headers })
    const isCut = from === 0 && cutAt !== undefined && pathname.endsWith('.safetensors')
    const body = bytes.slice(from, isCut ? cutAt : undefined)
    return new Response(body, { status: from > 0 ? 206 : 200, headers })
  }
  return { asked, fetch }
}

async function states(from: Parameters<typeof openSource>[0], options: object = {}): Promise<number[]> {
  const model = await BertModel.fromPretrained(from, { threads: 0, ...options })
  try {
    return [...(await model({ input_ids: [[1, 2, 3]] })).last_hidden_state.data]
  } finally {
    await model.dispose()
  }
}

/** What a page's Cache does, in a map. */
function mapCache() {
  const kept = new Map<string, Response>()
  return {
    kept,
    match: async (key: string) => kept.get(key)?.clone(),
    put: async (key: string, response: Response) => {
      const body = await response.arrayBuffer()
      kept.set(key, new Response(body, { headers: response.headers }))
    },
  }
}

export const SOURCE_CASES: readonly ConformanceCase[] = [
  {
    name: 'files by their names, as bytes, buffers and blobs',
    run: async () => {
      const files = checkpoint()
      const want = await states(files)
      const each = (to: (bytes: Uint8Array<ArrayBuffer>) => ArrayBuffer | Blob) =>
        Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, to(bytes.slice())]))
      same(await states(each((bytes) => bytes.buffer)), want, 'from buffers')
      same(await states(each((bytes) => new Blob([bytes]))), want, 'from blobs')
    },
  },
  {
    name: 'a hub: one request per file, in order, and no byte twice when the connection is cut',
    run: async () => {
      const files = checkpoint()
      const want = await states(files)
      const options = { endpoint: ENDPOINT, cache_dir: null }
      const whole = hub(files)
      same(await states('hf:org/tiny', { ...options, fetch: whole.fetch }), want, 'hidden states')
      const at = `resolve/${COMMIT}`.slice(8)
      same(whole.asked, ['HEAD main/config.json', `GET ${at}/config.json`, `GET ${at}/model.safetensors`], 'requests')
    },
  },
  {
    name: 'a cut connection goes on by range',
    run: async () => {
      const files = checkpoint()
      const source = hub(files, { cutAt: 5000 })
      const got = await states('hf:org/tiny', { endpoint: ENDPOINT, cache_dir: null, fetch: source.fetch })
      same(got, await states(files), 'hidden states')
      check(source.asked.at(-1)!.endsWith('model.safetensors bytes=5000-'), `a range at the end, got ${source.asked.at(-1)}`)
    },
  },
  {
    name: 'a cache of responses keeps a model for when the hub is gone',
    run: async () => {
      const before = env.customCache
      const cache = mapCache()
      env.customCache = cache
      try {
        const { fetch } = hub(checkpoint())
        const want = await states('hf:org/tiny', { endpoint: ENDPOINT, fetch })
        const gone = (): Promise<Response> => Promise.reject(new TypeError('no network'))
        same(await states('hf:org/tiny', { endpoint: ENDPOINT, fetch: gone }), want, 'without a network')
        same(await states('hf:org/tiny', { endpoint: ENDPOINT, fetch: gone, local_files_only: true }), want, 'asking nobody')
        check(cache.kept.has(`${ENDPOINT}/org/tiny/resolve/${COMMIT}/model.safetensors`), 'keys are addresses')
      } finally {
        env.customCache = before
      }
    },
  },
  {
    name: 'progress has the shape of transformers.js',
    run: async () => {
      const events: ProgressEvent[] = []
      await states(checkpoint(), { progress_callback: (event: ProgressEvent) => events.push(event) })
      same([...new Set(events.map(({ status }) => status))], ['initiate', 'download', 'progress', 'done'], 'statuses')
    },
  },
  {
    name: 'the signal and bad names',
    run: async () => {
      const { fetch } = hub(checkpoint())
      const options = { endpoint: ENDPOINT, cache_dir: null, fetch }
      const signal = AbortSignal.abort(new Error('enough'))
      await rejects(() => states('hf:org/tiny', { ...options, signal }), /enough/, 'an aborted signal')
      await rejects(() => openSource('hf:org/tiny', options).text('../x'), /climb/, 'a name that climbs')
      await rejects(() => states('hf:a/b/c', options), /a hub id/, 'an id of three parts')
    },
  },
]
