// Code of this repository under another Node: bundled with the library, run in a child process.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { inlineAssets } from '../../scripts/assets.mjs'
import type { Installed } from './runtimes/installed.ts'

/** How an entry names a file of test/. */
export const testFile = (name: string): string => JSON.stringify(path.join(import.meta.dirname, '..', name))

/** Runs a module's text, and gives back the JSON that it prints. */
export async function runUnder({ path: node }: Installed, text: string, args: readonly string[] = []): Promise<unknown> {
  const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
  try {
    const [entry, outfile] = [path.join(folder, 'entry.ts'), path.join(folder, 'main.mjs')]
    await writeFile(entry, text)
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      plugins: [inlineAssets()],
      logLevel: 'warning',
    })
    const { stdout } = await promisify(execFile)(node, [outfile, ...args])
    return JSON.parse(stdout) as unknown
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
