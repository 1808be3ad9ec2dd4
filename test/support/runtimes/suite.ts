// Runs every conformance case where it is, and tells of each. The mains beside it bring it into each kind of runtime.
import type { Files } from '../../conformance/case.ts'
import { CONFORMANCE } from '../../conformance/index.ts'

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
  | { readonly type: 'end' }
  | { readonly type: 'crash'; readonly error: string }

export async function runSuite(files: Files, tell: (told: Told) => void): Promise<void> {
  for (const [group, cases] of Object.entries(CONFORMANCE)) {
    for (const { name, run } of cases) {
      const started = performance.now()
      const error = await run(files).then(
        () => undefined,
        (reason: unknown) => (reason instanceof Error ? (reason.stack ?? String(reason)) : String(reason)),
      )
      tell({ type: 'case', group, name, ms: Math.round(performance.now() - started), ...(error !== undefined && { error }) })
    }
  }
  tell({ type: 'end' })
}
