// The suite in a page, a web worker or a service worker, as the page's address says. Tells the server that served it.
import '../../../src/index.web.ts'
import { aboutRuntime } from './about.ts'
import { runSuite, type Told } from './suite.ts'

const own = new URL(location.href)
let told = Promise.resolve<unknown>(undefined)
const tell = (what: Told): void => {
  told = told.then(() => fetch('/told', { method: 'POST', body: JSON.stringify(what) }))
}

async function run(): Promise<void> {
  try {
    tell({ type: 'runtime', runtime: await aboutRuntime() })
    if (own.searchParams.has('about')) tell({ type: 'end' })
    else await runSuite({ read: async (file) => new Uint8Array(await (await fetch(`/golden/${file}`)).arrayBuffer()) }, tell)
  } catch (error) {
    tell({ type: 'crash', error: String(error) })
  }
  await told
}

const crashed = (error: unknown): void => tell({ type: 'crash', error: String(error) })

if (typeof document === 'undefined') {
  const scope = globalThis as unknown as {
    registration?: unknown
    addEventListener(type: string, listener: (event: { waitUntil(work: Promise<void>): void }) => void): void
  }
  // A service worker lives as long as its events.
  if (scope.registration === undefined) void run()
  else scope.addEventListener('install', (event) => event.waitUntil(run()))
} else {
  const place = own.searchParams.get('in')
  if (place === 'worker') new Worker('/main.js', { type: 'module' }).onerror = ({ message }) => crashed(message)
  else if (place === 'service-worker') navigator.serviceWorker.register('/main.js', { type: 'module' }).catch(crashed)
  else void run()
}
