import type { Reporter, TestModule } from 'vitest/node'

/**
 * Ends the output with `N passed, N failed, N skipped`, counted in test cases. What keeps cases from running (a file that does not load, a hook
 * that throws, an unhandled error) counts as failed. The line is written as the process exits, so that no other reporter comes after it.
 */
export default class Totals implements Reporter {
  private readonly totals = { passed: 0, failed: 0, skipped: 0 }

  onInit(): void {
    process.once('exit', (code) => {
      // Whatever made the run fail without a failed case (no test found, a crash of the runner) is a failure too.
      const failed = this.totals.failed || (code === 0 ? 0 : 1)
      process.stdout.write(`${this.totals.passed} passed, ${failed} failed, ${this.totals.skipped} skipped\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const totals = { passed: 0, failed: unhandled.length, skipped: 0 }
    for (const module of modules) {
      totals.failed += module.errors().length
      for (const suite of module.children.allSuites()) totals.failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        // A pending case did not get to run.
        totals[state === 'pending' ? 'failed' : state]++
      }
    }
    Object.assign(this.totals, totals)
  }
}
