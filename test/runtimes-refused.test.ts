// Where workers are refused, fewer threads compute, or the calling one, and info() says why.
import { copyFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it, vi } from 'vitest'
import { BertModel } from '../src/index.node.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from './support/models.ts'
import { missingBrowser, tellFromPage, type BrowserName } from './support/runtimes/browsers.ts'
import { withBundle } from './support/runtimes/bundle.ts'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { tellLines } from './support/runtimes/processes.ts'
import type { Told } from './support/runtimes/suite.ts'

/** Workers that may still start; those behind them end before they say a word. */
let allowed = 1
vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>()
  return {
    ...real,
    Worker: class extends real.Worker {
      constructor(...[source, options]: ConstructorParameters<typeof real.Worker>) {
        super(allowed-- > 0 ? source : 'process.exit(3)', options)
      }
    },
  }
})

it('with fewer workers than asked for, those that start compute the same bits', async () => {
  const source = memorySource(checkpoint(), 'tiny')
  const batch = rectangle(sequences(6, { longest: 60 }))
  const [three, alone] = [await BertModel.fromPretrained(source, { threads: 3 }), await BertModel.fromPretrained(source, { threads: 0 })]
  expect(three.info().threads).toEqual({ count: 3, why: 'as asked' })
  const { last_hidden_state } = await three(batch)
  expect(three.info().threads).toEqual({ count: 1, why: 'workers were refused here: exit code 3' })
  expect(last_hidden_state.data).toEqual((await alone(batch)).last_hidden_state.data)
  await three.dispose()
  // The worker that had started was the model's; now none starts.
  const other = await BertModel.fromPretrained(source, { threads: 3 })
  expect((await other(batch)).last_hidden_state.data).toEqual(last_hidden_state.data)
  expect(other.info().threads).toEqual({ count: 0, why: 'workers were refused here: exit code 3' })
  await other.dispose()
  await alone.dispose()
})

it("Node's permissions: one thread, and what would allow more", async () => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
  const told: Told[] = []
  await withBundle('process-main.ts', { platform: 'node' }, (file) =>
    tellLines(process.execPath, [flag, '--allow-fs-read=*', file, 'about', '.', '.'], (each) => told.push(each)),
  )
  expect(told[0]).toMatchObject({ runtime: { threads: 0, why: expect.stringMatching(/--allow-worker/) as string } })
})

const SELF = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"

/** What the runtime says in a page of a policy, or what kept it from running. */
async function under(browser: BrowserName, policy: string): Promise<unknown> {
  let said: unknown
  await withBundle('page-main.ts', {}, async (_, folder) => {
    await copyFile(path.join(import.meta.dirname, '../dist/worker.web.js'), path.join(folder, 'worker.web.js'))
    const visit = { browser, isolated: true, task: 'about' as const, headers: { 'Content-Security-Policy': policy } }
    await tellFromPage(visit, folder, (told) => {
      if (told.type === 'runtime') said = told.runtime
      else if (told.type === 'crash') throw new Error(told.error)
    })
  })
  return said
}

for (const browser of ['chromium', 'firefox', 'webkit'] as const) {
  describeRuntime(`the policy of a page, ${browser}`, missingBrowser(browser), () => {
    it('that forbids blob: workers: the file beside the script is one', async () => {
      expect(await under(browser, SELF)).toMatchObject({ threads: 2, why: 'as asked' })
    })
    it('that forbids any worker: the calling thread', async () => {
      const why = expect.stringMatching(/workers were refused here: .*Content-Security-Policy/) as string
      expect(await under(browser, `${SELF}; worker-src 'none'`)).toMatchObject({ threads: 0, why })
    })
    it('that forbids WebAssembly: the error says what allows it', async () => {
      await expect(under(browser, "default-src 'self'")).rejects.toThrow(
        /Content-Security-Policy refuses WebAssembly. Add 'wasm-unsafe-eval'/,
      )
    })
  })
}
