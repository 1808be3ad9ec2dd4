// The suite in an isolate at the edge: a request is answered with a line of JSON a case.
import '../../../src/index.edge.ts'
import { aboutRuntime } from './about.ts'
import { runSuite, type Told } from './suite.ts'

/** A service that has the golden files: a binding of workerd's, or the like. */
interface Golden {
  fetch(url: string): Promise<Pick<Response, 'arrayBuffer'>>
}

function answer(golden: Golden): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const tell = (told: Told): void => void writer.write(new TextEncoder().encode(`${JSON.stringify(told)}\n`))
  const run = async (): Promise<void> => {
    tell({ type: 'runtime', runtime: await aboutRuntime() })
    await runSuite({ read: async (file) => new Uint8Array(await (await golden.fetch(`http://golden/${file}`)).arrayBuffer()) }, tell)
  }
  void run()
    .catch((error: unknown) => tell({ type: 'crash', error: String(error) }))
    .then(() => writer.close())
  return new Response(readable)
}

interface FetchEvent {
  respondWith(response: Response): void
}

// workerd takes a module's default export, edge-runtime a listener.
export default { fetch: (_: Request, env: { GOLDEN: Golden }): Response => answer(env.GOLDEN) }
const scope = globalThis as unknown as { GOLDEN?: Golden; addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void }
const { GOLDEN } = scope
if (GOLDEN !== undefined) scope.addEventListener('fetch', (event) => event.respondWith(answer(GOLDEN)))
