// Runs a TypeScript file of the repository with its imports, as vitest would: node scripts/run-ts.mjs FILE [arguments]
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { inlineAssets } from './assets.mjs'

const root = path.join(import.meta.dirname, '..')
const file = path.resolve(process.argv[2])
const { outputFiles } = await build({
  entryPoints: [file],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  // Paths beside a source file must stay those of the source file.
  define: { 'import.meta.dirname': JSON.stringify(path.dirname(file)) },
  plugins: [inlineAssets()],
  logLevel: 'warning',
})
const folder = path.join(root, 'node_modules/.cache/bertlet')
await mkdir(folder, { recursive: true })
const bundle = path.join(folder, `${path.basename(file, '.ts')}-${process.pid}.mjs`)
await writeFile(bundle, outputFiles[0].text)
process.argv.splice(1, 2, file)
await import(pathToFileURL(bundle).href)
