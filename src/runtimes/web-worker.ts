import { serve, type Port } from '../engine/worker.ts'
import type { WorkerData } from './runtime.ts'

// The first message is what a worker of Node is born with.
const scope = globalThis as unknown as { postMessage: Port['post']; onmessage: (event: { data: unknown }) => void }
scope.onmessage = ({ data: born }) =>
  serve(
    {
      post: (message) => scope.postMessage(message),
      onMessage: (listener) => void (scope.onmessage = ({ data }) => listener(data as Parameters<typeof listener>[0])),
    },
    born as WorkerData,
  )
