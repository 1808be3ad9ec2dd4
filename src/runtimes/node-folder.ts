// A folder of checkpoints. What is renamed or written here is synced, so that it outlives a crash of the machine.
import { appendFile, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import type { Folder } from '../weights/folder.ts'
import { directorySource, inside } from './node-files.ts'
import { directorySink } from './node-sink.ts'

export function directoryFolder(folder: string): Folder {
  const at = (name: string): string => inside(folder, name)
  return {
    name: folder,
    list: () => readdir(folder).catch(absent([])),
    source: (name) => directorySource(at(name)),
    sink: (name) => directorySink(at(name)),
    sync: (name) => syncFolder(at(name)),
    async rename(from, to) {
      await rename(at(from), at(to))
      await syncFolder(folder)
    },
    remove: (name) => rm(at(name), { recursive: true, force: true }),
    readText: (file) => readFile(at(file), 'utf8').catch(absent(undefined)),
    async append(file, text) {
      await mkdir(folder, { recursive: true })
      await appendFile(at(file), text)
    },
  }
}

/** Makes a folder's entries durable, where the system lets folders be opened (Windows does not, and needs it not). */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(absent(undefined, ['EISDIR', 'EPERM', 'EACCES']))
  try {
    await handle?.sync()
  } finally {
    await handle?.close()
  }
}

const absent =
  <T>(value: T, codes = ['ENOENT', 'ENOTDIR']) =>
  (error: NodeJS.ErrnoException): T => {
    if (codes.includes(error.code ?? '')) return value
    throw error
  }
