// Every conformance case in the other processes that run JavaScript.
import { ensureNodes, ensureProcess, type Installed } from './support/runtimes/installed.ts'
import { withBundle } from './support/runtimes/bundle.ts'
import { describeRuntime, itConforms } from './support/runtimes/conforms.ts'
import { GOLDEN, MODEL, tellLines } from './support/runtimes/processes.ts'

for (const [title, ensure] of [
  ['node22', async () => (await ensureNodes())[0]!],
  ['node24', async () => (await ensureNodes())[1]!],
  ['deno', () => ensureProcess('deno')],
  ['bun', () => ensureProcess('bun')],
] as const) {
  const found = await ensure().catch((error: unknown) => String(error))
  describeRuntime(title, typeof found === 'string' ? found : undefined, () => {
    const { path, args, version } = found as Installed
    itConforms(
      (tell) =>
        withBundle('process-main.ts', { platform: 'node' }, (file) => tellLines(path, [...args, file, 'suite', GOLDEN, MODEL], tell)),
      { runtime: `${title.replace(/\d+$/, '')} ${version}`, build: 'simd', threads: 2, why: 'as asked' },
    )
  })
}
