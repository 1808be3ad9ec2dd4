// The conformance cases of another runtime as cases of this one: a runtime runs the whole suite once, and each case is told of.
import { beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { CONFORMANCE } from '../../conformance/index.ts'
import { ensureNodes, type Installed } from './installed.ts'
import type { CaseReport, Told } from './suite.ts'

/** What a runtime must say of itself. */
export type About = Readonly<Record<'runtime' | 'build' | 'threads' | 'why', unknown>>

const RUN_TIMEOUT = 300_000 // ms

/**
 * Says loudly what is missing, and counts it as skipped; where BERTLET_EVERY_RUNTIME is set, as .ci/run does, it is a failure.
 */
export function describeRuntime(title: string, missing: string | undefined, cases: () => void): void {
  if (missing === undefined) return void describe(title, cases)
  console.warn(`\n*** ${title} is not tested: ${missing} ***\n`)
  if (process.env.BERTLET_EVERY_RUNTIME === undefined) return void describe.skip(title, cases)
  describe(title, () => it('is here', () => expect.fail(missing)))
}

/** Cases under the other Node versions; where those cannot be installed they are missing, as runtimes are. */
export async function describeNodes(title: string, cases: (nodes: readonly Installed[]) => void): Promise<void> {
  const found = await ensureNodes().catch((error: unknown) => String(error))
  if (typeof found !== 'string') return describeRuntime(title, undefined, () => cases(found))
  const none = ['node22', 'node24'].map((name) => ({ name, path: '', args: [], version: 'not installed' }))
  describeRuntime(title, found, () => cases(none))
}

/** Amid a case: what it needs is missing here. */
export function skipCase({ skip, task }: TestContext, missing: string): void {
  console.warn(`\n*** ${task.name} is not tested: ${missing} ***\n`)
  if (process.env.BERTLET_EVERY_RUNTIME !== undefined) expect.fail(missing)
  skip(missing)
}

/** A case for each conformance case, and one for what the runtime says of itself. */
export function itConforms(run: (tell: (told: Told) => void) => Promise<void>, about: Partial<About>): void {
  const reports = new Map<string, CaseReport>()
  let runtime: unknown
  beforeAll(async () => {
    let ended = false
    await run((told) => {
      if (told.type === 'case') reports.set(`${told.group}: ${told.name}`, told)
      else if (told.type === 'runtime') ({ runtime } = told)
      else if (told.type === 'end') ended = true
      else if (told.type === 'crash') throw new Error(`the suite did not run: ${told.error}`)
    })
    expect(ended, 'the suite ran to its end').toBe(true)
  }, RUN_TIMEOUT)

  it('says what runs, and why', () => expect(runtime).toMatchObject(about))
  for (const [group, cases] of Object.entries(CONFORMANCE)) {
    describe(group, () => {
      for (const { name } of cases) {
        it(name, () => {
          const report = reports.get(`${group}: ${name}`)
          if (report === undefined) expect.fail('the runtime did not tell of this case')
          if (report.error !== undefined) expect.fail(report.error)
        })
      }
    })
  }
}
