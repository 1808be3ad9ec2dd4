// The examples, with the built package, in the runtimes that they are for.
import { cp, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { expect, it } from 'vitest'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { withBundle } from './support/runtimes/bundle.ts'
import { FOLDER } from './support/runtimes/installed.ts'
import { ensureIsolates, KERNELS } from './support/runtimes/isolates.ts'
import { MODEL } from './support/runtimes/processes.ts'

const root = path.join(import.meta.dirname, '..')

describeRuntime('examples/cloudflare-worker', await ensureIsolates().then(() => undefined, String), () => {
  it('finds the nearest entry of its list', async () => {
    const options = {
      entryPoints: [path.join(root, 'examples/cloudflare-worker/worker.js')],
      alias: { bertlet: path.join(root, 'dist/index.workerd.js') },
      external: ['*.wasm'],
      plugins: [],
      // Inside of the repository, dist is no installed package: esbuild warns of what it then may drop.
      logLevel: 'error' as const,
    }
    await withBundle('', options, async (file, folder) => {
      await cp(MODEL, path.join(folder, 'model'), { recursive: true })
      await cp(path.join(MODEL, 'model.fp16.safetensors'), path.join(folder, 'model/model.safetensors'))
      const { Miniflare } = createRequire(path.join(FOLDER, 'index.js'))('miniflare')
      const wasm = KERNELS.map(async (name) => ({
        type: 'CompiledWasm',
        path: name,
        contents: await readFile(path.join(root, 'dist', name)),
      }))
      const worker = new Miniflare({
        compatibilityDate: '2025-09-01',
        modules: [{ type: 'ESModule', path: 'worker.mjs', contents: await readFile(file, 'utf8') }, ...(await Promise.all(wasm))],
        serviceBindings: { ASSETS: { disk: { path: folder } } },
      })
      try {
        const answer = await worker.dispatchFetch('http://worker/?q=when+will+it+be+delivered')
        const found = (await answer.json()) as { text: string; score: number }[]
        expect(found.map(({ text }) => text)[0]).toBe('Where is my parcel?')
        expect(found).toHaveLength(4)
      } finally {
        await worker.dispose()
      }
    })
  }, 120_000)
})
