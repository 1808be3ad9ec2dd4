// Runs a TypeScript file of the repository with its imports, as vitest would: node scripts/run-ts.mjs FILE [arguments]
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { inlineAssets } from './assets.mjs'

const root = path.join(import.meta.dirname, '..')
const file = path.resolve(process.argv[2])
/** Paths beside a source file stay those of the source file. */
const ownFolder = {
  name: 'own-folder',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.(ts|mjs)$/ }, async (args) =>
      args.suffix.includes('inline')
        ? undefined
        : {
            contents: (await readFile(args.path, 'utf8')).replaceAll('import.meta.dirname', JSON.stringify(path.dirname(args.path))),
            loader: args.path.endsWith('.ts') ? 'ts' : 'js',
          },
    ),
}
const { outputFiles } = await build({
  entryPoints: [file],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  plugins: [inlineAssets(), ownFolder],
  logLevel: 'warning',
})
const folder = path.join(root, 'node_modules/.cache/bertlet')
await mkdir(folder, { recursive: true })
const bundle = path.join(folder, `${path.basename(file, '.ts')}-${process.pid}.mjs`)
await writeFile(bundle, outputFiles[0].text)
process.argv.splice(1, 2, file)
try {
  await import(pathToFileURL(bundle).href)
} finally {
  await rm(bundle)
}
