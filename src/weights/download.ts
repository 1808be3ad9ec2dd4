// From the network into a cache: one download for all who want a file, going on where an earlier one stopped.
import { expected, Words } from '../errors.ts'
import type { Cache, CachedFile, CacheEntry } from './cache.ts'
import { unlessAborted, type Network } from './http.ts'
import { progressed, type ProgressEvent, type Tell } from './progress.ts'
import { ChecksumError, type FileStream } from './stream.ts'

export interface FetchOptions {
  readonly network: Network
  readonly signal?: AbortSignal | undefined
  readonly tell?: Tell | undefined
  /** For the events. */
  readonly name: string
  readonly file: string
}

type Request = (signal: AbortSignal) => Promise<FileStream | undefined>

/** A download and those who wait for it; it ends when the last of them has gone. */
interface Running {
  readonly done: Promise<boolean>
  readonly tells: Set<Tell>
  /** What a latecomer has missed. */
  readonly told: ProgressEvent[]
  readonly stop: AbortController
  waiting: number
}

const running = new Map<string, Running>()

/** Brings a file into a cache; false when the server has no such file. */
export async function fetchInto(cache: Cache, place: CachedFile, request: Request, options: FetchOptions): Promise<boolean> {
  const { signal, tell } = options
  const key = JSON.stringify([cache.name, place])
  let shared = running.get(key)
  if (shared === undefined) {
    const tells = new Set<Tell>()
    const stop = new AbortController()
    const told: ProgressEvent[] = []
    const all = (event: ProgressEvent): void => {
      if (event.status !== 'progress') told.push(event)
      tells.forEach((one) => one(event))
    }
    if (tell !== undefined) tells.add(tell)
    const mayBegin = <T>(work: () => Promise<T>): Promise<T> => cache.exclusively?.(place, work) ?? work()
    const done = mayBegin(() => download(cache, place, request, { ...options, signal: stop.signal, tell: all }))
    const mine: Running = { done, tells, told, stop, waiting: 0 }
    const forget = (): void => void (running.get(key) === mine && running.delete(key))
    done.then(forget, forget)
    running.set(key, (shared = mine))
  } else if (tell !== undefined) {
    shared.told.forEach(tell)
    shared.tells.add(tell)
  }
  shared.waiting++
  try {
    return await unlessAborted(shared.done, signal)
  } finally {
    if (--shared.waiting === 0 && signal?.aborted) {
      // A newcomer begins anew, and the files of the old one are closed before its caller hears of the end.
      running.delete(key)
      shared.stop.abort(signal.reason)
      await shared.done.catch(() => undefined)
    } else if (tell !== undefined && signal?.aborted) shared.tells.delete(tell)
  }
}

async function download(cache: Cache, place: CachedFile, request: Request, options: FetchOptions & { tell: Tell }): Promise<boolean> {
  const { name, file, tell } = options
  const signal = options.signal!
  tell({ status: 'initiate', name, file })
  // Another tab may have had the turn before.
  const kept = cache.exclusively && (await cache.open(place, { signal }))
  if (kept !== undefined) {
    if (kept === false) return false
    tell(progressed(name, file, kept.size, kept.size))
    tell({ status: 'done', name, file })
    await kept.close()
    return true
  }
  for (let again = false; ; again = true) {
    const stream = await request(signal)
    if (stream === undefined) {
      await cache.setAbsent(place)
      return false
    }
    let entry: CacheEntry | undefined
    try {
      const { etag, size } = stream.facts
      // The etag names a file in the cache.
      if (etag === undefined || !/^[\w-][\w.-]{0,127}$/.test(etag)) throw unfit(file, 'an ETag of letters and digits', etag)
      if (size === undefined) throw unfit(file, 'its length', size)
      tell({ status: 'download', name, file })
      entry = await cache.store(place, { etag, size })
      if (entry === undefined) tell(progressed(name, file, size, size))
      else await fill(entry, stream, (loaded) => tell(progressed(name, file, loaded, size)))
      tell({ status: 'done', name, file })
      return true
    } catch (error) {
      await entry?.abandon(!(error instanceof ChecksumError || isFull(error)))
      // What an earlier run left may be what is wrong.
      if (error instanceof ChecksumError && entry!.have > 0 && !again) continue
      throw error
    } finally {
      await stream.close()
    }
  }
}

/** A page's storage is full. */
export const isFull = (error: unknown): boolean => (error as Error).name === 'QuotaExceededError'

async function fill(entry: CacheEntry, stream: FileStream, tell: (loaded: number) => void): Promise<void> {
  let loaded = 0
  if (entry.have > 0) {
    const hash = stream.newHash()
    for await (const bytes of entry.existing()) {
      hash?.update(bytes)
      loaded += bytes.length
    }
    await stream.seek(loaded, hash)
  }
  for (let bytes = await stream.next(); bytes !== undefined; bytes = await stream.next()) {
    await entry.write(bytes)
    tell((loaded += bytes.length))
  }
  await entry.finish()
}

function unfit(file: string, wanted: string, got: unknown): Error {
  return expected(`the hub's answer for ${file}`, wanted, got ?? new Words('none'), 'cache_dir: null loads without keeping it', 'network')
}
