// examples/vite-app by two bundlers; npm run prove:bundlers has all of them, and Next.js.
import { expect, it } from 'vitest'
import { SERVED, tryBundler, withPacked } from './support/bundlers.ts'
import { missingBrowser } from './support/runtimes/browsers.ts'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { FOLDER } from './support/runtimes/installed.ts'
import { install } from './support/install.ts'

const missing = (await install(FOLDER).then(() => undefined, String)) ?? missingBrowser('chromium')
const ways = Object.keys(SERVED) as (keyof typeof SERVED)[]

// The application awaits at the top level of its entry. Vite puts bertlet into the entry's chunk: pieces that imported it would wait for each other.
for (const name of ['vite', 'esbuild'] as const) {
  describeRuntime(`an application of ${name}`, missing, () => {
    it.each(ways)(
      '%s',
      async (how) => {
        const { first, threads } = await withPacked((folder) => tryBundler(folder, name, how))
        expect(first).toMatch(/^Where is my parcel\? 0\.\d{3}$/)
        if (how === 'below a path, not isolated') expect(threads).toBe(0)
        else expect(threads).toBeGreaterThan(0)
      },
      120_000,
    )
  })
}
