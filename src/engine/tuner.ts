import type { Kernels } from './module.ts'

/** Runs before the first timing: kernels that the engine has not optimised yet say nothing. */
const WARM = 2
/** Runs after which both tiles are timed, and ms that all of it may take. */
const TIMED = 8
const BUDGET = 20

/**
 * Finds which tile is quicker on this engine and processor, a little after each of the first runs. The bits do not depend on it. One
 * a thread; what it finds is kept for the process.
 */
export class Tuner {
  private runs = 0
  private spent = 0
  private readonly best = { high: Infinity, low: Infinity }

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Times both tiles in the scratch of the run that has just ended. The rows of the quicker one once that is known, 0 before. */
  afterRun(kernels: Kernels): number {
    const { mr, high } = kernels.tile
    if (this.runs++ < WARM) return 0
    const start = this.now()
    let elapsed = 0
    // By count too: a clock may stand still.
    for (let pair = 0; pair < 8 && elapsed < BUDGET / TIMED / 2; pair++) {
      this.best.high = Math.min(this.best.high, this.time(kernels, high))
      this.best.low = Math.min(this.best.low, this.time(kernels, mr))
      elapsed = this.now() - start
    }
    kernels.useTile(high)
    this.spent += elapsed
    if (this.runs < WARM + TIMED && this.spent < BUDGET / 2) return 0
    return this.best.low < this.best.high ? mr : high
  }

  private time(kernels: Kernels, rows: number): number {
    const start = this.now()
    kernels.tryTile(rows)
    return this.now() - start
  }
}
