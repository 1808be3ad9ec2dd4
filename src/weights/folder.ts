import type { Sink } from './sink.ts'
import { memorySource, type Source } from './source.ts'

/** A place that holds folders of files, and takes new ones whole: checkpoints. */
export interface Folder {
  /** For people: where it is. */
  readonly name: string
  /** Names of what is in it; none when it is not there. */
  list(): Promise<string[]>
  /** The files of a folder in it. */
  source(folder: string): Source
  /** Takes the files of a folder in it, which is made when it is not there. */
  sink(folder: string): Sink
  /** Resolves when the names of a folder's files are as durable as the platform can make them. */
  sync(folder: string): Promise<void>
  /** Gives a folder another name, all at once, and makes that durable. */
  rename(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  /** A whole text file in it; undefined when it is not there. */
  readText(file: string): Promise<string | undefined>
  /** Adds to a text file's end. */
  append(file: string, text: string): Promise<void>
}

/**
 * A Folder in memory: checkpoints where there are no files.
 *
 *     const output_dir = memoryFolder()
 *     await new Trainer({ model, args: { output_dir }, train_dataset }).train()
 *     const model = await BertModel.fromPretrained(output_dir.source('checkpoint-500'))
 */
export function memoryFolder(name = 'memory'): Folder {
  const files = new Map<string, Uint8Array>()
  const below = (folder: string): [string, Uint8Array][] =>
    [...files].filter(([file]) => file.startsWith(`${folder}/`)).map(([file, bytes]) => [file.slice(folder.length + 1), bytes])
  const drop = (entry: string): void => {
    for (const file of [...files.keys()]) if (file === entry || file.startsWith(`${entry}/`)) files.delete(file)
  }
  const text = (file: string): string => new TextDecoder().decode(files.get(file))
  return {
    name,
    list: async () => [...new Set([...files.keys()].map((file) => file.split('/')[0]!))],
    source: (folder) => memorySource(Object.fromEntries(below(folder)), `${name}/${folder}`),
    sink: (folder) => ({
      async write(file, pieces) {
        const parts: Uint8Array[] = []
        for await (const piece of pieces) parts.push(piece.slice())
        files.set(`${folder}/${file}`, new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()))
      },
    }),
    sync: async () => undefined,
    rename: async (from, to) => {
      const moved = below(from)
      drop(from)
      for (const [file, bytes] of moved) files.set(`${to}/${file}`, bytes)
    },
    remove: async (entry) => drop(entry),
    readText: async (file) => (files.has(file) ? text(file) : undefined),
    append: async (file, more) => void files.set(file, new TextEncoder().encode(text(file) + more)),
  }
}
