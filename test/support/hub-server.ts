// A hub of one model on the loopback, with the headers of the real one, and a second host for its large files. Each test says what goes wrong.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const COMMIT = '0123456789abcdef0123456789abcdef01234567'

export interface Seen {
  readonly host: 'hub' | 'cdn'
  readonly method: string
  readonly path: string
  readonly range: string | undefined
  readonly authorization: string | undefined
}

/** Answers instead of the server, or does not and returns false. */
export type Fault = (seen: Seen, response: ServerResponse, count: number) => boolean | void

export interface HubServer {
  readonly endpoint: string
  readonly cdn: string
  readonly seen: Seen[]
  files: Record<string, Uint8Array>
  commit: string
  fault: Fault | undefined
  /** Bodies in pieces of this many bytes, with a turn between them. */
  piece: number | undefined
  ranges: boolean
  close(): Promise<void>
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const gitSha = (bytes: Uint8Array): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

export async function hubServer(files: Record<string, Uint8Array>, id = 'org/tiny'): Promise<HubServer> {
  const start = async (handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<[Server, string]> => {
    const server = createServer(handler)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return [server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`]
  }
  const note = (host: Seen['host'], { method, url, headers }: IncomingMessage): Seen => {
    const { range, authorization } = headers
    const one: Seen = { host, method: method!, path: decodeURIComponent(url!), range, authorization }
    state.seen.push(one)
    return one
  }
  const faulty = (seen: Seen, response: ServerResponse): boolean => {
    const alike = state.seen.filter(({ host, method, path }) => host === seen.host && method === seen.method && path === seen.path)
    return state.fault?.(seen, response, alike.length) === true
  }
  const [hub, endpoint] = await start((request, response) => {
    const seen = note('hub', request)
    if (faulty(seen, response)) return
    const fail = (status: number, code: string): void => {
      response.writeHead(status, { 'x-error-code': code, ...(code === 'EntryNotFound' && { 'x-repo-commit': state.commit }) }).end()
    }
    if (seen.path === `/api/models/${id}/revision/${state.commit}`) {
      const siblings = Object.keys(state.files).map((rfilename) => ({ rfilename }))
      return void response.setHeader('content-type', 'application/json').end(JSON.stringify({ sha: state.commit, siblings }))
    }
    const [, name, revision, file] = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(seen.path) ?? []
    if (name !== id) return fail(401, 'RepoNotFound')
    if (revision !== 'main' && revision !== state.commit) return fail(404, 'RevisionNotFound')
    const bytes = state.files[file!]
    if (bytes === undefined) return fail(404, 'EntryNotFound')
    response.setHeader('x-repo-commit', state.commit)
    if (!file!.endsWith('.safetensors')) {
      response.setHeader('etag', `"${gitSha(bytes)}"`).setHeader('content-type', 'text/plain; charset=utf-8')
      return send(seen, response, bytes)
    }
    response.setHeader('x-linked-etag', `"${sha256(bytes)}"`).setHeader('x-linked-size', bytes.length)
    response.writeHead(302, { location: `${state.cdn}/${file!}?signed=1` }).end()
  })
  const [cdn, cdnUrl] = await start((request, response) => {
    const seen = note('cdn', request)
    if (faulty(seen, response)) return
    response.setHeader('etag', '"other"')
    send(seen, response, state.files[/^\/(.+)\?signed=1$/.exec(seen.path)![1]!]!)
  })
  const send = ({ method, range }: Seen, response: ServerResponse, bytes: Uint8Array): void => {
    const from = state.ranges && range !== undefined ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0
    if (from >= bytes.length && from > 0) return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    if (from > 0)
      response.writeHead(206, {
        'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
        'content-length': bytes.length - from,
      })
    else response.setHeader('content-length', bytes.length)
    if (method === 'HEAD') return void response.end()
    void trickle(response, bytes.subarray(from))
  }
  const trickle = async (response: ServerResponse, bytes: Uint8Array): Promise<void> => {
    const step = state.piece ?? bytes.length
    for (let at = 0; at < bytes.length && !response.destroyed; at += step) {
      response.write(bytes.subarray(at, at + step))
      if (state.piece !== undefined) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    response.end()
  }
  const stop = (server: Server): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const state: HubServer = {
    endpoint,
    cdn: cdnUrl,
    seen: [],
    files,
    commit: COMMIT,
    fault: undefined,
    piece: undefined,
    ranges: true,
    close: async () => void (await Promise.all([stop(hub), stop(cdn)])),
  }
  return state
}

/** Announces all of `bytes`, sends the first `count` from `from`, and hangs up. */
export function cut(response: ServerResponse, bytes: Uint8Array, from: number, count: number): true {
  const length = bytes.length - from
  const headers = { 'content-length': length, etag: '"other"', 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }
  response.writeHead(from === 0 ? 200 : 206, headers)
  response.write(bytes.subarray(from, from + count), () => setTimeout(() => response.destroy(), 50))
  return true
}
