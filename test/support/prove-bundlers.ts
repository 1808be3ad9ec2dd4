// npm run prove:bundlers: small applications of every bundler, built without configuration and opened in Chromium as people serve them.
import { BUNDLERS, FOLDER, SERVED, tryBundler, tryNext, withPacked, type Bundler } from './bundlers.ts'
import { install } from './install.ts'
import { FOLDER as RUNTIMES } from './runtimes/installed.ts'

await Promise.all([install(FOLDER), install(RUNTIMES)])
let failed = 0
const tell = (title: string, text: string): void => void process.stdout.write(`${title.padEnd(44)} ${text}\n`)
const attempt = async (title: string, work: () => Promise<string>): Promise<void> => {
  try {
    tell(title, await work())
  } catch (error) {
    failed++
    tell(title, `FAILED: ${String((error as { stdout?: string }).stdout ?? '')} ${String(error)}`)
  }
}
await withPacked(async (folder) => {
  for (const name of Object.keys(BUNDLERS) as Bundler[]) {
    for (const how of Object.keys(SERVED) as (keyof typeof SERVED)[]) {
      await attempt(`${name}, ${how}`, async () => {
        const { first, threads, why } = await tryBundler(folder, name, how)
        return `${first}; threads ${threads}, ${why}`
      })
    }
  }
  await attempt('next.js, route handler and client component', async () => {
    const { route, page } = await tryNext(folder)
    if (!(route.scores[0]! > route.scores[1]!)) throw new Error(`the route handler found ${JSON.stringify(route.scores)}`)
    return `${route.info.runtime}: ${route.scores.map((score) => score.toFixed(3)).join(' ')}; the page: ${page.first}; threads ${page.threads}, ${page.why}`
  })
})
tell('', failed === 0 ? 'all work' : `${failed} do not work`)
process.exitCode = failed === 0 ? 0 : 1
