// A task in an isolate at the edge: the request names it, and is answered in lines of JSON.
import '../../../src/index.edge.ts'
import type { Files } from '../../conformance/case.ts'
import { perform, type Task, type Told } from './suite.ts'

/** A service that has files: a binding of workerd's, or the like. */
interface Folder {
  fetch(url: string): Promise<Pick<Response, 'arrayBuffer'>>
}
interface Bindings {
  readonly GOLDEN: Folder
  readonly MODEL: Folder
}

const files = (folder: Folder): Files => ({
  read: async (file) => new Uint8Array(await (await folder.fetch(`http://folder/${file}`)).arrayBuffer()),
})

function answer(url: string, { GOLDEN, MODEL }: Bindings): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const tell = (told: Told): void => void writer.write(new TextEncoder().encode(`${JSON.stringify(told)}\n`))
  // workerd's clock goes on when something came from outside.
  const clock = async (): Promise<number> => {
    await (await MODEL.fetch('http://folder/config.json')).arrayBuffer()
    return performance.now()
  }
  const task = new URL(url).pathname.slice(1) as Task
  void perform(task, { golden: files(GOLDEN), model: files(MODEL), clock }, tell).then(() => writer.close())
  return new Response(readable)
}

interface FetchEvent {
  readonly request: Request
  respondWith(response: Response): void
}

// workerd takes a module's default export, edge-runtime a listener.
export default { fetch: ({ url }: Request, bindings: Bindings): Response => answer(url, bindings) }
const scope = globalThis as unknown as Partial<Bindings> & {
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void
}
if (scope.GOLDEN !== undefined) scope.addEventListener('fetch', (event) => event.respondWith(answer(event.request.url, scope as Bindings)))
