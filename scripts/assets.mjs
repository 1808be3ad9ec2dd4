// What the bundle holds inline: wasm in hexadecimal, workers as bundled text. One plugin for esbuild, one for vite, the same result.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

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

async function wasmModule(file) {
  // In hexadecimal, where a byte is always the same two letters, brotli and gzip make a quarter less of it than of base64.
  const hex = (await readFile(file)).toString('hex')
  return `const text = ${JSON.stringify(hex)}
const bytes = new Uint8Array(text.length / 2)
const digit = (at) => { const code = text.charCodeAt(at); return (code & 15) + (code >> 6) * 9 }
for (let i = 0; i < bytes.length; i++) bytes[i] = digit(2 * i) * 16 + digit(2 * i + 1)
export default bytes`
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
      onLoad({ filter: /\.wasm$/ }, async ({ path: file }) => ({ contents: await wasmModule(file) }))
    },
  }
}

/** The kernels for memory that is not shared: the import names the memory and, behind a byte, says 3, shared, or 1. */
export function unshared(bytes) {
  const changed = Buffer.from(bytes)
  changed[changed.indexOf('memory') + 'memory'.length + 1] = 1
  return changed
}

/** For esbuild, where wasm is compiled when it is deployed: kernels are modules beside the script, for unshared memory. */
export function staticModules(suffix = '') {
  return {
    name: 'static-modules',
    setup({ onResolve }) {
      onResolve({ filter: /\.wasm$/ }, ({ path: file }) => ({ path: `./${path.basename(file)}${suffix}`, external: true }))
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
