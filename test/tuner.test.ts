import { expect, it } from 'vitest'
import type { Kernels } from '../src/engine/module.ts'
import { Tuner } from '../src/engine/tuner.ts'

/** Kernels whose tiles take so many ms by a clock of their own. */
function machine(times: Record<number, number>): { kernels: Kernels; now: () => number; used: () => number } {
  let [clock, used] = [0, 0]
  const kernels = {
    tile: { mr: 4, high: 6 },
    useTile: (rows: number) => (used = rows),
    tryTile: (rows: number) => {
      used = rows
      clock += times[rows]!
    },
  }
  return { kernels: kernels as unknown as Kernels, now: () => clock, used: () => used }
}

/** What each run answers, up to the first that knows. */
function tune({ kernels, now, used }: ReturnType<typeof machine>): number[] {
  const [tuner, answers] = [new Tuner(now), [] as number[]]
  do {
    answers.push(tuner.afterRun(kernels))
    // Until then every run computes with high tiles.
    if (answers.length > 2) expect(used()).toBe(6)
  } while (answers.at(-1) === 0 && answers.length < 100)
  return answers
}

it('the quicker tile is chosen, after the first runs and never by them, within 20 ms', () => {
  for (const [times, rows] of [
    [{ 4: 0.1, 6: 0.15 }, 4],
    [{ 4: 0.15, 6: 0.1 }, 6],
    // Kernels that are not optimised: few timings.
    [{ 4: 2, 6: 3 }, 4],
  ] as const) {
    const made = machine(times)
    const answers = tune(made)
    expect(answers.at(-1)).toBe(rows)
    expect(answers.length).toBeGreaterThan(3)
    expect(answers.length).toBeLessThanOrEqual(10)
    expect(made.now()).toBeLessThanOrEqual(20)
  }
})

it('where the clock stands still the high tile stays, after a bounded number of tries', () => {
  const answers = tune(machine({ 4: 0, 6: 0 }))
  expect(answers.at(-1)).toBe(6)
  expect(answers).toHaveLength(10)
})
