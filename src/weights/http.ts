// HTTP as the sources need it: redirects that keep secrets at home, and polite retries.
import { BertletError } from '../errors.ts'

/** The part of fetch that is used; a caller may give its own. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>

export interface Hash {
  update(bytes: Uint8Array): unknown
  /** In hexadecimal. */
  digest(): string
}

export interface Network {
  readonly fetch: Fetch
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
  /** SHA-256 in pieces. Where a platform has none (crypto.subtle takes only whole buffers) lengths are checked and contents are not. */
  readonly sha256?: (() => Hash) | undefined
}

export interface Ask {
  readonly url: string
  /** Sent to the url's own origin only. */
  readonly token?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly method?: 'GET' | 'HEAD'
  /** First byte that is wanted. */
  readonly from?: number
  /** Attempts when the server is busy or fails, 5 by default; and when it cannot be reached, as many. */
  readonly attempts?: number
  readonly connections?: number
}

export interface Answer {
  readonly response: Response
  /** Headers of the hub's own answer: what the response of another host, which it redirected to, does not repeat. */
  readonly own: Headers
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** The statuses that the hub's own client asks again after. */
const BUSY = new Set([408, 429, 500, 502, 503, 504])
const MAX_HOPS = 10
const MAX_WAIT = 60_000
export const ATTEMPTS = 5

/** Asks until there is an answer that is not "later"; the last one is returned whatever it says. */
export async function ask(network: Network, request: Ask): Promise<Answer> {
  const { attempts = ATTEMPTS, connections = attempts, signal } = request
  for (let attempt = 1; ; attempt++) {
    let wait = backoff(attempt)
    try {
      const answer = await follow(network, request)
      const { status, headers } = answer.response
      if (!BUSY.has(status) || attempt >= attempts) return answer
      wait = askedWait(headers) ?? wait
      if (wait > MAX_WAIT) return answer
      await discard(answer.response)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof BertletError) throw error
      if (attempt >= connections) throw unreachable(request.url, error)
    }
    await pause(network, wait, signal)
  }
}

/** Follows redirects by hand: the first answer describes the file, and the token stays with the origin that it is for. */
async function follow(network: Network, { url, token, signal, method = 'GET', from = 0 }: Ask): Promise<Answer> {
  const home = new URL(url).origin
  let at = new URL(url)
  let own: Headers | undefined
  for (let hop = 0; hop <= MAX_HOPS; hop++) {
    const headers: Record<string, string> = { 'Accept-Encoding': 'identity' }
    if (token !== undefined && at.origin === home) headers.Authorization = `Bearer ${token}`
    if (from > 0) headers.Range = `bytes=${from}-`
    const init: RequestInit = { method, headers, ...(signal && { signal }) }
    const response = await network.fetch(at.href, { ...init, redirect: 'manual' })
    // Pages are not shown where a redirect leads. Their fetch follows it, and drops the token by itself.
    if (response.type === 'opaqueredirect') return same(await network.fetch(at.href, { ...init, redirect: 'follow' }))
    const location = response.headers.get('location')
    if (!REDIRECTS.has(response.status) || location === null) return { response, own: own ?? response.headers }
    const next = URL.canParse(location, at) ? new URL(location, at) : undefined
    if (next === undefined || !/^https?:$/.test(next.protocol) || (at.protocol === 'https:' && next.protocol === 'http:')) {
      await discard(response)
      throw new BertletError('network', `${host(at.href)} redirects to ${JSON.stringify(location.slice(0, 80))}, which is not followed`)
    }
    if (next.origin !== home) own ??= response.headers
    // What a HEAD is for has been said when the hub sends elsewhere.
    if (method === 'HEAD' && own !== undefined) return { response, own }
    await discard(response)
    at = next
  }
  throw new BertletError('network', `${host(url)} redirects more than ${MAX_HOPS} times`)
}

const same = (response: Response): Answer => ({ response, own: response.headers })

/** Lets go of a body that nobody reads. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined)
}

/** Milliseconds that the server asks to wait for. */
function askedWait(headers: Headers): number | undefined {
  const after = headers.get('retry-after')
  if (after !== null) {
    const ms = /^\d+$/.test(after.trim()) ? Number(after) * 1000 : Date.parse(after) - Date.now()
    if (!Number.isNaN(ms)) return Math.max(0, ms)
  }
  const seconds = /;\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}

export const backoff = (attempt: number): number => Math.min(8000, 250 << attempt)

export async function pause(network: Network, ms: number, signal: AbortSignal | undefined): Promise<void> {
  await (network.sleep ?? sleep)(ms, signal)
  signal?.throwIfAborted()
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal!.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}

export function unreachable(url: string, cause: unknown): BertletError {
  const { message, cause: inner } = cause as Error
  const why = inner instanceof Error ? (inner.message === '' ? String((inner as { code?: unknown }).code) : inner.message) : message
  return new BertletError(
    'network',
    `${host(url)} cannot be reached: ${why}`,
    'Check the connection; local_files_only: true reads only what is on disk',
    { cause },
  )
}

/** An answer that is none: what a server said, in one sentence. */
export function refused(url: string, { response, own }: Answer): BertletError {
  const { status } = response
  const said = own.get('x-error-message') ?? response.statusText
  const forbidden = status === 401 || status === 403
  return new BertletError(
    forbidden ? 'forbidden' : 'network',
    `${host(url)}${new URL(url).pathname}: expected the file, got status ${status}${said === '' ? '' : ` (${said})`}`,
    forbidden ? 'Give a token that may read it' : BUSY.has(status) ? 'The server is busy or broken: try again later' : 'Check the address',
  )
}

/** Where a url points, without what it may carry. */
export const host = (url: string): string => new URL(url).origin

/** Settles as `promise` does, or rejects as soon as the signal is aborted. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
