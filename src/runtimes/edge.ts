// Isolates at the edge, such as workerd and Vercel's edge-runtime: one thread, no files, and kernels that were compiled when deployed.
import { noFiles } from './no-files.ts'
import type { Runtime } from './runtime.ts'

const isolate = (globalThis as { EdgeRuntime?: unknown }).EdgeRuntime === undefined ? 'workerd' : 'edge-runtime'

export const edge: Runtime = {
  ...noFiles,
  name: isolate,
  parallelism: () => 1,
  workers: `an isolate of ${isolate} is one thread`,
  spawn() {
    throw new Error('no workers here')
  },
  turn: () => new Promise((resolve) => setTimeout(resolve, 0)),
}
