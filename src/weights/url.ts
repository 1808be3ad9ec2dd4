// Files below an address: any server of plain files.
import { ask, discard, host, refused, type Answer, type Network } from './http.ts'
import { progressed, type Tell } from './progress.ts'
import { checkFileName, type ByteReader, type ReadOptions, type Source } from './source.ts'
import { FileStream, isPage, streamReader, streamText } from './stream.ts'

/** The largest text: tokenizer.json of a large vocabulary has ten million bytes. */
export const MAX_TEXT = 1 << 27

export interface UrlOptions {
  readonly network: Network
  readonly token?: string | undefined
  readonly tell?: Tell | undefined
}

/** The files of the folder that an address names; a query is sent with each. Nothing is kept. */
export function urlSource(base: string, { network, token, tell }: UrlOptions): Source {
  const url = new URL(base)
  const { origin, search } = url
  const folder = url.pathname.replace(/\/*$/, '/')
  const name = origin + url.pathname
  const open = (file: string, { signal }: ReadOptions = {}): Promise<FileStream | undefined> => {
    const address = `${origin}${folder}${pathOf(file)}${search}`
    return FileStream.open(network, { url: address, token, signal }, file, { missing: (answer) => isMissing(answer, file) })
  }
  return remoteSource(name, open, tell)
}

/** A source that streams. Texts tell their progress here, weights where they are read. */
export function remoteSource(
  name: string,
  open: (file: string, options?: ReadOptions) => Promise<FileStream | undefined>,
  tell: Tell | undefined,
): Source {
  return {
    name,
    text: async (file, options) => {
      tell?.({ status: 'initiate', name, file })
      const stream = await open(file, options)
      if (stream === undefined) return undefined
      tell?.({ status: 'download', name, file })
      const text = await streamText(stream, file, MAX_TEXT)
      const size = stream.facts.size ?? text.length
      tell?.(progressed(name, file, size, size))
      tell?.({ status: 'done', name, file })
      return text
    },
    open: async (file, options): Promise<ByteReader | undefined> => {
      const stream = await open(file, options)
      if (stream === undefined) return undefined
      try {
        return streamReader(stream, file)
      } catch (error) {
        await stream.close()
        throw error
      }
    },
  }
}

/** Servers of single-page applications answer with their page where there is no file. No model lacks config.json: a page in its place is told of. */
function isMissing({ response: { status, headers } }: Answer, file: string): boolean {
  return status === 404 || status === 410 || (status === 200 && file !== 'config.json' && isPage(file, headers))
}

/** A file's name as part of an address. */
export const pathOf = (file: string): string => checkFileName(file).split('/').map(encodeURIComponent).join('/')

/** A small JSON answer, or undefined when there is none. */
export async function askJson(network: Network, url: string, token: string | undefined, signal?: AbortSignal): Promise<unknown> {
  const answer = await ask(network, { url, token, signal })
  if (answer.response.ok) return answer.response.json()
  await discard(answer.response)
  throw refused(host(url), answer)
}
