// Every conformance case in isolates at the edge.
import { describeRuntime, itConforms } from './support/runtimes/conforms.ts'
import { ensureIsolates, tellFromEdgeRuntime, tellFromWorkerd } from './support/runtimes/isolates.ts'

const missing = await ensureIsolates().then(() => undefined, String)

for (const [name, tellFrom] of [
  ['workerd', tellFromWorkerd],
  ['edge-runtime', tellFromEdgeRuntime],
] as const) {
  describeRuntime(name, missing, () =>
    itConforms((tell) => tellFrom('suite', tell), { runtime: name, build: 'simd', threads: 0, why: `an isolate of ${name} is one thread` }),
  )
}
