// A training that is killed and resumed ends in the same bits as one that was never killed, and no moment leaves an unreadable checkpoint.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KilledTraining } from './support/killed-training.ts'
import { random } from './support/random.ts'

let training: KilledTraining
let trained: number
beforeAll(async () => {
  training = await KilledTraining.create()
  ;({ trained } = await training.run('whole'))
})
afterAll(() => training.dispose())

describe('SIGKILL', () => {
  it('among the file operations of the Trainer', async () => {
    const next = random(7)
    const moments = Array.from({ length: 14 }, () => ({ operations: Math.floor(next() * 90) }))
    const { kills, checkpoints } = await training.killed('operations', moments)
    expect(kills).toBeGreaterThan(5)
    expect(checkpoints).toBeGreaterThan(5)
    expect(await training.hash('operations')).toBe(await training.hash('whole'))
  }, 180_000)

  it('at any time', async () => {
    const next = random(8)
    const moments = Array.from({ length: 6 }, () => ({ milliseconds: (next() * trained) / 3 }))
    const { kills } = await training.killed('times', moments)
    expect(kills).toBeGreaterThan(0)
    expect(await training.hash('times')).toBe(await training.hash('whole'))
  }, 180_000)
})
