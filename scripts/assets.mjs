// What the bundle holds inline: wasm as text, workers as bundled text. One plugin for esbuild, one for vite, the same result.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { build, buildSync } from 'esbuild'
import { changesOf, textOf } from './code.mjs'

const root = path.join(import.meta.dirname, '..')

/** A worker's source: one classic script. */
export async function workerText(file) {
  const result = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    minify: true,
    // The worker is given compiled modules: it needs no wasm bytes.
    plugins: [{ name: 'no-wasm', setup: ({ onLoad }) => onLoad({ filter: /\.wasm$/ }, () => ({ contents: 'export default undefined' })) }],
    logLevel: 'warning',
  })
  return result.outputFiles[0].text
}

/** Builds that are little else than parts of others. */
const LIKE = {
  'inference-dot': ['inference'],
  'inference-fast': ['inference-dot'],
  simd: ['inference'],
  fast: ['simd', 'inference-fast'],
}

/** The way there is the way back: parts.ts has both. */
const { outputFiles } = buildSync({ entryPoints: [path.join(root, 'src/engine/parts.ts')], bundle: true, write: false, format: 'esm' })
const { parted } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`)

async function wasmModule(file) {
  const others = (LIKE[path.basename(file, '.wasm')] ?? []).map((name) => path.join(path.dirname(file), `${name}.wasm`))
  const base = Buffer.concat(await Promise.all(others.map(async (other) => parted(await readFile(other)))))
  const parts = Buffer.from(parted(await readFile(file)))
  const text = JSON.stringify(textOf(others.length === 0 ? parts : changesOf(base, parts)))
  const engine = (name) => JSON.stringify(path.join(root, 'src/engine', name))
  return [
    `import { bytesOf, changed } from ${engine('code.ts')}`,
    `import { joined } from ${engine('parts.ts')}`,
    ...others.map((other, i) => `import { parts as base${i} } from ${JSON.stringify(other)}`),
    others.length === 0
      ? `export const parts = bytesOf(${text})`
      : `export const parts = changed([${others.map((_, i) => `base${i}`).join()}], bytesOf(${text}))`,
    'export default joined(parts)',
  ].join('\n')
}

const inlined = (file) => file.replace(/\?inline$/, '')

/** For esbuild. */
export function inlineAssets() {
  return {
    name: 'inline-assets',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /\?inline$/ }, ({ path: file, resolveDir }) => ({
        path: path.resolve(resolveDir, inlined(file)),
        namespace: 'inline',
      }))
      onLoad({ filter: /./, namespace: 'inline' }, async ({ path: file }) => ({
        contents: `export default ${JSON.stringify(await workerText(file))}`,
      }))
      onLoad({ filter: /\.wasm$/ }, async ({ path: file }) => ({ contents: await wasmModule(file), resolveDir: path.dirname(file) }))
      // Deno has no __proto__, which the Buffer that csv-parse brings along for browsers sets.
      onLoad({ filter: /csv-parse[\\/]dist[\\/]esm[\\/]index\.js$/ }, async ({ path: file }) => ({
        contents: (await readFile(file, 'utf8')).replace(/([\w.]+)\.__proto__ = ([\w.]+);/g, 'Object.setPrototypeOf($1, $2);'),
        loader: 'js',
      }))
    },
  }
}

/** The kernels for memory that is not shared: the import names the memory and, behind a byte, says 3, shared, or 1. */
export function unshared(bytes) {
  const changed = Buffer.from(bytes)
  changed[changed.indexOf('memory') + 'memory'.length + 1] = 1
  return changed
}

/** Where modules lie beside the script and are compiled beforehand, those of training serve inference too. */
export const whole = (name) => ({ inference: 'simd', 'inference-dot': 'dot', 'inference-fast': 'fast' })[name] ?? name

/** For esbuild, where wasm is compiled when it is deployed: kernels are modules beside the script, for unshared memory. */
export function staticModules(suffix = '') {
  return {
    name: 'static-modules',
    setup({ onResolve }) {
      onResolve({ filter: /\.wasm$/ }, ({ path: file }) => ({
        path: `./${whole(path.basename(file, '.wasm'))}.wasm${suffix}`,
        external: true,
      }))
    },
  }
}

/** For vite, so that tests run the sources. */
export function inlineAssetsVite() {
  return {
    name: 'inline-assets',
    enforce: 'pre',
    async load(id) {
      if (id.endsWith('?inline')) return `export default ${JSON.stringify(await workerText(inlined(id)))}`
      if (id.endsWith('.wasm') && id.startsWith(root)) return wasmModule(id)
      return null
    },
  }
}
