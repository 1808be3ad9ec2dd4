import { execFile } from 'node:child_process'
import { mkdir, rmdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const TIMEOUT = 300_000 // ms: the runtimes are 760 MB

/** Installs the packages of a folder with a package.json of its own, on first use and when its lock file changed. */
export async function install(folder: string): Promise<void> {
  await alone(path.join(folder, '.cache/installing'), async () => {
    if (!(await isInstalled(folder)))
      await run('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, timeout: TIMEOUT })
  })
}

/** npm writes .package-lock.json last, so it is newer than the lock file exactly when that was installed to the end. */
async function isInstalled(folder: string): Promise<boolean> {
  const [locked, done] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map((file) => stat(path.join(folder, file)).catch(() => undefined)),
  )
  return done !== undefined && locked !== undefined && done.mtimeMs >= locked.mtimeMs
}

/** One vitest worker at a time: a folder is made by one process only. A lock older than an install can take is left over. */
async function alone(lock: string, work: () => Promise<void>): Promise<void> {
  await mkdir(path.dirname(lock), { recursive: true })
  for (;;) {
    const taken = await mkdir(lock).catch((error: NodeJS.ErrnoException) => error.code)
    if (taken === undefined) break
    if (taken !== 'EEXIST') throw new Error(`cannot make ${lock}: ${taken}`)
    const since = await stat(lock).catch(() => undefined)
    if (since !== undefined && Date.now() - since.mtimeMs > TIMEOUT + 10_000) await rmdir(lock).catch(() => undefined)
    await sleep(100)
  }
  try {
    await work()
  } finally {
    await rmdir(lock)
  }
}
