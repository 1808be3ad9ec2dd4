// Node, Deno and Bun: all through node:worker_threads.
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import workerSource from './node-worker.ts?inline'
import { beside, defaultSource, openSource } from './node-files.ts'
import { directoryFolder } from './node-folder.ts'
import { nodeHub } from './node-hub.ts'
import { directorySink } from './node-sink.ts'
import type { Runtime, WorkerHandle } from './runtime.ts'

const { bun, deno, node: version } = process.versions
const { permission } = process as { permission?: { has(scope: string): boolean } }

export const node: Runtime = {
  name: bun !== undefined ? `bun ${bun}` : deno !== undefined ? `deno ${deno}` : `node ${version}`,
  parallelism: availableParallelism,
  workers: permission?.has('worker') === false ? "Node's --permission refuses workers: --allow-worker allows them" : true,
  spawn(data): WorkerHandle {
    const worker = new Worker(workerSource, { eval: true, workerData: data, name: 'bertlet', stdin: false })
    worker.unref()
    let failure = ''
    worker.on('error', (error) => (failure = String(error)))
    return {
      post: (message) => worker.postMessage(message),
      onMessage: (listener) => void worker.on('message', listener),
      onExit: (listener) => void worker.on('exit', (code) => listener(failure || `exit code ${code}`)),
      terminate: () => void worker.terminate(),
      ref: () => worker.ref(),
      unref: () => worker.unref(),
    }
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  source: openSource,
  beside,
  sink: directorySink,
  folder: directoryFolder,
  defaultSource,
  hub: nodeHub,
}
