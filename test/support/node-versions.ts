import { execFile } from 'node:child_process'
import { mkdir, rmdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const FOLDER = path.join(import.meta.dirname, '../runtimes')
/** npm writes it last, so it is newer than the lock file exactly when that was installed to the end. */
const INSTALLED = path.join(FOLDER, 'node_modules/.package-lock.json')
const LOCK = path.join(FOLDER, '.cache/installing')
const TIMEOUT = 120_000 // ms

export interface NodeVersion {
  readonly name: 'node22' | 'node24'
  /** The executable. */
  readonly path: string
  /** Without the `v`. */
  readonly version: string
}

/**
 * The other Node versions, installed on first use from test/runtimes. Rejects where that is impossible (no Linux x64, no registry): the
 * caller says so loudly and skips.
 */
export async function ensureNodes(): Promise<NodeVersion[]> {
  await alone(async () => {
    if (!(await isInstalled()))
      await run('npm', ['ci', '--prefix', FOLDER, '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: FOLDER, timeout: TIMEOUT })
  })
  return Promise.all(
    (['node22', 'node24'] as const).map(async (name) => {
      const file = path.join(FOLDER, 'node_modules', name, 'bin/node')
      const { stdout } = await run(file, ['--version'], { timeout: TIMEOUT })
      return { name, path: file, version: stdout.trim().slice(1) }
    }),
  )
}

async function isInstalled(): Promise<boolean> {
  const [locked, done] = await Promise.all(
    [path.join(FOLDER, 'package-lock.json'), INSTALLED].map((file) => stat(file).catch(() => undefined)),
  )
  return done !== undefined && locked !== undefined && done.mtimeMs >= locked.mtimeMs
}

/** One vitest worker at a time: a folder is made by one process only. A lock older than an install can take is left over. */
async function alone(work: () => Promise<void>): Promise<void> {
  await mkdir(path.dirname(LOCK), { recursive: true })
  for (;;) {
    const taken = await mkdir(LOCK).catch((error: NodeJS.ErrnoException) => error.code)
    if (taken === undefined) break
    if (taken !== 'EEXIST') throw new Error(`cannot make ${LOCK}: ${taken}`)
    const since = await stat(LOCK).catch(() => undefined)
    if (since !== undefined && Date.now() - since.mtimeMs > TIMEOUT + 10_000) await rmdir(LOCK).catch(() => undefined)
    await sleep(100)
  }
  try {
    await work()
  } finally {
    await rmdir(LOCK)
  }
}
