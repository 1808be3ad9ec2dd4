// Pages, web workers and service workers.
import workerSource from './web-worker.ts?inline'
import { noFiles } from './no-files.ts'
import type { Runtime, WorkerData, WorkerHandle } from './runtime.ts'

export const web: Runtime = {
  ...noFiles,
  name: browser(),
  parallelism: () => navigator.hardwareConcurrency,
  workers: workers(),
  spawn,
  turn,
  // Cache storage is for secure contexts.
  hub: () =>
    typeof caches === 'undefined' ? {} : { cacheDir: 'bertlet', cache: async (name) => (await import('./web-cache.ts')).webCache(name) },
}

function browser(): string {
  const [, name = 'browser', version = ''] = /(Firefox|Edg|Chrome|Version)\/([\d.]+)/.exec(navigator.userAgent) ?? []
  return `${{ Edg: 'edge', Version: 'webkit' }[name] ?? name.toLowerCase()} ${version}`.trim()
}

function workers(): true | string {
  if (typeof Worker === 'undefined') return 'workers cannot be started from here, as from a service worker'
  if (!crossOriginIsolated)
    return 'threads share memory only where the page is cross-origin isolated: serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp'
  return true
}

/** Workers from the bundled source; where the page's policy forbids that, from the file beside this one. */
const KINDS = [
  () => {
    const url = URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }))
    return { worker: new Worker(url, { name: 'bertlet' }), free: () => URL.revokeObjectURL(url) }
  },
  () => ({ worker: new Worker(new URL('./worker.web.js', import.meta.url), { type: 'module', name: 'bertlet' }), free: () => {} }),
]

/** The first kind that this page may start. */
let kind = 0

function spawn(data: WorkerData): WorkerHandle {
  /** Posted before the worker has said anything: posted again to the next kind when this one does not start. */
  const unheard: unknown[] = [data]
  let started = false
  let listener: (message: unknown) => void = () => {}
  let exited: (reason: string) => void = () => {}
  let worker: Worker | undefined

  const start = (mine: number): void => {
    const make = KINDS[mine]
    if (make === undefined)
      return exited(
        "the page's Content-Security-Policy lets no worker start from a blob (worker-src blob: would), and none does from worker.web.js beside this script",
      )
    try {
      const { worker: made, free } = make()
      worker = made
      made.onmessage = ({ data: message }) => {
        if (!started) free()
        ;[started, kind] = [true, mine]
        listener(message)
      }
      made.onerror = (event) => {
        made.terminate()
        if (started) return exited(event.message)
        event.preventDefault()
        free()
        start(mine + 1)
      }
      for (const message of unheard) made.postMessage(message)
    } catch {
      start(mine + 1)
    }
  }
  // Whoever spawns listens first.
  queueMicrotask(() => start(kind))
  return {
    post(message) {
      if (!started) unheard.push(message)
      worker?.postMessage(message)
    },
    onMessage: (listen) => (listener = listen),
    onExit: (listen) => (exited = listen),
    terminate() {
      worker?.terminate()
      exited('terminated')
    },
    // A page's workers keep nothing alive.
    ref: () => {},
    unref: () => {},
  }
}

const waiting: (() => void)[] = []
let channel: MessageChannel | undefined

/** A message to oneself: a timer would wait 4 ms. */
function turn(): Promise<void> {
  if (channel === undefined) {
    channel = new MessageChannel()
    channel.port1.onmessage = () => waiting.shift()?.()
  }
  const { port2 } = channel
  return new Promise((resolve) => {
    waiting.push(resolve)
    port2.postMessage(0)
  })
}
