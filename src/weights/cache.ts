// Where files of the hub stay between runs. Commits do not change, so what is kept of one needs no further question.
import { expected } from '../errors.ts'
import type { ByteReader, ReadOptions } from './source.ts'
import { memorySource } from './source.ts'

/** One file of one commit. */
export interface CachedFile {
  /** `org/name`. */
  readonly repo: string
  readonly commit: string
  readonly path: string
}

export interface Cache {
  /** For messages. */
  readonly name: string
  /** The commit that a branch or tag stood for when it was last asked; of a commit itself, that one, when anything of it is kept. */
  ref(repo: string, revision: string): Promise<string | undefined>
  setRef(repo: string, revision: string, commit: string): Promise<void>
  /** A kept file; false when it is known not to exist, undefined when nothing is known. */
  open(file: CachedFile, options?: ReadOptions): Promise<ByteReader | false | undefined>
  /** Notes that the commit has no such file. */
  setAbsent(file: CachedFile): Promise<void>
  /** Begins to keep a file of that content; undefined when the content was there already, and is now in its place. */
  store(file: CachedFile, content: { etag: string; size: number }): Promise<CacheEntry | undefined>
  /** Does some work while nobody else, in another tab, does such work for the file. */
  exclusively?<T>(file: CachedFile, work: () => Promise<T>): Promise<T>
  /** Names of the files that are kept of a commit. */
  list?(repo: string, commit: string): Promise<string[]>
}

/** A file on its way into a cache: nobody sees it before finish(). */
export interface CacheEntry {
  /** Bytes that an earlier download left. */
  readonly have: number
  /** Those bytes, for the checksum. */
  existing(): AsyncIterable<Uint8Array>
  write(bytes: Uint8Array): Promise<void>
  /** Puts the whole and checked file into its place. */
  finish(): Promise<void>
  /** Gives up; what is there may stay for a later run to go on from. */
  abandon(keep: boolean): Promise<void>
}

/** What transformers.js calls a custom cache; a page's own `await caches.open(name)` is one. */
export interface ResponseCache {
  match(key: string): Promise<Response | undefined>
  put(key: string, response: Response): Promise<void>
}

/** A cache of responses by address. It keeps whole files only: put() rejects, and keeps nothing, when a download ends early. */
export function responseCache(cache: ResponseCache, endpoint: string): Cache {
  const key = ({ repo, commit, path }: CachedFile): string => `${endpoint}/${repo}/resolve/${commit}/${path}`
  const ref = (repo: string, revision: string): string => `${endpoint}/${repo}/refs/${encodeURIComponent(revision)}`
  return {
    name: 'the cache',
    ref: async (repo, revision) => (/^[0-9a-f]{40}$/.test(revision) ? revision : (await cache.match(ref(repo, revision)))?.text()),
    setRef: async (repo, revision, commit) => cache.put(ref(repo, revision), new Response(commit)),
    open: async (file, { signal } = {}) => {
      signal?.throwIfAborted()
      const response = await cache.match(key(file))
      if (response === undefined) return undefined
      if (response.headers.has('x-absent')) return false
      // A page's blob need not be in memory.
      return memorySource({ file: await response.blob() }).open('file')
    },
    setAbsent: async (file) => cache.put(key(file), new Response('', { headers: { 'x-absent': '1' } })),
    store: async (file, { etag, size }) => {
      let controller: ReadableStreamDefaultController<Uint8Array>
      let wanted: () => void = () => undefined
      const body = new ReadableStream<Uint8Array>({ start: (own) => void (controller = own), pull: () => wanted() })
      const headers = { etag, 'content-length': String(size) }
      const put = cache.put(key(file), new Response(body, { headers }))
      put.catch(() => wanted())
      return {
        have: 0,
        async *existing() {},
        write: async (bytes) => {
          controller.enqueue(bytes.slice())
          if (controller.desiredSize! > 0) return
          await Promise.race([put, new Promise<void>((resolve) => (wanted = resolve))])
        },
        finish: async () => {
          controller.close()
          await put
        },
        abandon: async () => {
          controller.error(new Error('the download was given up'))
          await put.catch(() => undefined)
        },
      }
    },
  }
}

/** Checks what a caller gave as a cache. */
export function checkResponseCache(cache: unknown): ResponseCache {
  const { match, put } = (cache ?? {}) as Partial<ResponseCache>
  if (typeof match === 'function' && typeof put === 'function') return cache as ResponseCache
  throw expected('env.customCache', 'an object with match(key) and put(key, response)', cache, 'In a page: await caches.open("bertlet")')
}
