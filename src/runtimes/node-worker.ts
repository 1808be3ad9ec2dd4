import { parentPort, workerData } from 'node:worker_threads'
import { serve } from '../engine/worker.ts'
import type { WorkerData } from './runtime.ts'

const port = parentPort!
serve(
  {
    post: (message) => port.postMessage(message),
    onMessage: (listener) => port.on('message', listener),
  },
  workerData as WorkerData,
)
