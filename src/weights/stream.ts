// A file of a server, read once from its start to its end: what cut connections left out is asked for again.
import { BertletError, Words, expected } from '../errors.ts'
import { ask, ATTEMPTS, backoff, discard, pause, refused, unreachable, type Answer, type Ask, type Hash, type Network } from './http.ts'
import type { ByteReader } from './source.ts'

/** What a server says about a file. */
interface Facts {
  /** Without quotes; the hub's is the file's SHA-256 when it is 64 digits. */
  readonly etag: string | undefined
  readonly size: number | undefined
}

/** A connection that gives this many bytes was worth it: failures are counted anew. */
const WORTH = 1 << 16

export class FileStream {
  private position = 0
  /** Bytes still to be dropped: a server that knows no ranges begins at the start. */
  private skip = 0
  private gained = 0
  private failures = 0
  private body: ReadableStreamDefaultReader<Uint8Array> | undefined
  private hash: Hash | undefined

  private constructor(
    private readonly network: Network,
    private readonly request: Ask,
    private readonly file: string,
    readonly facts: Facts,
    /** Whether the etag is a checksum. */
    private readonly checked: boolean,
  ) {}

  /** Asks for the file; undefined when it is not there. `missing` says so of an answer, or throws. */
  static async open(
    network: Network,
    request: Ask,
    file: string,
    { missing, checked = false }: { missing: (answer: Answer) => boolean; checked?: boolean },
  ): Promise<FileStream | undefined> {
    const answer = await ask(network, request)
    const { response } = answer
    try {
      if (missing(answer)) {
        await discard(response)
        return undefined
      }
      if (response.status !== 200) throw refused(request.url, answer)
      refusePage(file, response)
      const stream = new FileStream(network, request, file, factsOf(file, answer), checked)
      stream.body = response.body?.getReader()
      stream.hash = stream.newHash()
      return stream
    } catch (error) {
      await discard(response)
      throw error
    }
  }

  /** Goes on at `position`, of which `hash` has seen what is before. */
  async seek(position: number, hash?: Hash): Promise<void> {
    await this.close()
    this.position = position
    this.hash = hash
  }

  newHash(): Hash | undefined {
    return this.checked && /^[0-9a-f]{64}$/.test(this.facts.etag ?? '') ? this.network.sha256?.() : undefined
  }

  /** The next bytes; undefined at the end, which is reached only when length and checksum are right. */
  async next(): Promise<Uint8Array | undefined> {
    const { signal } = this.request
    for (;;) {
      signal?.throwIfAborted()
      const { size } = this.facts
      if (this.position === size) return undefined
      try {
        this.body ??= await this.reopen()
        const { done, value } = await this.body.read()
        if (done) {
          if (size === undefined) return undefined
          throw new Error(`the connection ended at byte ${this.position} of ${size}`)
        }
        const bytes = this.skip === 0 ? value : value.subarray(this.skip)
        this.skip -= value.length - bytes.length
        if (bytes.length === 0) continue
        this.take(bytes)
        return bytes
      } catch (error) {
        await this.close()
        signal?.throwIfAborted()
        if (error instanceof BertletError) throw error
        if (++this.failures >= ATTEMPTS) throw unreachable(this.request.url, error)
        await pause(this.network, backoff(this.failures), signal)
      }
    }
  }

  private take(bytes: Uint8Array): void {
    const { size, etag } = this.facts
    this.position += bytes.length
    if (size !== undefined && this.position > size) throw bad(this.file, `${size} bytes, as the server says`, 'more')
    if ((this.gained += bytes.length) >= WORTH) this.gained = this.failures = 0
    this.hash?.update(bytes)
    if (this.position !== size || this.hash === undefined) return
    const digest = this.hash.digest()
    this.hash = undefined
    if (digest !== etag) throw new ChecksumError('invalid_file', `${this.file}: expected SHA-256 ${etag}, got ${digest}`, AGAIN)
  }

  /** Signed addresses expire: asking starts again from the first one. */
  private async reopen(): Promise<ReadableStreamDefaultReader<Uint8Array>> {
    const answer = await ask(this.network, { ...this.request, from: this.position })
    const { response } = answer
    try {
      if (response.status !== 200 && response.status !== 206) {
        if (response.status === 416) throw changed(this.file)
        throw refused(this.request.url, answer)
      }
      refusePage(this.file, response)
      const { etag, size } = factsOf(this.file, answer)
      const begins = response.status === 200 ? 0 : Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1])
      if (etag !== this.facts.etag || (size ?? this.facts.size) !== this.facts.size) throw changed(this.file)
      if (begins !== 0 && begins !== this.position) throw bad(this.file, `bytes from ${this.position}`, `bytes from ${begins}`)
      this.skip = this.position - begins
      if (response.body === null) throw new Error('an answer without a body')
      return response.body.getReader()
    } catch (error) {
      await discard(response)
      throw error
    }
  }

  async close(): Promise<void> {
    const { body } = this
    this.body = undefined
    await body?.cancel().catch(() => undefined)
  }
}

/** The bytes are not those that the server announced. */
export class ChecksumError extends BertletError {}

/** Reads a stream as a file. Reading forwards is one pass over one answer; a step back asks again, and then no checksum can be had. */
export function streamReader(stream: FileStream, file: string): ByteReader {
  const { size } = stream.facts
  if (size === undefined) {
    throw expected(file, 'a server that tells the length of a file', new Words('no Content-Length'), 'Serve it as a plain file', 'network')
  }
  let position = 0
  let rest: Uint8Array = new Uint8Array(0)
  let turn: Promise<unknown> = Promise.resolve()
  /** Passes over or hands out `count` bytes. */
  const advance = async (count: number, take?: (part: Uint8Array) => void): Promise<void> => {
    while (count > 0) {
      if (rest.length === 0) rest = (await stream.next()) ?? rest
      if (rest.length === 0) throw bad(file, `${size} bytes`, `${position}`)
      const part = rest.subarray(0, count)
      rest = rest.subarray(part.length)
      position += part.length
      count -= part.length
      take?.(part)
    }
  }
  const read = async (start: number, end: number, into: Uint8Array = new Uint8Array(end - start)): Promise<Uint8Array> => {
    if (end > size) throw new RangeError(`bytes ${start} to ${end} of a file of ${size}`)
    if (start < position) {
      await stream.seek(start)
      position = start
      rest = rest.subarray(0, 0)
    }
    await advance(start - position)
    let at = 0
    await advance(end - start, (part) => {
      into.set(part, at)
      at += part.length
    })
    return into.subarray(0, at)
  }
  return {
    size,
    read: (start, end, into) => {
      const result = turn.then(() => read(start, end, into))
      turn = result.catch(() => undefined)
      return result
    },
    close: () => stream.close(),
  }
}

/** All of a small file. */
export async function streamText(stream: FileStream, file: string, most: number): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  try {
    for (let part = await stream.next(); part !== undefined; part = await stream.next()) {
      if ((bytes += part.length) > most) throw bad(file, `at most ${most} bytes of text`, 'more')
      text += decoder.decode(part, { stream: true })
    }
  } finally {
    await stream.close()
  }
  return text + decoder.decode()
}

function factsOf(file: string, { response, own }: Answer): Facts {
  const { headers, status } = response
  const etag = own.get('x-linked-etag') ?? own.get('etag') ?? headers.get('etag')
  const range = /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1]
  const encoded = (headers.get('content-encoding') ?? 'identity') !== 'identity'
  const length = status === 206 ? range : encoded ? undefined : headers.get('content-length')
  const [told, sent] = [own.get('x-linked-size') ?? length, length ?? undefined].map((text) => sizeOf(file, text))
  if (told !== undefined && sent !== undefined && told !== sent) throw bad(file, `${told} bytes, as the hub says`, `${sent} bytes`)
  return { etag: etag?.replace(/^W\//, '').replace(/^"|"$/g, ''), size: told }
}

function sizeOf(file: string, text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined
  const size = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(size)) return size
  throw bad(file, 'a length below 2^53', text.slice(0, 40))
}

/** Whether an answer is a page of HTML, and no file of a model. */
export const isPage = (file: string, headers: Headers): boolean =>
  /^text\/html\b/i.test(headers.get('content-type') ?? '') && !file.endsWith('.html')

/** Networks that want a log-in first answer everything with their page. */
function refusePage(file: string, { headers, url }: Response): void {
  if (!isPage(file, headers)) return
  throw expected(
    file,
    'the file',
    new Words(`an HTML page${url === '' ? '' : ` from ${new URL(url).origin}`}`),
    'Is that address a model, or does this network want a log-in first?',
    'network',
  )
}

const AGAIN = 'Download it again; if it stays, the server or something on the way changes files'
const bad = (file: string, wanted: string, got: string): BertletError => expected(file, wanted, new Words(got), AGAIN, 'invalid_file')
const changed = (file: string): BertletError => bad(file, 'the same file as before', 'another one')
