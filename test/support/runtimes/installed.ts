// The runtimes that the tests run beside this one, installed on first use from test/runtimes.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { install } from '../install.ts'

const run = promisify(execFile)
export const FOLDER = path.join(import.meta.dirname, '../../runtimes')
const modules = path.join(FOLDER, 'node_modules')

export interface Installed {
  readonly name: string
  /** The executable. */
  readonly path: string
  /** What goes before a script's name. */
  readonly args: readonly string[]
  readonly version: string
}

/**
 * The other Node versions. Rejects where they cannot be installed (no Linux x64, no registry): the caller says so loudly and skips.
 */
export async function ensureNodes(): Promise<Installed[]> {
  await install(FOLDER)
  return Promise.all(
    ['node22', 'node24'].map(async (name) => {
      const file = path.join(modules, name, 'bin/node')
      const { stdout } = await run(file, ['--version'], { timeout: 120_000 })
      return { name, path: file, args: [], version: stdout.trim().slice(1) }
    }),
  )
}

/** Where the packages of Deno and Bun keep their executables: no install script needs to run. Deno asks for what it is not given. */
const PROCESSES = {
  deno: { file: '@deno/linux-x64-glibc/deno', args: ['run', '--no-prompt', '--allow-read', '--allow-sys', '--allow-env'] },
  bun: { file: '@oven/bun-linux-x64/bin/bun', args: [] },
} as const

export async function ensureProcess(name: keyof typeof PROCESSES): Promise<Installed> {
  await install(FOLDER)
  const { file, args } = PROCESSES[name]
  const { version } = JSON.parse(await readFile(path.join(modules, name, 'package.json'), 'utf8')) as { version: string }
  return { name, path: path.join(modules, file), args, version }
}
