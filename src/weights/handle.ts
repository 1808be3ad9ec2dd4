// Folders as pages have them: a place in the origin's private file system (OPFS), or a folder that a person has picked.
import { BertletError, show } from '../errors.ts'
import type { Sink } from './sink.ts'
import { checkFileName, memorySource, type ReadOptions, type Source } from './source.ts'

/** The part of the browser's FileSystemDirectoryHandle that is used. */
export interface DirectoryHandle {
  readonly kind: 'directory'
  readonly name: string
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<DirectoryHandle>
  getFileHandle(name: string, options?: { create?: boolean }): Promise<FileHandle>
  /** Absent in some older browsers. */
  keys?(): AsyncIterable<string>
}

interface FileHandle {
  getFile(): Promise<Blob>
  createWritable(): Promise<{ write(piece: Uint8Array): Promise<void>; close(): Promise<void>; abort(): Promise<void> }>
}

/** A file of a folder, or of one below it. */
async function fileIn(folder: DirectoryHandle, file: string, options?: { create: boolean }): Promise<FileHandle> {
  const folders = checkFileName(file).split('/')
  const name = folders.pop()!
  for (const each of folders) folder = await folder.getDirectoryHandle(each, options)
  return folder.getFileHandle(name, options)
}

/** The files are read where they lie, a piece at a time. */
export function handleSource(folder: DirectoryHandle): Source {
  const find = async (file: string, { signal }: ReadOptions = {}): Promise<Blob | undefined> => {
    signal?.throwIfAborted()
    try {
      return await (await fileIn(folder, file)).getFile()
    } catch (error) {
      // There is a folder of that name, or a file where a folder should be.
      if (/^(NotFound|TypeMismatch)Error$/.test((error as Error).name)) return undefined
      throw error
    }
  }
  return {
    name: folder.name || "the origin's private files",
    list: async () => {
      const names: string[] = []
      for await (const name of folder.keys?.() ?? []) names.push(name)
      return names
    },
    text: async (file, options) => (await find(file, options))?.text(),
    open: async (file, options) => {
      const blob = await find(file, options)
      return blob && memorySource({ [file]: blob }).open(file)
    },
  }
}

/** A file appears under its name when it is whole. */
export function handleSink(folder: DirectoryHandle): Sink {
  return {
    async write(file, pieces) {
      try {
        const writable = await (await fileIn(folder, file, { create: true })).createWritable()
        try {
          for await (const piece of pieces) await writable.write(piece)
          await writable.close()
        } catch (error) {
          await writable.abort().catch(() => undefined)
          throw error
        }
      } catch (cause) {
        const full = (cause as Error).name === 'QuotaExceededError'
        throw new BertletError(
          'write_failed',
          `${show(file)} cannot be written to ${show(folder.name)}: ${full ? 'the storage of this origin is full' : String(cause)}`,
          full ? 'Remove what is no longer needed, or ask for more by navigator.storage.persist()' : undefined,
          { cause },
        )
      }
    },
  }
}
