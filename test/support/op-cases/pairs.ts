// Scores of rows, two by two, and their gradients.
import { GradMode, Op, Pair } from '../../../assembly/abi.ts'
import { finiteDifferences, type Numbers } from '../reference.ts'
import { added, EPS, floats, map, most, read, seeded, written, type OpCase } from './case.ts'

const KINDS: Record<string, { kind: Pair; score: (a: Numbers, b: Numbers) => number }> = {
  product: { kind: Pair.Dot, score: (a, b) => map(a, (x, j) => x * b[j]!).reduce((sum, x) => sum + x, 0) },
  euclidean: { kind: Pair.Euclidean, score: (a, b) => Math.hypot(...map(a, (x, j) => x - b[j]!)) },
  manhattan: { kind: Pair.Manhattan, score: (a, b) => map(a, (x, j) => Math.abs(x - b[j]!)).reduce((sum, x) => sum + x, 0) },
}

export function* pairs(): Generator<OpCase> {
  for (const [name, { kind, score }] of Object.entries(KINDS)) {
    for (const [rows, n] of [
      [1, 1],
      [5, 8],
      [9, 13],
      [3, 130],
    ] as const) {
      seeded(rows * n + kind)
      const [a, b] = [floats(rows * n), floats(rows * n)]
      // The same row twice: a distance of nothing.
      if (rows > 4) a.copyWithin(n, 2 * n, 3 * n)
      if (rows > 4) b.set(a.subarray(n, 2 * n), n)
      const row = (x: Float32Array, i: number): Float32Array => x.subarray(i * n, i * n + n)
      const scale = Math.fround(-0.7)
      const scores = Float64Array.from({ length: rows }, (_, i) => scale * score(row(a, i), row(b, i)))
      yield {
        name: `${name} of ${rows}x${n}`,
        op: Op.Pairwise,
        mode: kind,
        dims: [rows, n],
        operands: [read(a), read(b), written(scores, (n + 8) * EPS * n * most(a) * most(b) * 2)],
        floats: [scale],
      }
      const dy = floats(rows)
      const da = new Float64Array(rows * n)
      for (let i = 0; i < rows; i++) {
        const same = row(a, i).every((x, j) => x === row(b, i)[j])
        // Where a distance is 0 it has no slope, and the gradient is 0.
        const closed = map(row(a, i), (_, j) => (kind === Pair.Dot ? scale * dy[i]! * b[i * n + j]! : 0))
        const numeric = (): Float64Array => finiteDifferences((at) => [scale * score(at, row(b, i))], row(a, i), dy.subarray(i, i + 1))
        da.set(same ? closed : numeric(), i * n)
      }
      const bound = (2 * n + 16) * EPS * most(dy) * most(b) + 4e-9
      for (const accumulate of [false, true])
        yield {
          name: `${name} gradient ${rows}x${n}${accumulate ? ' +=' : ''}`,
          op: Op.PairwiseGrad,
          mode: kind | (accumulate ? GradMode.Accumulate : 0),
          dims: [rows, n],
          operands: [read(a), read(b), read(dy), accumulate ? added(da, bound) : written(da, bound)],
          floats: [scale],
        }
    }
  }
}
