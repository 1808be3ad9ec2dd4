// The hub's files in a page's Cache storage, in parts: a download goes on behind the last part that was kept, whatever ended it.
import type { Cache, CachedFile } from '../weights/cache.ts'
import type { ByteReader } from '../weights/source.ts'

/** Bytes of a part: what a closed tab loses at most. */
const PART = 1 << 22

const address = ({ repo, commit, path }: CachedFile): string => `https://huggingface.co/${repo}/resolve/${commit}/${path}`
const partOf = (file: CachedFile, part: number): string => `${address(file)}?part=${part}`
const refOf = (repo: string, revision: string): string => `https://huggingface.co/${repo}/refs/${encodeURIComponent(revision)}`

/** A cache of this origin, which its pages and workers share; undefined where the browser gives none, as to some frames of other sites. */
export async function webCache(name: string): Promise<Cache | undefined> {
  const cache = await caches.open(name).catch(() => undefined)
  return cache && cacheOf(cache, name)
}

function cacheOf(cache: globalThis.Cache, name: string): Cache {
  const bytesOf = async (file: CachedFile, part: number): Promise<Blob | undefined> => (await cache.match(partOf(file, part)))?.blob()

  async function forget(file: CachedFile): Promise<void> {
    await cache.delete(address(file))
    for (let part = 0; await cache.delete(partOf(file, part)); part++);
  }

  return {
    name: `the cache ${JSON.stringify(name)} of this origin`,
    ref: async (repo, revision) => (/^[0-9a-f]{40}$/.test(revision) ? revision : (await cache.match(refOf(repo, revision)))?.text()),
    // What is only a shortcut may fail where the storage is full.
    setRef: (repo, revision, commit) => cache.put(refOf(repo, revision), new Response(commit)).catch(() => undefined),
    async open(file, { signal } = {}) {
      signal?.throwIfAborted()
      const whole = await cache.match(address(file))
      if (whole === undefined) return undefined
      if (whole.headers.has('x-absent')) return false
      const size = Number(whole.headers.get('x-size'))
      // A blob need not be in memory.
      const parts: Blob[] = []
      let bytes = 0
      for (let part = 0; bytes < size; part++) {
        const blob = await bytesOf(file, part)
        if (blob === undefined) break
        parts.push(blob)
        bytes += blob.size
      }
      if (bytes === size) return partsReader(parts, size)
      await forget(file)
      return undefined
    },
    setAbsent: (file) => cache.put(address(file), new Response('', { headers: { 'x-absent': '1' } })).catch(() => undefined),
    exclusively: async (file, work) => (navigator.locks === undefined ? work() : navigator.locks.request(address(file), () => work())),
    async store(file, { etag, size }) {
      let [part, have] = [0, 0]
      for (;;) {
        const kept = await cache.match(partOf(file, part))
        if (kept?.headers.get('x-etag') !== etag) break
        have += (await kept.blob()).size
        part++
      }
      if (have > size || (have === size && size > 0)) {
        await forget(file)
        ;[part, have] = [0, 0]
      }
      const first = part
      let [waiting, length] = [[] as Uint8Array<ArrayBuffer>[], 0]
      const put = async (): Promise<void> => {
        await cache.put(partOf(file, part++), new Response(new Blob(waiting), { headers: { 'x-etag': etag } }))
        ;[waiting, length] = [[], 0]
      }
      return {
        have,
        async *existing() {
          for (let i = 0; i < first; i++) yield new Uint8Array(await (await bytesOf(file, i))!.arrayBuffer())
        },
        write: async (bytes) => {
          waiting.push(bytes.slice())
          length += bytes.length
          if (length >= PART) await put()
        },
        finish: async () => {
          if (length > 0) await put()
          await cache.put(address(file), new Response('', { headers: { 'x-size': String(size) } }))
        },
        abandon: async (keep) => {
          if (!keep) await forget(file)
        },
      }
    },
  }
}

function partsReader(parts: readonly Blob[], size: number): ByteReader {
  return {
    size,
    async read(start, end, into = new Uint8Array(end - start)) {
      if (end > size) throw new RangeError(`bytes ${start} to ${end} of a file of ${size}`)
      let at = 0
      for (const part of parts) {
        const [from, to] = [Math.max(start, at), Math.min(end, at + part.size)]
        if (from < to) into.set(new Uint8Array(await part.slice(from - at, to - at).arrayBuffer()), from - start)
        at += part.size
      }
      return into.subarray(0, end - start)
    },
    close: async () => undefined,
  }
}
