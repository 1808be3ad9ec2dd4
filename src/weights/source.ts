export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
}

/** An open file, read in pieces. */
export interface ByteReader {
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

export type FileBytes = Uint8Array | ArrayBuffer | Blob

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
  const bytes = file instanceof ArrayBuffer ? new Uint8Array(file) : file
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
