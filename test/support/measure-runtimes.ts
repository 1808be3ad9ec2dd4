// Prints what each runtime of this machine makes of all-MiniLM-L6-v2, as the table of the README: npm run measure:runtimes
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { GOLDEN_HASH } from '../conformance/reproducible.ts'
import { missingBrowser, tellFromPage, type Visit } from './runtimes/browsers.ts'
import { withBundle } from './runtimes/bundle.ts'
import { ensureNodes, ensureProcess, type Installed } from './runtimes/installed.ts'
import { tellFromEdgeRuntime, tellFromWorkerd } from './runtimes/isolates.ts'
import type { Measured } from './runtimes/measure.ts'
import { GOLDEN, MODEL, tellLines } from './runtimes/processes.ts'
import type { Told } from './runtimes/suite.ts'

type Tell = (told: Told) => void

const inProcess = ({ path, args }: Pick<Installed, 'path' | 'args'>, tell: Tell): Promise<void> =>
  withBundle('process-main.ts', { platform: 'node' }, (file) => tellLines(path, [...args, file, 'measure', GOLDEN, MODEL], tell))

const inPage = (visit: Omit<Visit, 'task'>, tell: Tell): Promise<void> => {
  const missing = missingBrowser(visit.browser)
  if (missing !== undefined) throw new Error(missing)
  return withBundle('page-main.ts', {}, (_, folder) => tellFromPage({ ...visit, task: 'measure' }, folder, tell))
}

const WAYS: Readonly<Record<string, (tell: Tell) => Promise<void>>> = {
  'this Node': (tell) => inProcess({ path: process.execPath, args: [] }, tell),
  'Node 22': async (tell) => inProcess((await ensureNodes())[0]!, tell),
  'Node 24': async (tell) => inProcess((await ensureNodes())[1]!, tell),
  Deno: async (tell) => inProcess(await ensureProcess('deno'), tell),
  Bun: async (tell) => inProcess(await ensureProcess('bun'), tell),
  workerd: (tell) => tellFromWorkerd('measure', tell),
  'edge-runtime': (tell) => tellFromEdgeRuntime('measure', tell),
  'Chromium, isolated': async (tell) => inPage({ browser: 'chromium', isolated: true }, tell),
  'Chromium, in a worker': async (tell) => inPage({ browser: 'chromium', isolated: true, place: 'worker' }, tell),
  'Chromium, not isolated': async (tell) => inPage({ browser: 'chromium', isolated: false }, tell),
  'Firefox, isolated': async (tell) => inPage({ browser: 'firefox', isolated: true }, tell),
  'WebKit, isolated': async (tell) => inPage({ browser: 'webkit', isolated: true }, tell),
}

/** The largest resident set of any process that came of this one, in kB; of this one where there is none. */
function peak(): number {
  const processes = execFileSync('ps', ['-eo', 'pid=,ppid=,comm='], { encoding: 'utf8' })
  const parents = new Map(
    processes
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .map(([pid, ppid]) => [Number(pid), Number(ppid)]),
  )
  const isOwn = (pid: number): boolean => {
    const parent = parents.get(pid)
    return parent !== undefined && (parent === process.pid || isOwn(parent))
  }
  const sizes = [...parents.keys()].filter(isOwn).map((pid) => {
    try {
      return /esbuild|^ps$/.test(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()) ? 0 : resident(pid)
    } catch {
      // It has ended.
      return 0
    }
  })
  return Math.max(...sizes) || resident(process.pid)
}
const resident = (pid: number): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)

const rows: string[] = []
const wanted = process.argv.slice(2)
for (const [title, way] of Object.entries(WAYS)) {
  if (wanted.length > 0 && !wanted.some((word) => title.toLowerCase().includes(word.toLowerCase()))) continue
  let measured: Measured | undefined
  let most = 0
  const timer = setInterval(() => (most = Math.max(most, peak())), 200)
  try {
    await way((told) => {
      if (told.type === 'crash') throw new Error(told.error)
      if (told.type === 'measured') ({ measured } = told)
    })
    const { runtime, hash, build, threads, ms, cold, pause, fewShot, memory } = measured!
    const same = hash === GOLDEN_HASH ? 'the same' : `**${hash}**`
    rows.push(
      `| ${title}: ${runtime} | ${same} | ${build} | ${threads} | ${ms.toFixed(1)} | ${cold.toFixed(0)} | ${pause.toFixed(0)} | ${fewShot.toFixed(0)} | ${mega(memory)} | ${mega(most * 1024)} |`,
    )
  } catch (error) {
    rows.push(`| ${title} | ${error instanceof Error ? error.message : String(error)} |`)
  } finally {
    clearInterval(timer)
  }
  console.error(rows.at(-1))
}

function mega(bytes: number): string {
  return (bytes / 1e6).toFixed(0)
}

console.log(`| runtime | hash (${GOLDEN_HASH}) | build | threads | 1x128 ms | cold ms | pause ms at 8x128 | few-shot ms, 64 texts | wasm MB | peak MB |
|---|---|---|---|---|---|---|---|---|---|
${rows.join('\n')}`)
