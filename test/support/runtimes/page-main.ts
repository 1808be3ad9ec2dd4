// A task in a page, a web worker or a service worker, as the page's address says. Tells the server that served it.
import '../../../src/index.web.ts'
import type { Files } from '../../conformance/case.ts'
import { perform, type Task, type Told } from './suite.ts'

const own = new URL(location.href)
let told = Promise.resolve<unknown>(undefined)
const tell = (what: Told): void => {
  told = told.then(() => fetch('/told', { method: 'POST', body: JSON.stringify(what) }))
}

const folder = (name: string): Files => ({
  read: async (file) => new Uint8Array(await (await fetch(`/${name}/${file}`)).arrayBuffer()),
})

async function run(): Promise<void> {
  const task = (own.searchParams.get('task') ?? 'suite') as Task
  await perform(task, { golden: folder('golden'), model: folder('model'), clock: () => performance.now() }, tell)
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
  // With its search, which names the task.
  const main = `/main.js${own.search}`
  if (place === 'worker') new Worker(main, { type: 'module' }).onerror = ({ message }) => crashed(message)
  else if (place === 'service-worker') navigator.serviceWorker.register(main, { type: 'module' }).catch(crashed)
  else void run()
}
