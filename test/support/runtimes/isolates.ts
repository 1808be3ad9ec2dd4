// Isolates at the edge, each with modules that were compiled before the script runs.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { staticModules, unshared, whole } from '../../../scripts/assets.mjs'
import { install } from '../install.ts'
import { withBundle } from './bundle.ts'
import { FOLDER } from './installed.ts'
import { GOLDEN, MODEL } from './processes.ts'
import type { Task, Told } from './suite.ts'

type Tell = (told: Told) => void

const load = createRequire(path.join(FOLDER, 'index.js'))
const wasm = async (name: string): Promise<Uint8Array> => unshared(await readFile(path.join(import.meta.dirname, '../../../build', name)))
const service = (folder: string) => ({
  fetch: async (url: string) => ({ arrayBuffer: () => readFile(path.join(folder, new URL(url).pathname)) }),
})

/** What an isolate is given, compiled. */
export const KERNELS = ['simd.wasm', 'dot.wasm', 'fast.wasm']

/** Rejects where the packages cannot be installed. */
export const ensureIsolates = (): Promise<void> => install(FOLDER)

function tellAll(text: string, tell: Tell): void {
  for (const line of text.trim().split('\n')) tell(JSON.parse(line) as Told)
}

export function tellFromWorkerd(task: Task, tell: Tell): Promise<void> {
  return withBundle('isolate-main.ts', { plugins: [staticModules()], conditions: ['workerd'] }, async (file) => {
    const { Miniflare } = load('miniflare')
    const isolate = new Miniflare({
      compatibilityDate: '2025-09-01',
      modules: [
        { type: 'ESModule', path: 'main.mjs', contents: await readFile(file, 'utf8') },
        ...(await Promise.all(KERNELS.map(async (name) => ({ type: 'CompiledWasm', path: name, contents: await wasm(name) })))),
      ],
      serviceBindings: { GOLDEN: { disk: { path: GOLDEN } }, MODEL: { disk: { path: MODEL } } },
    })
    try {
      tellAll(await (await isolate.dispatchFetch(`http://isolate/${task}`)).text(), tell)
    } finally {
      await isolate.dispose()
    }
  })
}

export function tellFromEdgeRuntime(task: Task, tell: Tell): Promise<void> {
  // Next.js compiles what is imported with ?module, and hands it over from outside of the isolate: so does this.
  const given = {
    name: 'given-modules',
    setup: ({ onLoad }: import('esbuild').PluginBuild) =>
      onLoad({ filter: /\.wasm$/ }, ({ path: file }) => ({
        contents: `export default MODULES['${whole(path.basename(file, '.wasm'))}.wasm']`,
      })),
  }
  return withBundle('isolate-main.ts', { plugins: [given], format: 'iife', globalName: 'main' }, async (file) => {
    const { EdgeRuntime } = load('edge-runtime')
    const MODULES: Record<string, WebAssembly.Module> = {}
    for (const name of KERNELS) {
      const bytes = new Uint8Array(await wasm(name))
      if (WebAssembly.validate(bytes)) MODULES[name] = new WebAssembly.Module(bytes)
    }
    const isolate = new EdgeRuntime({
      extend: (context: object) => Object.assign(context, { MODULES, GOLDEN: service(GOLDEN), MODEL: service(MODEL) }),
      initialCode: await readFile(file, 'utf8'),
    })
    tellAll(await (await isolate.dispatchFetch(`http://isolate/${task}`)).text(), tell)
  })
}
