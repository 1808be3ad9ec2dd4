import { describe, expect, it } from 'vitest'
import { Store } from '../src/engine/store.ts'
import { philox as hostPhilox, RandomStream, type RandomState, type Stream } from '../src/training/random.ts'
import { kept } from './support/op-cases/dropout.ts'
import { philox } from './support/philox.ts'
import { random } from './support/random.ts'

// The masks that the kernels' equal bit for bit. Five standard errors: one case in two million fails by chance, and these are always the same.
it.each([0.1, 0.3, 0.5])('dropout of %d keeps its share of elements', (p) => {
  const [rows, columns] = [200, 500]
  let sum = 0
  for (let row = 0; row < rows; row++) for (let j = 0; j < columns; j++) sum += kept(j, row, 3, 4, p) ? 1 : 0
  expect(Math.abs(sum / (rows * columns) - (1 - p))).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / (rows * columns)))
})

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

describe("the host's stream", () => {
  it('draws the words of the reference, at every place', () => {
    const bits = random(5)
    const word = (): number => Math.floor(bits() * 0x100000000)
    for (let i = 0; i < 200; i++) {
      const [counter, key] = [
        [word(), word(), word(), word()],
        [word(), word()],
      ]
      expect([...hostPhilox(...(counter as Four), ...(key as [number, number]))]).toEqual(philox(counter, key))
    }
    const all = [0, 0xffffffff, 0x80000000, 0xffff, 0x10000]
    for (const c of all) expect([...hostPhilox(c, c, c, c, c, c)]).toEqual(philox([c, c, c, c], [c, c]))
    const [seed, stream] = [0x1_2345_6789, [7, 8, 9] as const]
    const drawn = new RandomStream(seed, stream)
    const wanted = [0, 1, 2].flatMap((block) => philox([block, ...stream], [0x2345_6789, 1]))
    expect(wanted.map(() => drawn.next())).toEqual(wanted)
  })

  it('goes on from any state with the same numbers', () => {
    for (let drawn = 0; drawn < 9; drawn++) {
      const one = new RandomStream(42, [1, 2, 3])
      for (let i = 0; i < drawn; i++) one.next()
      const two = RandomStream.from(JSON.parse(JSON.stringify(one.state)) as RandomState)
      expect(Array.from({ length: 9 }, () => two.next())).toEqual(Array.from({ length: 9 }, () => one.next()))
      expect(two.state).toEqual(one.state)
    }
    const first = (seed: number, stream: Stream): number => new RandomStream(seed, stream).next()
    const places = [first(1, [0, 0, 1]), first(2, [0, 0, 1]), first(1, [1, 0, 1]), first(1, [0, 1, 1]), first(1, [0, 0, 2])]
    expect(new Set(places).size).toBe(places.length)
  })

  it('below() favours no number: what does not divide evenly is drawn again', () => {
    // Of three quarters of 2^32, a plain remainder would give the first third twice as often as the others.
    const n = 3 * 2 ** 30
    const stream = new RandomStream(9, [0, 0, 1])
    const count = 3000
    const thirds = [0, 0, 0]
    for (let i = 0; i < count; i++) thirds[Math.floor(stream.below(n) / 2 ** 30)]!++
    // A quarter of the words is drawn again: more words than numbers, by six standard errors and no more.
    const again = stream.state.counter / count
    expect(Math.abs(again - 4 / 3)).toBeLessThan(6 * Math.sqrt(4 / 9 / count))
    for (const third of thirds) expect(Math.abs(third / count - 1 / 3)).toBeLessThan(5 * Math.sqrt(2 / 9 / count))
    for (const small of [1, 2, 7]) for (let i = 0; i < 50; i++) expect(stream.below(small)).toBeLessThan(small)
  })

  it('shuffle() makes every order equally likely, uniform() fills [0, 1)', () => {
    const stream = new RandomStream(10, [0, 0, 1])
    const [orders, rounds] = [new Map<string, number>(), 6000]
    for (let i = 0; i < rounds; i++) {
      const order = stream.shuffle([0, 1, 2]).join('')
      orders.set(order, (orders.get(order) ?? 0) + 1)
    }
    expect(orders.size).toBe(6)
    for (const count of orders.values()) expect(Math.abs(count / rounds - 1 / 6)).toBeLessThan(5 * Math.sqrt(5 / 36 / rounds))
    const values = Array.from({ length: 4000 }, () => stream.uniform())
    expect(values.every((x) => x >= 0 && x < 1)).toBe(true)
    expect(Math.abs(values.reduce((sum, x) => sum + x, 0) / 4000 - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / 4000))
  })
})

type Four = [number, number, number, number]
