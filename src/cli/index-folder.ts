// The index of a folder's files on disk: vectors, passages, and what the files were when they were read.
import { randomUUID } from 'node:crypto'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expected, show, Words } from '../errors.ts'
import { directoryFolder } from '../runtimes/node-folder.ts'
import { TextIndex, type Embed, type LoadIndexOptions } from '../retrieval.ts'

/** Where an index lies unless said. */
export const PLACE = '.bertlet-index'
const FILES = 'files.json'
const VERSION = 1

/** A file when it was read. */
export interface Known {
  readonly size: number
  readonly mtime: number
  readonly sha256: string
  /** Ids of its passages. */
  readonly passages: readonly string[]
}

/** What an index was made with: another makes another. */
export interface MadeWith {
  readonly model: string
  readonly dtype: string
  readonly precision: string
  readonly max_tokens: number
  readonly overlap: number
}

export interface State {
  readonly made_with: MadeWith
  readonly files: Readonly<Record<string, Known>>
}

/** Reads what an index says of itself; undefined where there is none. */
export async function readState(place: string): Promise<State | undefined> {
  const file = path.join(place, FILES)
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const wrong = (got: string): Error =>
    expected(file, `what bertlet index wrote, version ${VERSION}`, new Words(got), 'Make it again with --rebuild', 'invalid_file')
  let state: (State & { version?: unknown }) | null
  try {
    state = JSON.parse(text) as State & { version?: unknown }
  } catch (error) {
    throw wrong((error as Error).message)
  }
  if (state?.version !== VERSION) throw wrong(`version ${show(state?.version)}`)
  if (typeof state.made_with?.model !== 'string' || typeof state.files !== 'object' || state.files === null) throw wrong('something else')
  return state
}

/** What names a model from every working directory: of a folder its path. */
export async function modelName(model: string | undefined): Promise<string | undefined> {
  if (model === undefined || /^(https?|hf):/i.test(model)) return model
  const folder = /^file:/i.test(model) ? fileURLToPath(model) : model
  return (await stat(folder).catch(() => undefined))?.isDirectory() ? realpath(folder) : model
}

/** Where an index stands: when a run was killed between two renames, the old one has another name. */
export async function standing(place: string): Promise<string> {
  if ((await stat(place).catch(() => undefined)) !== undefined) return place
  const [old] = await oldOf(place)
  return old === undefined ? place : path.join(path.dirname(place), old)
}

/** Names beside an index that it had while a newer one was put in its place. */
async function oldOf(place: string): Promise<string[]> {
  const names = await readdir(path.dirname(place)).catch(() => [])
  return names.filter((name) => isLeft(name, place) && name.endsWith('.old'))
}

/** Whether saveIndex() left this beside an index. */
export const isLeft = (name: string, place: string): boolean =>
  name.startsWith(`${path.basename(place)}.`) && /^\.[\da-f]{8}\.(incomplete|old)$/.test(name.slice(path.basename(place).length))

export function openIndex(place: string, embed: Embed, options?: LoadIndexOptions): Promise<TextIndex> {
  return TextIndex.load(place, embed, options)
}

/** Takes out passages that no file owns, and forgets files that lack one: what a run that was stopped within a file left. Gives the whole files. */
export async function keepWhole(index: TextIndex, files: State['files']): Promise<State['files']> {
  const whole = Object.fromEntries(Object.entries(files).filter(([, { passages }]) => passages.every((id) => index.vectors.has(id))))
  const owned = new Set<string | number>(Object.values(whole).flatMap(({ passages }) => passages))
  const loose = [...index.vectors.entries()].map(([id]) => id).filter((id) => !owned.has(id))
  if (loose.length > 0) await index.remove(loose)
  return whole
}

/** Puts an index in its place as a whole: until then, and if this fails, the old one stands there. */
export async function saveIndex(place: string, index: TextIndex, state: State): Promise<void> {
  const folder = directoryFolder(path.dirname(place))
  const name = path.basename(place)
  const [fresh, old] = ['incomplete', 'old'].map((end) => `${name}.${randomUUID().slice(0, 8)}.${end}`) as [string, string]
  try {
    const sink = folder.sink(fresh)
    await index.save(sink)
    await sink.write(FILES, [new TextEncoder().encode(`${JSON.stringify({ version: VERSION, ...state }, null, 1)}\n`)])
    await folder.sync(fresh)
    const replaces = (await folder.list()).includes(name)
    if (replaces) await folder.rename(name, old)
    await folder.rename(fresh, name).catch(async (error: unknown) => {
      if (replaces) await folder.rename(old, name)
      throw error
    })
    for (const each of await oldOf(place)) await folder.remove(each)
  } catch (error) {
    await folder.remove(fresh).catch(() => undefined)
    throw error
  }
}
