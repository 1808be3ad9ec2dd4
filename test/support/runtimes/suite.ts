// Runs every conformance case where it is, and tells of each. The mains beside it bring it into each kind of runtime.
import type { Files } from '../../conformance/case.ts'
import { CONFORMANCE } from '../../conformance/index.ts'
import { aboutRuntime } from './about.ts'
import { measure, type Measured } from './measure.ts'

export interface CaseReport {
  readonly group: string
  readonly name: string
  readonly ms: number
  /** What went wrong. */
  readonly error?: string
}

/** What a main tells: where it ran, each case, and at last that there are no more. */
export type Told =
  | { readonly type: 'runtime'; readonly runtime: Readonly<Record<string, unknown>> }
  | ({ readonly type: 'case' } & CaseReport)
  | { readonly type: 'measured'; readonly measured: Measured }
  | { readonly type: 'end' }
  | { readonly type: 'crash'; readonly error: string }

/** What a main is asked for. */
export type Task = 'suite' | 'about' | 'measure'

export interface Place {
  readonly golden: Files
  /** The files of all-MiniLM-L6-v2. */
  readonly model: Files
  clock(): number | Promise<number>
}

/** Does a task, and tells of it to its end. */
export async function perform(task: Task, { golden, model, clock }: Place, tell: (told: Told) => void): Promise<void> {
  try {
    if (task === 'measure') tell({ type: 'measured', measured: await measure(model, clock) })
    else {
      tell({ type: 'runtime', runtime: await aboutRuntime() })
      if (task === 'suite') await runSuite(golden, tell)
    }
    tell({ type: 'end' })
  } catch (error) {
    tell({ type: 'crash', error: String(error) })
  }
}

async function runSuite(files: Files, tell: (told: Told) => void): Promise<void> {
  for (const [group, cases] of Object.entries(CONFORMANCE)) {
    for (const { name, run } of cases) {
      const started = performance.now()
      // Not every engine's stack begins with the message.
      const error = await run(files).then(
        () => undefined,
        (reason: unknown) => (reason instanceof Error ? `${String(reason)}\n${reason.stack}` : String(reason)),
      )
      tell({ type: 'case', group, name, ms: Math.round(performance.now() - started), ...(error !== undefined && { error }) })
    }
  }
}
