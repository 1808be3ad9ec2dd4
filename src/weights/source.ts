import { expected } from '../errors.ts'

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
}

/** An open file, read in pieces. */
export interface ByteReader {
  /** Its way here has been told as progress already. */
  readonly told?: boolean
  /** Bytes of the whole file. */
  readonly size: number
  /** Exactly the bytes [start, end), in `into` (which may lie in shared memory) when given; rejects when the file ends before. */
  read(start: number, end: number, into?: Uint8Array): Promise<Uint8Array>
  close(): Promise<void>
}

/** A place that holds a model's files. Names are relative, with `/`; a file that is not there is `undefined`. */
export interface Source {
  /** For people: what the model is called. */
  readonly name: string
  /** Names of the files at the top, where that can be known. */
  list?(options?: ReadOptions): Promise<string[]>
  /** A whole small file. */
  text(file: string, options?: ReadOptions): Promise<string | undefined>
  open(file: string, options?: ReadOptions): Promise<ByteReader | undefined>
}

/** A source whose code is loaded with the first file that is asked for. */
export function laterSource(name: string, load: () => Promise<Source>): Source {
  let loading: Promise<Source> | undefined
  const source = (): Promise<Source> =>
    (loading ??= load().catch((error: unknown) => {
      // Code that did not come is asked for again.
      loading = undefined
      throw error
    }))
  return {
    name,
    list: async (options) => (await (await source()).list?.(options)) ?? [],
    text: async (file, options) => (await source()).text(file, options),
    open: async (file, options) => (await source()).open(file, options),
  }
}

export type FileBytes = Uint8Array | ArrayBuffer | Blob | string

/** A name that stays below the folder it is looked for in, on every platform. */
export function checkFileName(file: string): string {
  // eslint-disable-next-line no-control-regex -- that is what is refused
  const climbs = /[\\:\u0000-\u001f]/.test(file) || file.split('/').some((part) => part === '' || part === '.' || part === '..')
  if (!climbs) return file
  throw expected('file', 'a name inside the model, its folders parted by /', file, 'Paths may not climb out of it', 'invalid_file')
}

/** Files in memory, by name. */
export function memorySource(files: Readonly<Record<string, FileBytes>>, name = 'memory'): Source {
  const open = (file: string): ByteReader | undefined => (Object.hasOwn(files, file) ? memoryReader(files[file]!) : undefined)
  return {
    name,
    list: async () => Object.keys(files),
    text: async (file, options) => {
      options?.signal?.throwIfAborted()
      const reader = open(file)
      return reader && new TextDecoder().decode(await reader.read(0, reader.size))
    },
    open: async (file, options) => {
      options?.signal?.throwIfAborted()
      return open(file)
    },
  }
}

function memoryReader(file: FileBytes): ByteReader {
  const bytes = typeof file === 'string' ? new TextEncoder().encode(file) : file instanceof ArrayBuffer ? new Uint8Array(file) : file
  const size = bytes instanceof Uint8Array ? bytes.length : bytes.size
  return {
    size,
    read: async (start, end, into) => {
      const part = bytes instanceof Uint8Array ? bytes.subarray(start, end) : new Uint8Array(await bytes.slice(start, end).arrayBuffer())
      if (end > size) throw new RangeError(`bytes ${start} to ${end} of a file of ${size}`)
      if (into === undefined) return part
      into.set(part)
      return into.subarray(0, part.length)
    },
    close: async () => undefined,
  }
}

export function isFileBytes(value: unknown): value is FileBytes {
  return typeof value === 'string' || value instanceof Uint8Array || value instanceof ArrayBuffer || value instanceof Blob
}

/** What a page's file or folder picker gives. The name of the picked folder, which all paths begin with, is left out. */
export function fileListSource(list: Iterable<unknown>): Source {
  const named = [...list].map((file, i) => {
    const { name = '', webkitRelativePath = '' } = (file ?? {}) as { name?: string; webkitRelativePath?: string }
    if (file instanceof Blob && name !== '') return { file, path: webkitRelativePath === '' ? name : webkitRelativePath }
    throw expected(`model: file ${i}`, 'a File with a name', file, "Give an object instead: { 'config.json': blob, ... }")
  })
  if (named.length === 0) throw expected('model', 'the files of a model', [], 'Pick the folder that holds config.json')
  const top = /^[^/]+\//.exec(named[0]!.path)?.[0] ?? ''
  const common = named.every(({ path }) => path.startsWith(top)) ? top.length : 0
  const files: Record<string, Blob> = {}
  for (const { file, path } of named) {
    const name = path.slice(common)
    if (Object.hasOwn(files, name)) throw expected('model', 'each file once', name, 'Pick one model only')
    files[name] = file
  }
  return memorySource(files, common === 0 ? 'files' : top.slice(0, -1))
}
