import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { install } from './install.ts'

const run = promisify(execFile)
const FOLDER = path.join(import.meta.dirname, '../runtimes')

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
  await install(FOLDER)
  return Promise.all(
    (['node22', 'node24'] as const).map(async (name) => {
      const file = path.join(FOLDER, 'node_modules', name, 'bin/node')
      const { stdout } = await run(file, ['--version'], { timeout: 120_000 })
      return { name, path: file, version: stdout.trim().slice(1) }
    }),
  )
}
