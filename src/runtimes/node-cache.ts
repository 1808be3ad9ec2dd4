// The hub's cache folder, as Python's huggingface_hub lays it out: what one downloads the other finds.
import { randomBytes } from 'node:crypto'
import { createReadStream, type Dirent } from 'node:fs'
import { access, copyFile, mkdir, open, readdir, readFile, rename, rm, stat, symlink, writeFile, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { BertletError } from '../errors.ts'
import type { Cache, CachedFile, CacheEntry } from '../weights/cache.ts'
import { directorySource } from './node-files.ts'

const COMMIT = /^[0-9a-f]{40}$/
/** `<etag>.<8 digits>.incomplete`; the digits are the process that writes it. */
const PARTIAL = /^\.([0-9a-f]{8})\.incomplete$/
/** Unfinished files that this process writes now. */
const active = new Set<string>()

/** A cache in `folder`. Without symbolic links (where there are none, or none are wanted) snapshots hold the files themselves. */
export function folderCache(folder: string, { symlinks = true }: { symlinks?: boolean } = {}): Cache {
  const root = (repo: string): string => path.join(folder, `models--${repo.replaceAll('/', '--')}`)
  const snapshot = (repo: string, commit: string): string => path.join(root(repo), 'snapshots', commit)
  const noExist = ({ repo, commit, path: file }: CachedFile): string => path.join(root(repo), '.no_exist', commit, file)
  return {
    name: folder,
    async ref(repo, revision) {
      const commit = COMMIT.test(revision)
        ? revision
        : (await readFile(path.join(root(repo), 'refs', revision), 'utf8').catch(absent))?.trim()
      return commit !== undefined && COMMIT.test(commit) && (await exists(snapshot(repo, commit))) ? commit : undefined
    },
    setRef: (repo, revision, commit) => writing(folder, () => replace(path.join(root(repo), 'refs', revision), commit)),
    async open(file, options) {
      const reader = await directorySource(snapshot(file.repo, file.commit)).open(file.path, options)
      return reader ?? ((await exists(noExist(file))) ? false : undefined)
    },
    setAbsent: (file) => writing(folder, () => replace(noExist(file), '')),
    list: async (repo, commit) => {
      const entries = await readdir(snapshot(repo, commit), { recursive: true, withFileTypes: true }).catch(absent)
      const at = (entry: Dirent): string => path.join(entry.parentPath ?? entry.path, entry.name)
      const files = (entries ?? []).filter((entry) => !entry.isDirectory())
      return files.map((entry) => path.relative(snapshot(repo, commit), at(entry)).split(path.sep).join('/'))
    },
    store: (file, { etag, size }) =>
      writing(folder, async () => {
        const blob = path.join(root(file.repo), 'blobs', etag)
        const target = path.join(snapshot(file.repo, file.commit), file.path)
        if ((await stat(blob).catch(absent))?.size === size) {
          await place(blob, target, symlinks, false)
          return undefined
        }
        return begin(blob, target, size, symlinks)
      }),
  }
}

async function begin(blob: string, target: string, size: number, symlinks: boolean): Promise<CacheEntry> {
  await mkdir(path.dirname(blob), { recursive: true })
  const { file, have } = await adopt(blob, size)
  active.add(file)
  let handle: FileHandle
  try {
    handle = await open(file, have > 0 ? 'r+' : 'w')
  } catch (error) {
    active.delete(file)
    throw error
  }
  let at = have
  const close = (): Promise<void> => handle.close().finally(() => active.delete(file))
  return {
    have,
    existing: () => createReadStream(file, { end: have - 1, highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>,
    async write(bytes) {
      for (let done = 0; done < bytes.length;) done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten
      at += bytes.length
    },
    async finish() {
      // A machine that stops now must not leave a whole name on half a file.
      await handle.sync()
      await close()
      await rename(file, blob).catch(async (error: unknown) => {
        // Where a file that is read cannot be replaced, another process has put the same one there.
        if ((await stat(blob).catch(absent))?.size !== size) throw error
        await rm(file, { force: true })
      })
      await place(blob, target, symlinks, true)
    },
    async abandon(keep) {
      await close().catch(() => undefined)
      if (!keep) await rm(file, { force: true })
    },
  }
}

/** A file to write to: one that a process left which is no more, taken over by renaming it, or a new one. */
async function adopt(blob: string, size: number): Promise<{ file: string; have: number }> {
  const mine = (): string => `${blob}.${(process.pid >>> 0).toString(16).padStart(8, '0')}.incomplete`
  const own = active.has(mine()) ? `${blob}.${randomBytes(4).toString('hex')}.incomplete` : mine()
  const folder = path.dirname(blob)
  for (const name of await readdir(folder)) {
    const pid = name.startsWith(path.basename(blob)) ? PARTIAL.exec(name.slice(path.basename(blob).length))?.[1] : undefined
    const file = path.join(folder, name)
    if (pid === undefined || active.has(file) || (file !== own && alive(parseInt(pid, 16)))) continue
    const have = (await stat(file).catch(absent))?.size ?? 0
    if (have === 0 || have >= size) continue
    if (file === own || (await rename(file, own).then(() => true, absent)) === true) return { file: own, have }
  }
  return { file: own, have: 0 }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Puts content into a snapshot: a relative link, or else the content itself. */
async function place(blob: string, target: string, symlinks: boolean, fresh: boolean): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true })
  if (await exists(target)) return
  if (symlinks) {
    try {
      await rm(target, { force: true }) // a link whose content was deleted
      return await symlink(path.relative(path.dirname(target), blob), target)
    } catch (error) {
      if (await exists(target)) return
      if (!['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EINVAL', 'UNKNOWN'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  const temporary = `${target}.${randomBytes(4).toString('hex')}.incomplete`
  await (fresh ? rename(blob, temporary) : copyFile(blob, temporary))
  await rename(temporary, target)
}

async function replace(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  const temporary = `${file}.${randomBytes(4).toString('hex')}.incomplete`
  await writeFile(temporary, text)
  await rename(temporary, file)
}

async function writing<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM' && code !== 'ENOSPC' && code !== 'ENOTDIR' && code !== 'EEXIST')
      throw cause
    throw new BertletError(
      'invalid_argument',
      `cache_dir: expected a folder that can be written, got ${folder} (${code})`,
      'Give another cache_dir or set HF_HUB_CACHE; cache_dir: null keeps nothing',
      { cause },
    )
  }
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  )

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
  throw error
}
