// The Hugging Face hub: https://huggingface.co/org/name/resolve/revision/path. A branch is resolved to its commit first, so that all files are of one.
import { BertletError, Words, expected } from '../errors.ts'
import type { Cache } from './cache.ts'
import { fetchInto, isFull } from './download.ts'
import { ask, discard, host, refused, unlessAborted, type Answer, type Network } from './http.ts'
import { isObject } from '../json.ts'
import { progressed, type Tell } from './progress.ts'
import { checkFileName, type ByteReader, type ReadOptions, type Source } from './source.ts'
import { FileStream } from './stream.ts'
import { askJson, MAX_TEXT, pathOf, remoteSource } from './url.ts'

export interface HubOptions {
  readonly network: Network
  /** Without a `/` at its end. */
  readonly endpoint: string
  /** Branch, tag or commit. */
  readonly revision: string
  /** Folder in the repository; '' is its top. */
  readonly subfolder: string
  readonly token: string | undefined
  /** Absent: everything is streamed from the network. */
  readonly cache: Cache | Promise<Cache | undefined> | undefined
  /** No request at all. */
  readonly offline: boolean
  readonly tell: Tell | undefined
  /** What else the name could have been and was not, for the message. */
  readonly tried?: string
}

const COMMIT = /^[0-9a-f]{40}$/
/** Milliseconds for a first answer about a revision; after that the cache must do. */
const PATIENCE = 10_000

/** Whether a text can be the id of a repository: `org/name`, or the single name of an old one. */
export function isHubId(text: string): boolean {
  const part = /^[A-Za-z0-9_](?:[\w.-]*[\w-])?$/
  const parts = text.split('/')
  return parts.length <= 2 && parts.every((name) => part.test(name) && name.length <= 96 && !/--|\.\./.test(name))
}

/** What a revision stands for now. */
interface Pinned {
  /** Unknown where a host has the hub's addresses and not its headers: then nothing is kept. */
  readonly commit: string | undefined
  /** The hub does not answer, or is not to be asked. */
  readonly offline: boolean
}

export function hubSource(id: string, options: HubOptions): Source {
  return new Hub(id, options)
}

class Hub implements Source {
  private pinned: Promise<Pinned> | undefined

  constructor(
    readonly name: string,
    private readonly options: HubOptions,
  ) {
    if (!isHubId(name)) throw expected('model', 'a hub id, org/name', name)
    const { revision, subfolder } = options
    if (revision.split('/').some((part) => part === '' || /^\.+$/.test(part)) || /[\\:\s]/.test(revision))
      throw expected('revision', 'a branch, tag or commit', revision)
    if (subfolder !== '') checkFileName(subfolder)
  }

  async text(file: string, options?: ReadOptions): Promise<string | undefined> {
    const { tell } = this.options
    const { cache, commit } = await this.pin(options?.signal)
    if (cache === undefined || commit === undefined) return this.streamed().text(file, options)
    const reader = await this.open(file, options)
    if (reader === undefined) return undefined
    try {
      const { size } = reader
      if (size > MAX_TEXT) throw expected(file, `at most ${MAX_TEXT} bytes of text`, new Words(`${size}`), undefined, 'invalid_file')
      const text = new TextDecoder().decode(await reader.read(0, size))
      if (reader.told) return text
      tell?.({ status: 'initiate', name: this.name, file })
      tell?.(progressed(this.name, file, size, size))
      tell?.({ status: 'done', name: this.name, file })
      return text
    } finally {
      await reader.close()
    }
  }

  async open(file: string, { signal }: ReadOptions = {}): Promise<ByteReader | undefined> {
    const { cache, commit, offline } = await this.pin(signal)
    if (cache === undefined || commit === undefined) return this.streamed().open(file, { signal })
    const place = { repo: this.name, commit, path: this.path(file) }
    const kept = await cache.open(place, { signal })
    if (kept !== undefined) return kept === false ? undefined : kept
    if (offline) return undefined
    const { tell, network } = this.options
    const ask = (stop: AbortSignal): Promise<FileStream | undefined> => this.request(file, commit, stop)
    try {
      if (!(await fetchInto(cache, place, ask, { network, signal, tell, name: this.name, file }))) return undefined
    } catch (error) {
      // What cannot be kept streams into place.
      if (!isFull(error)) throw error
      return this.streamed().open(file, { signal })
    }
    const reader = await cache.open(place, { signal })
    if (!reader) throw new BertletError('internal', `${cache.name} lost ${file} as soon as it had it`)
    return { ...reader, told: true }
  }

  async list({ signal }: ReadOptions = {}): Promise<string[]> {
    const { cache, commit, offline } = await this.pin(signal)
    const { endpoint, network, token, revision } = this.options
    let all: unknown[]
    if (offline) all = (await cache?.list?.(this.name, commit!)) ?? []
    else {
      const url = `${endpoint}/api/models/${this.name}/revision/${encodeURIComponent(commit ?? revision)}`
      const info = await askJson(network, url, token, signal)
      const siblings = isObject(info) && Array.isArray(info.siblings) ? (info.siblings as { rfilename?: unknown }[]) : []
      all = siblings.map(({ rfilename }) => rfilename)
    }
    const prefix = this.path('')
    return all
      .filter((file): file is string => typeof file === 'string' && file.startsWith(prefix))
      .map((file) => file.slice(prefix.length))
      .filter((file) => !file.includes('/'))
  }

  private path(file: string): string {
    const { subfolder } = this.options
    if (file !== '') checkFileName(file)
    return subfolder === '' ? file : `${subfolder}/${file}`
  }

  private url(file: string, revision: string): string {
    return `${this.options.endpoint}/${this.name}/resolve/${encodeURIComponent(revision)}/${pathOf(this.path(file))}`
  }

  private async request(file: string, revision: string, signal: AbortSignal | undefined): Promise<FileStream | undefined> {
    const { network, token } = this.options
    const request = { url: this.url(file, revision), token, signal }
    return FileStream.open(network, request, file, { missing: (answer) => this.missing(answer), checked: true })
  }

  /** Straight from the network: no cache, or no commit to keep files under. */
  private streamed(): Source {
    const open = async (file: string, { signal }: ReadOptions = {}): Promise<FileStream | undefined> => {
      const { commit } = await this.pin(signal)
      return this.request(file, commit ?? this.options.revision, signal)
    }
    return remoteSource(this.name, open, this.options.tell)
  }

  /** Asked once, for all callers: none of their signals ends it. */
  private async pin(signal: AbortSignal | undefined): Promise<Pinned & { cache: Cache | undefined }> {
    signal?.throwIfAborted()
    this.pinned ??= this.resolve().catch((error: unknown) => {
      this.pinned = undefined
      throw error
    })
    return { ...(await unlessAborted(this.pinned, signal)), cache: await this.options.cache }
  }

  private async resolve(): Promise<Pinned> {
    const { network, offline, revision, token } = this.options
    const cache = await this.options.cache
    const known = await cache?.ref(this.name, revision)
    if (offline) {
      if (known !== undefined) return { commit: known, offline }
      throw this.nothing(`it is not in ${cache?.name ?? 'a cache, for none is used'}, and the hub may not be asked`)
    }
    if (COMMIT.test(revision)) return { commit: revision, offline }
    const url = this.url('config.json', revision)
    // With something to fall back on nobody need wait for a hub that is ill.
    const attempts = known === undefined ? undefined : 1
    let answer: Answer
    try {
      answer = await ask(network, { url, token, method: 'HEAD', attempts, connections: 1, signal: AbortSignal.timeout(PATIENCE) })
    } catch (error) {
      if (known !== undefined) return { commit: known, offline: true }
      if ((error as Error).name === 'TimeoutError') {
        throw new BertletError('network', `${host(url)} has not answered for ${PATIENCE / 1000} s`, undefined, { cause: error })
      }
      throw error instanceof BertletError && this.options.tried !== undefined ? this.nothing(error.message) : error
    }
    await discard(answer.response)
    const { status } = answer.response
    if (known !== undefined && (status === 408 || status === 429 || status >= 500)) return { commit: known, offline: true }
    const commit = answer.own.get('x-repo-commit') ?? undefined
    // Without the hub's headers there is no telling whether this file or everything is missing: the file itself is asked for.
    if (!this.missing(answer) && status >= 400 && status !== 405 && status !== 501) throw refused(url, answer)
    if (commit === undefined) {
      if (status === 404 && this.options.tried !== undefined) throw this.nothing('status 404')
      return { commit, offline: false }
    }
    if (!COMMIT.test(commit)) throw expected('X-Repo-Commit', 'a commit of 40 digits', commit, 'Is that host a hub?', 'network')
    if (commit !== known) await cache?.setRef(this.name, revision, commit)
    return { commit, offline: false }
  }

  /** Whether an answer says that the commit has no such file. What says more is thrown. */
  private missing(answer: Answer): boolean {
    const { response, own } = answer
    const { revision, endpoint, token } = this.options
    const signIn =
      token === undefined ? 'If it is private, give a token: the option or HF_TOKEN' : 'Check its name, and whether the token may read it'
    const code = own.get('x-error-code')
    if (code === 'EntryNotFound') return true
    if (code === 'RepoNotFound') throw this.nothing('it has no such model, or a private one', signIn)
    if (code === 'RevisionNotFound') {
      const what = `${this.name}: the hub has no revision ${JSON.stringify(revision)} of it`
      throw new BertletError('not_found', what, 'Check the branch, tag or commit')
    }
    if (code === 'GatedRepo') {
      const what = `${this.name}: its authors ask you to agree to their terms first`
      throw new BertletError('forbidden', what, `Do so at ${endpoint}/${this.name}, and give a token of that account`)
    }
    if (response.status === 401) throw this.nothing('status 401: unknown or private', signIn)
    return response.status === 404
  }

  private nothing(why: string, fix?: string): BertletError {
    const { tried, endpoint, revision } = this.options
    const before = tried === undefined ? '' : `${tried}, and `
    const where = `${host(endpoint)}${revision === 'main' ? '' : ` at revision ${revision}`}`
    return new BertletError(
      'not_found',
      `model ${JSON.stringify(this.name)}: found ${before}nothing on the hub ${where}: ${why}`,
      fix ?? 'Give the path of a checkpoint folder, an installed npm package, or a hub id org/name',
    )
  }
}
