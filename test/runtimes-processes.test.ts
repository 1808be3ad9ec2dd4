// Every conformance case in the other processes that run JavaScript.
import { ensureNodes, ensureProcess, type Installed } from './support/runtimes/installed.ts'
import { withBundle } from './support/runtimes/bundle.ts'
import { describeRuntime, itConforms } from './support/runtimes/conforms.ts'
import { GOLDEN, tellLines } from './support/runtimes/processes.ts'

/** What each needs before the script. Deno asks for what it is not given: files, and how many cores there are. */
const BEFORE: Readonly<Record<string, readonly string[]>> = { deno: ['run', '--no-prompt', '--allow-read', '--allow-sys', '--allow-env'] }

for (const [title, ensure] of [
  ['node22', async () => (await ensureNodes())[0]!],
  ['node24', async () => (await ensureNodes())[1]!],
  ['deno', () => ensureProcess('deno')],
  ['bun', () => ensureProcess('bun')],
] as const) {
  const found = await ensure().catch((error: unknown) => String(error))
  describeRuntime(title, typeof found === 'string' ? found : undefined, () => {
    const { path, version } = found as Installed
    itConforms(
      (tell) =>
        withBundle('process-main.ts', { platform: 'node' }, (file) => tellLines(path, [...(BEFORE[title] ?? []), file, GOLDEN], tell)),
      { runtime: `${title.replace(/\d+$/, '')} ${version}`, build: 'simd', threads: 2, why: 'as asked' },
    )
  })
}
