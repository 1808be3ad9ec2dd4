// What the bundle holds inline: wasm and workers as bundled text. One plugin for esbuild, one for vite, the same result.
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

/**
 * A character a byte: compressed, it is as small as the bytes, where base64, which cuts across them, takes 45 % more. Shifted so that the
 * commonest bytes are letters; what a quote, an editor or a line reader might touch goes to U+0100 and above, which a byte array drops.
 */
const SHIFT = 48
const plain = (code) => (code >= 0x20 && code < 0x7f && !'"\'\\`$'.includes(String.fromCharCode(code))) || (code > 0xa0 && code !== 0xad)

async function wasmModule(file) {
  const codes = Array.from(await readFile(file), (byte) => (byte + SHIFT) & 255)
  const text = codes.map((code) => String.fromCharCode(plain(code) ? code : code + 0x100)).join('')
  return `const text = ${JSON.stringify(text)}, bytes = new Uint8Array(text.length)
if (text.length !== ${codes.length}) throw new Error('bertlet: this file was read in another encoding than the UTF-8 that it is written in')
for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i) - ${SHIFT}
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
