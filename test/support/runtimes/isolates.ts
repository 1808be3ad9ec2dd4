// Isolates at the edge, each with modules that were compiled before the script runs.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { BuildOptions } from 'esbuild'
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

/** The part of Miniflare that is used here. */
export interface Isolate {
  readonly ready: Promise<unknown>
  dispatchFetch(url: string): Promise<Response>
  getInspectorURL(): Promise<URL>
  dispose(): Promise<void>
}

/**
 * An isolate of a main beside this file, with folders of this machine as services, for the time of some work; `code` is the bytes that it is deployed with, `more`
 * compiled modules beside the kernels.
 */
export function withWorkerd<T>(
  main: string,
  folders: Readonly<Record<string, string>>,
  work: (isolate: Isolate, code: number) => Promise<T>,
  options: BuildOptions = {},
  more: Readonly<Record<string, Uint8Array>> = {},
): Promise<T> {
  return withBundle(main, { plugins: [staticModules()], conditions: ['workerd'], ...options }, async (file) => {
    const { Miniflare } = load('miniflare') as { Miniflare: new (options: object) => Isolate }
    const modules = [
      { type: 'ESModule', path: 'main.mjs', contents: await readFile(file, 'utf8') },
      ...(await Promise.all(KERNELS.map(async (name) => ({ type: 'CompiledWasm', path: name, contents: await wasm(name) })))),
      ...Object.entries(more).map(([name, contents]) => ({ type: 'CompiledWasm', path: name, contents })),
    ]
    const isolate = new Miniflare({
      compatibilityDate: '2025-09-01',
      modules,
      serviceBindings: Object.fromEntries(Object.entries(folders).map(([name, folder]) => [name, { disk: { path: folder } }])),
      inspectorPort: 0,
    })
    try {
      return await work(
        isolate,
        modules.reduce((sum, { contents }) => sum + contents.length, 0),
      )
    } finally {
      await isolate.dispose()
    }
  })
}

export function tellFromWorkerd(task: Task, tell: Tell): Promise<void> {
  return withWorkerd('isolate-main.ts', { GOLDEN, MODEL }, async (isolate) =>
    tellAll(await (await isolate.dispatchFetch(`http://isolate/${task}`)).text(), tell),
  )
}

/** What the inspector tells of an isolate's JS heap. */
export interface HeapUsage {
  readonly usedSize: number
  readonly totalSize: number
  readonly embedderHeapUsedSize?: number
  readonly backingStorageSize?: number
}

/** Asks the inspector of an isolate, for the time of some work. */
export async function withInspector<T>(isolate: Isolate, work: (heap: () => Promise<HeapUsage>) => Promise<T>): Promise<T> {
  const { WebSocket } = load('ws') as {
    WebSocket: new (url: string) => import('node:events').EventEmitter & { send(text: string): void; close(): void }
  }
  // Miniflare has isolates of its own beside the worker's.
  const listed = await fetch(`http://${(await isolate.getInspectorURL()).host}/json`)
  const isolates = (await listed.json()) as { id: string; webSocketDebuggerUrl: string }[]
  const socket = new WebSocket(isolates.find(({ id }) => id.startsWith('core:user:'))!.webSocketDebuggerUrl)
  const waiting = new Map<number, { resolve(result: never): void; reject(error: Error): void }>()
  const fail = (error: Error): void => waiting.forEach(({ reject }) => reject(error))
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.on('error', fail).on('close', () => fail(new Error('the inspector has gone')))
  socket.on('message', (data) => {
    const { id, result, error } = JSON.parse(String(data)) as { id?: number; result: never; error?: { message: string } }
    const asked = waiting.get(id!)
    if (error) asked?.reject(new Error(error.message))
    else asked?.resolve(result)
  })
  let last = 0
  const send = <R>(method: string): Promise<R> =>
    new Promise<R>((resolve, reject) => {
      waiting.set(++last, { resolve, reject })
      socket.send(JSON.stringify({ id: last, method }))
    })
  try {
    return await work(() => send<HeapUsage>('Runtime.getHeapUsage'))
  } finally {
    socket.removeAllListeners('close')
    socket.close()
  }
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
