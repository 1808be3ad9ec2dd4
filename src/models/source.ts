// What a model is loaded from: everything that fromPretrained(), Tokenizer.fromPretrained() and pipeline() take as their first argument.
import { currentRuntime } from '../engine/engine.ts'
import { BertletError, Words, checkOptions, expected, flagOf, nearest, show } from '../errors.ts'
import type { Cache, ResponseCache } from '../weights/cache.ts'
import { checkHubName, isHubId } from '../weights/hub-id.ts'
import type { DirectoryHandle } from '../weights/handle.ts'
import type { Fetch, Network } from '../weights/http.ts'
import type { ProgressEvent } from '../weights/progress.ts'
import { fileListSource, isFileBytes, laterSource, memorySource, type FileBytes, type Source } from '../weights/source.ts'
import { env } from './env.ts'

/**
 * A name (folder, npm package, address, hub id), files in memory by their names, the files of a folder picker, a page's directory handle (OPFS), or a place
 * of one's own.
 */
export type ModelSource = string | URL | Source | DirectoryHandle | Readonly<Record<string, FileBytes>> | Iterable<Blob>

export interface SourceOptions {
  /** Branch, tag or commit of a hub id; `main` by default. */
  readonly revision?: string
  /** Folder that holds the model inside the source. */
  readonly subfolder?: string
  /** Access token of the hub; HF_TOKEN by default, none when false. Sent to no other host. */
  readonly token?: string | false | null
  /** The hub; https://huggingface.co by default. */
  readonly endpoint?: string
  /** Where files of the hub are kept; Python's cache by default. null or false: nowhere, weights stream from the network into place. */
  readonly cache_dir?: string | false | null
  /** No request: only what is on this machine. */
  readonly local_files_only?: boolean
  /** What fetches, instead of the global fetch. */
  readonly fetch?: Fetch
  readonly signal?: AbortSignal
  readonly progress_callback?: (event: ProgressEvent) => void
}

export const SOURCE_OPTIONS = [
  'revision',
  'subfolder',
  'token',
  'endpoint',
  'cache_dir',
  'local_files_only',
  'fetch',
  'signal',
  'progress_callback',
] as const satisfies readonly (keyof SourceOptions)[]

/** Opens a source. A plain name is a folder, or else an installed npm package, or else a hub id. Nothing is read or asked yet. */
export function openSource(from: ModelSource, options: SourceOptions = {}): Source {
  checkSourceOptions(options)
  if (typeof from === 'string' || from instanceof URL) return named(String(from), options)
  if (typeof from === 'object' && from !== null) {
    if (typeof (from as Source).open === 'function') return from as Source
    if (isDirectoryHandle(from)) return inFolder(fromHandle(from), options)
    if (Symbol.iterator in from && !ArrayBuffer.isView(from)) return inFolder(fileListSource(from), options)
    if (!isFileBytes(from)) return inFolder(fromObject(from as Readonly<Record<string, unknown>>), options)
  }
  const fix = typeof from === 'function' ? 'Of a model that is loaded, give what it was loaded from' : undefined
  throw expected('model', 'a folder, npm package, address, hub id, files by name, or a source', from, fix)
}

export const isDirectoryHandle = (from: object): from is DirectoryHandle =>
  (from as Partial<DirectoryHandle>).kind === 'directory' && typeof (from as Partial<DirectoryHandle>).getFileHandle === 'function'

/** At one place: what is handed to a piece is written out where it is loaded. */
const remote = () => import('../weights/remote.ts')

const fromHandle = (folder: DirectoryHandle): Source =>
  laterSource(folder.name || 'files', async () => (await import('../weights/handle.ts')).handleSource(folder))

function fromObject(files: Readonly<Record<string, unknown>>): Source {
  for (const [name, bytes] of Object.entries(files)) {
    if (!isFileBytes(bytes)) throw expected(`model: file ${show(name)}`, 'a Uint8Array, ArrayBuffer, Blob or text', bytes)
  }
  return memorySource(files as Readonly<Record<string, FileBytes>>)
}

function named(name: string, options: SourceOptions): Source {
  if (name === '') throw expected('model', 'a folder, npm package, address or hub id', name)
  if (/^https?:/i.test(name)) return fromUrl(name, options)
  if (/^hf:/i.test(name)) return fromHub(name.replace(/^hf:(\/\/)?/i, ''), options)
  if (/^[a-z][a-z\d+.-]+:/i.test(name) && !/^file:/i.test(name)) {
    throw expected('model', 'an address that begins with https:, http:, file: or hf:', name)
  }
  const tried: string[] = []
  if (env.allowLocalModels) {
    for (const place of [...localPlaces(name), name]) {
      if (/^https?:/i.test(place)) return fromUrl(place, options)
      const source = currentRuntime().source(place)
      if (source !== undefined) return inFolder(source, options)
      const near = nearest(place, currentRuntime().beside?.(place) ?? [])
      tried.push(`no folder ${JSON.stringify(place)}${near === undefined ? '' : ` (but ${JSON.stringify(near)})`}`)
    }
    tried.push('no installed npm package of that name')
  }
  if (isHubId(name)) return fromHub(name, options, tried.length === 0 ? undefined : tried.join(', '))
  throw new BertletError(
    'not_found',
    `model: found ${tried.join(' and ') || 'nothing'}; a hub id, org/name, cannot be ${JSON.stringify(name)}`,
    'Give the path of a Hugging Face checkpoint folder, or install the package that holds it',
  )
}

function localPlaces(name: string): string[] {
  const base = env.localModelPath
  return base === undefined || /^(file:|[/\\.~])/i.test(name) || !isHubId(name) ? [] : [`${base.replace(/\/+$/, '')}/${name}`]
}

function fromUrl(url: string, options: SourceOptions): Source {
  if (!URL.canParse(url)) throw expected('model', 'an address', url)
  const { origin, pathname } = new URL(url)
  // The address of a model's page on the hub.
  const [, id, , revision] = /^\/([^/]+\/[^/]+?)\/?(\/(?:tree|resolve)\/([^/]+)\/?)?$/.exec(pathname) ?? []
  if (origin === new URL(endpointOf(options)).origin && id !== undefined && isHubId(id)) {
    return fromHub(id, revision === undefined ? options : { ...options, revision: decodeURIComponent(revision) })
  }
  if (options.local_files_only === true || !env.allowRemoteModels || currentRuntime().hub().offline === true) {
    throw expected('model', 'a place on this machine, for nothing may be fetched', url, 'Download the folder and give its path')
  }
  const { token, progress_callback: tell } = options
  const network = networkOf(options)
  const load = async (): Promise<Source> => (await remote()).urlSource(url, { network, token: token || undefined, tell })
  return inFolder(laterSource(origin + pathname, load), options)
}

function fromHub(id: string, options: SourceOptions, tried?: string): Source {
  const endpoint = endpointOf(options)
  const { revision = 'main', subfolder = '', token, progress_callback: tell } = options
  const common = {
    network: networkOf(options),
    endpoint,
    revision,
    subfolder,
    token: token === false ? undefined : (token ?? ownToken(endpoint)),
    offline: hubSettings(options).offline,
    tell,
    tried,
  }
  checkHubName(id, common)
  const own = options.cache_dir === undefined && env.customCache !== undefined ? checkResponseCache(env.customCache) : undefined
  const folder = own === undefined ? cacheOf(options) : undefined
  return laterSource(id, async () => {
    const { hubSource, responseCache } = await remote()
    return hubSource(id, { ...common, cache: own === undefined ? folder : responseCache(own, endpoint) })
  })
}

/** The hub that would be asked, where its files are kept, and whether it may be asked at all. */
export function hubSettings(options: SourceOptions = {}): { endpoint: string; cache_dir: string | undefined; offline: boolean } {
  const { cacheDir, offline = false } = currentRuntime().hub()
  const folder = options.cache_dir === undefined ? (env.cacheDir === undefined ? cacheDir : env.cacheDir) : options.cache_dir
  return {
    endpoint: endpointOf(options),
    cache_dir: folder || undefined,
    offline: options.local_files_only ?? (!env.allowRemoteModels || offline),
  }
}

/** The environment's token is for the hub that the environment names, not for one that a call or a program names. */
function ownToken(endpoint: string): string | undefined {
  const { endpoint: own = 'https://huggingface.co', token } = currentRuntime().hub()
  return own.replace(/\/+$/, '') === endpoint ? token?.() : undefined
}

function endpointOf({ endpoint }: SourceOptions): string {
  const url = endpoint ?? env.remoteHost ?? currentRuntime().hub().endpoint ?? 'https://huggingface.co'
  if (typeof url === 'string' && /^https?:/i.test(url) && URL.canParse(url)) return url.replace(/\/+$/, '')
  throw expected('endpoint', 'the address of a hub, such as https://huggingface.co', url)
}

function cacheOf(options: SourceOptions): Cache | Promise<Cache | undefined> | undefined {
  const { cache } = currentRuntime().hub()
  const { cache_dir: folder } = hubSettings(options)
  if (folder === undefined) return undefined
  if (cache !== undefined) return cache(folder)
  throw new BertletError('unsupported', 'cache_dir: this platform has no folders', 'Set env.customCache instead')
}

/** Checks what a caller gave as a cache. */
function checkResponseCache(cache: unknown): ResponseCache {
  const { match, put } = (cache ?? {}) as Partial<ResponseCache>
  if (typeof match === 'function' && typeof put === 'function') return cache as ResponseCache
  throw expected('env.customCache', 'an object with match(key) and put(key, response)', cache, 'In a page: await caches.open("bertlet")')
}

function networkOf(options: SourceOptions): Network {
  const fetching = options.fetch ?? env.fetch ?? (globalThis as { fetch?: Fetch }).fetch
  if (typeof fetching !== 'function') throw expected('fetch', 'a function', fetching, 'Give option fetch: this platform has none')
  return { fetch: (url, init) => fetching(url, init), sha256: currentRuntime().hub().sha256 }
}

/** A source whose files lie in `subfolder` of another. */
function inFolder(source: Source, { subfolder }: SourceOptions): Source {
  if (subfolder === undefined || subfolder === '') return source
  const inside = (file: string): string => `${subfolder}/${file}`
  return {
    name: `${source.name}/${subfolder}`,
    text: (file, options) => source.text(inside(file), options),
    open: (file, options) => source.open(inside(file), options),
  }
}

/** Checks the types of the options; unknown ones are found by whoever takes them. */
export function checkSourceOptions(options: SourceOptions): void {
  const { revision, subfolder, token, cache_dir: folder, local_files_only: local, fetch: fetching } = options
  if (revision !== undefined && (typeof revision !== 'string' || revision === ''))
    throw expected('revision', 'a branch, tag or commit', revision)
  if (subfolder !== undefined && subfolder !== '') {
    const climbs = typeof subfolder !== 'string' || /[\\:\0]/.test(subfolder) || subfolder.split('/').some((part) => /^\.{0,2}$/.test(part))
    if (climbs)
      throw expected('subfolder', 'a folder inside the model, such as onnx or 0_Transformer', subfolder, 'Paths may not climb out of it')
  }
  if (token !== undefined && token !== null && token !== false && (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))) {
    throw expected('token', 'an access token, or false', typeof token === 'string' ? new Words('a text that is none') : token)
  }
  if (folder !== undefined && folder !== null && folder !== false && (typeof folder !== 'string' || folder === ''))
    throw expected('cache_dir', 'the path of a folder, or null', folder)
  flagOf('local_files_only', local ?? false)
  if (options.endpoint !== undefined) endpointOf(options)
  if (fetching !== undefined && typeof fetching !== 'function') throw expected('fetch', 'a function', fetching)
  checkHooks(options)
}

/** What loading and calls have in common. */
export function checkHooks({ signal, progress_callback: tell }: { signal?: AbortSignal; progress_callback?: unknown }): void {
  if (signal !== undefined && typeof (signal as Partial<AbortSignal> | null)?.throwIfAborted !== 'function')
    throw expected('signal', 'an AbortSignal', signal)
  if (tell !== undefined && typeof tell !== 'function') throw expected('progress_callback', 'a function', tell)
}

/** Options of a call that takes nothing but a source's. */
export function checkOnlySourceOptions(subject: string, options: SourceOptions): void {
  checkOptions(subject, options, SOURCE_OPTIONS)
  checkSourceOptions(options)
}
