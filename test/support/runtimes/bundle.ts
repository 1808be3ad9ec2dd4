import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { build, type BuildOptions } from 'esbuild'
import { inlineAssets } from '../../../scripts/assets.mjs'

/** One script of a main beside this file, with all that it imports, for the time of some work. */
export async function withBundle<T>(main: string, options: BuildOptions, work: (file: string, folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
  try {
    const outfile = path.join(folder, options.platform === 'node' ? 'main.mjs' : 'main.js')
    await build({
      entryPoints: [path.join(import.meta.dirname, main)],
      outfile,
      bundle: true,
      format: 'esm',
      target: 'es2022',
      plugins: [inlineAssets()],
      logLevel: 'warning',
      ...options,
    })
    return await work(outfile, folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
