// Dropout: the very mask, from Philox in big integers.
import { GradMode, Op } from '../../../assembly/abi.ts'
import { philox } from '../philox.ts'
import { added, EPS, floats, ints, LENGTHS, offsetsOf, read, seeded, written, type OpCase } from './case.ts'

export const SEEDS = Int32Array.of(0x1234567, 42)

const drawn = new Map<string, number[]>()

/** Whether element j of a row is kept. */
export function kept(j: number, place: number, example: number, stream: number, p: number): boolean {
  const counter = [j >> 2, place, example, stream]
  const key = counter.join()
  let words = drawn.get(key)
  if (words === undefined) drawn.set(key, (words = philox(counter, [SEEDS[0]!, SEEDS[1]!])))
  return words[j & 3]! >= Math.floor(Math.fround(p) * 0x100000000)
}

export function* dropout(): Generator<OpCase> {
  const scaled = (x: number, p: number): number => Math.fround(Math.fround(1 / Math.fround(1 - Math.fround(p))) * x)
  for (const p of [0.1, 0.5]) {
    for (const accumulate of [false, true]) {
      const mode = accumulate ? GradMode.Accumulate : 0
      const output = (values: Float64Array): ReturnType<typeof read> => (accumulate ? added(values, 4 * EPS) : written(values, 0))
      for (const [rows, n] of [
        [1, 1],
        [7, 8],
        [5, 30],
      ] as const) {
        seeded(rows * n + p * 10)
        const x = floats(rows * n)
        const [examples, places] = [ints(rows, 1000), ints(rows, 512)]
        const values = Float64Array.from(x, (value, i) => {
          const row = Math.floor(i / n)
          return kept(i % n, places[row]!, examples[row]!, 9, p) ? scaled(value, p) : 0
        })
        yield {
          name: `dropout ${p} of ${rows}x${n}${accumulate ? ' +=' : ''}`,
          op: Op.Dropout,
          mode,
          dims: [rows, n, 9],
          operands: [read(x), output(values), read(examples), read(places), read(SEEDS)],
          floats: [p],
        }
      }
      for (const lengths of LENGTHS.filter((list) => Math.max(...list) < 30)) {
        const heads = 3
        seeded(lengths.length)
        const offsets = offsetsOf(lengths)
        const examples = ints(lengths.length, 1000)
        const x = floats(heads * lengths.reduce((sum, n) => sum + n * n, 0))
        const values = new Float64Array(x.length)
        let at = 0
        lengths.forEach((n, s) => {
          for (let head = 0; head < heads; head++) {
            for (let i = 0; i < n; i++) {
              for (let j = 0; j < n; j++, at++) values[at] = kept(j, i, examples[s]!, 4 | ((head + 1) << 16), p) ? scaled(x[at]!, p) : 0
            }
          }
        })
        yield {
          name: `dropout ${p} of maps ${lengths.join(',')}${accumulate ? ' +=' : ''}`,
          op: Op.DropoutMaps,
          mode,
          dims: [heads, lengths.length, x.length / heads, 4],
          operands: [read(x), output(values), read(offsets), read(examples), read(SEEDS)],
          floats: [p],
        }
      }
    }
  }
}
