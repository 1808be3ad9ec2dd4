// Kernels with asc, the worker as text, the host with esbuild, types with tsc. `--if-stale` builds only when a source is newer, and of the kernels those that only tests run; `--all` all of them.
import { execFile } from 'node:child_process'
import { access, chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { detachPieces } from './pieces.mjs'
import { inlineAssets, staticModules, unshared, whole, workerText } from './assets.mjs'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '..')
const bin = (name) => path.join(root, 'node_modules', name)
process.chdir(root)

const newest = async (folder, extension) => {
  const files = await readdir(folder, { recursive: true, withFileTypes: true })
  const times = files
    .filter((file) => file.isFile() && extension.test(file.name))
    .map(async (file) => (await stat(path.join(file.parentPath ?? file.path, file.name))).mtimeMs)
  return Math.max(0, ...(await Promise.all(times)))
}
const age = async (file) => (await stat(file).catch(() => ({ mtimeMs: 0 }))).mtimeMs

const kernelSources = Math.max(await newest('assembly', /\.ts$/), await age('asconfig.json'))
const hostSources = Math.max(kernelSources, await newest('src', /\.ts$/), await newest('scripts', /\.mjs$/), await age('package.json'))
const ifStale = process.argv.includes('--if-stale')

// To run, these builds of the kernels are enough: a newcomer need not wait for those that only tests run.
const bundled = ['inference', 'inference-dot', 'inference-fast', 'simd', 'fast']
const targets = ifStale && !process.argv.includes('--all') ? bundled : [...bundled, 'dot', 'debug']
const asc = bin('assemblyscript/bin/asc.js')
async function kernels() {
  await mkdir('build', { recursive: true })
  const queue = []
  for (const target of targets) if ((await age(`build/${target}.wasm`)) < kernelSources) queue.push(target)
  const compileNext = async () => {
    for (let target = queue.shift(); target; target = queue.shift()) await run(process.execPath, [asc, '--target', target], { cwd: root })
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, compileNext))
}

/** The command imports the built library instead of bundling a second one. */
const libraryIsExternal = {
  name: 'library-is-external',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/(index\.node|retrieval|training|data)\.ts$/ }, ({ path: file, kind }) =>
      kind === 'entry-point' ? undefined : { path: `./${path.basename(file, '.ts')}.js`, external: true },
    ),
}

async function host() {
  const { version } = JSON.parse(await readFile('package.json', 'utf8'))
  const common = {
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minify: true,
    sourcemap: true,
    outdir: 'dist',
    logLevel: 'warning',
  }
  const library = async (entryPoints, plugin, chunkNames = 'lib-[name]-[hash]') => {
    // What entries share is in files of their own, and so is what only some calls need.
    const options = { ...common, entryPoints, splitting: true, metafile: true, chunkNames, target: 'es2022', plugins: [plugin] }
    const made = await build({ ...options, minify: false })
    await detachPieces(made.metafile)
    return made
  }
  const isolate = (name) => ({
    [`index.${name}`]: 'src/index.edge.ts',
    [`retrieval.${name}`]: 'src/retrieval.ts',
    [`training.${name}`]: 'src/training.ts',
    [`data.${name}`]: 'src/data.ts',
  })
  const built = await Promise.all([
    library(
      {
        ...{ 'index.node': 'src/index.node.ts', 'index.web': 'src/index.web.ts' },
        ...{ retrieval: 'src/retrieval.ts', training: 'src/training.ts', data: 'src/data.ts' },
      },
      inlineAssets(),
    ),
    library(isolate('workerd'), staticModules(), 'lib-workerd-[name]-[hash]'),
    library(isolate('edge'), staticModules('?module'), 'lib-edge-[name]-[hash]'),
    // Adapters import nothing of the library, and are the same everywhere.
    build({
      ...common,
      entryPoints: { 'ai-sdk': 'src/integrations/ai-sdk.ts', langchain: 'src/integrations/langchain.ts' },
      ...{ platform: 'neutral', target: 'es2022', external: ['@langchain/core/embeddings'], metafile: true },
    }),
    build({
      ...common,
      entryPoints: { cli: 'src/cli/main.ts' },
      // Each command in a file of its own: what only prints help loads nothing else.
      splitting: true,
      metafile: true,
      chunkNames: 'cli-[name]-[hash]',
      plugins: [libraryIsExternal],
      define: { BERTLET_VERSION: JSON.stringify(version) },
      // What is bundled is partly CommonJS.
      banner: { js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);" },
    }),
  ])
  await chmod('dist/cli.js', 0o755)
  await writeFile('dist/worker.web.js', await workerText('src/runtimes/web-worker.ts'))
  for (const name of ['simd', 'inference-dot', 'fast'])
    await writeFile(`dist/${whole(name)}.wasm`, unshared(await readFile(`build/${name}.wasm`)))
  // Pieces of an older build have other names.
  const made = Object.assign({}, ...built.map(({ metafile }) => metafile.outputs))
  const old = (await readdir('dist')).filter((file) => /^(cli|lib)-/.test(file) && made[`dist/${file}`] === undefined)
  await Promise.all(old.map((file) => rm(`dist/${file}`, { force: true })))
}

async function types() {
  await run(process.execPath, [bin('typescript/bin/tsc'), '-p', 'tsconfig.types.json'], { cwd: root })
}

const started = performance.now()
const done = (await age('dist/cli.js')) >= hostSources && (await age(`build/${targets.at(-1)}.wasm`)) >= kernelSources
if (!ifStale || !done) {
  try {
    await kernels()
    if (!ifStale) await rm('dist', { recursive: true, force: true })
    await Promise.all([host(), ifStale ? undefined : types()])
    await access('dist/index.node.js')
  } catch (error) {
    process.stderr.write(`${error.stdout ?? ''}${error.stderr ?? ''}${error.stack}\n`)
    process.exit(1)
  }
  if (!process.env.npm_config_silent) process.stderr.write(`built in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
}
