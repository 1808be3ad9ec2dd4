import { describe, expect, it } from 'vitest'
import { Store } from '../src/engine/store.ts'
import { philox } from './support/philox.ts'

describe('fresh values', () => {
  it('the reference here gives the known answers of Random123', () => {
    const all = (word: number): number[] => [word, word, word, word]
    expect(philox(all(0), [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
    expect(philox(all(0xffffffff), [0xffffffff, 0xffffffff])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd])
    const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]
    expect(philox(pi, [0xa4093822, 0x299f31d0])).toEqual([0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1])
  })

  it.each(['rows', 'panel'] as const)('are Box and Muller over Philox, in a weight that lies in %s', async (layout) => {
    const [n, k, seed, stream] = [21, 35, 0x1_2345_6789, 77]
    const store = await Store.create()
    const weight = store.hold({ name: 'w', shape: [n, k], layout })
    store.fillNormal(weight, { seed, stream, deviation: 0.02 })
    const values = store.read('w')
    const unit = (word: number): number => (word + 0.5) / 0x100000000
    for (let row = 0; row < n; row++) {
      for (let j = 0; j < k; j++) {
        const words = philox([j >> 2, row, stream, 0], [seed >>> 0, Math.floor(seed / 0x100000000)])
        const [a, b] = words.slice(j & 2) as [number, number]
        const turn = (j & 1 ? Math.sin : Math.cos)(2 * Math.PI * unit(b))
        const wanted = 0.02 * Math.sqrt(-2 * Math.log(unit(a))) * turn
        // One rounding to f32; the series are good to 2^-40 of sqrt(-2 log u), which is below 7.
        expect(Math.abs(values[row * k + j]! - wanted)).toBeLessThanOrEqual(Math.abs(wanted) * 2 ** -24 + 0.02 * 7 * 2 ** -39)
      }
    }
    store.dispose()
  })

  it('have mean 0, the deviation that was asked for, and the tails of the normal distribution', async () => {
    const store = await Store.create()
    const weight = store.hold({ name: 'w', shape: [500, 400], layout: 'panel' })
    store.fillNormal(weight, { seed: 3, stream: 1, deviation: 1 })
    const values = store.read('w')
    const count = values.length
    const sum = (f: (x: number) => number): number => values.reduce((total, x) => total + f(x), 0) / count
    // Five standard errors of each moment.
    const mean = sum((x) => x)
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(count))
    expect(Math.abs(sum((x) => x * x) - 1)).toBeLessThan(5 * Math.sqrt(2 / count))
    const beyond = 0.0455002639 // P(|x| > 2)
    expect(Math.abs(sum((x) => (Math.abs(x) > 2 ? 1 : 0)) - beyond)).toBeLessThan(5 * Math.sqrt(beyond / count))
    // Neighbours do not go together.
    expect(Math.abs(values.slice(1).reduce((total, x, i) => total + x * values[i]!, 0) / count)).toBeLessThan(5 / Math.sqrt(count))
    store.dispose()
  })
})
