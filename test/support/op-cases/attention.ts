// Fused attention and its gradient, with and without dropout, against the plain formulas in float64.
import { AttentionMode, Op } from '../../../assembly/abi.ts'
import { finiteDifferences, product, softmaxRow, transpose, type Numbers } from '../reference.ts'
import { EPS, floats, ints, LENGTHS, map, most, offsetsOf, read, seeded, SIZES, written, type OpCase } from './case.ts'
import { kept, SEEDS } from './dropout.ts'
import { headRows, setHeadRows } from './products.ts'

const STREAM = 4
const LONG = [512]

/** One head of one sequence: q, k, v [n][d]; `factors` [n][n]: what each probability is multiplied by. */
function head(q: Numbers, k: Numbers, v: Numbers, n: number, d: number, scale: number, factors: Numbers): Float64Array {
  const scores = product(q, transpose(k, n, d), n, n, d).values.map((x) => x * scale)
  const p = new Float64Array(n * n)
  for (let row = 0; row < n; row++) p.set(softmaxRow(scores.subarray(row * n, row * n + n)), row * n)
  return product(
    map(p, (x, i) => x * factors[i]!),
    v,
    n,
    d,
    n,
  ).values
}

/** Its gradients by the chain rule; held against finite differences below. */
function headGrad(
  q: Numbers,
  k: Numbers,
  v: Numbers,
  dout: Numbers,
  n: number,
  d: number,
  scale: number,
  factors: Numbers,
): Float64Array[] {
  const scores = product(q, transpose(k, n, d), n, n, d).values.map((x) => x * scale)
  const [p, ds] = [new Float64Array(n * n), new Float64Array(n * n)]
  const dp = product(dout, transpose(v, n, d), n, n, d).values.map((x, i) => x * factors[i]!)
  for (let row = 0; row < n; row++) {
    const at = row * n
    p.set(softmaxRow(scores.subarray(at, at + n)), at)
    let dot = 0
    for (let j = 0; j < n; j++) dot += p[at + j]! * dp[at + j]!
    for (let j = 0; j < n; j++) ds[at + j] = scale * p[at + j]! * (dp[at + j]! - dot)
  }
  const dropped = map(p, (x, i) => x * factors[i]!)
  return [
    product(ds, k, n, d, n).values,
    product(transpose(ds, n, n), q, n, d, n).values,
    product(transpose(dropped, n, n), dout, n, d, n).values,
  ]
}

/** The largest score and 1 / the sum of exponentials of each query. */
function statsOf(q: Numbers, k: Numbers, n: number, d: number, scale: number): [largest: Float64Array, inverse: Float64Array] {
  const scores = product(q, transpose(k, n, d), n, n, d).values.map((x) => x * scale)
  const rows = Array.from({ length: n }, (_, i) => scores.subarray(i * n, i * n + n))
  const largest = Float64Array.from(rows, (row) => Math.max(...row))
  return [largest, Float64Array.from(rows, (row, i) => 1 / row.reduce((sum, x) => sum + Math.exp(x - largest[i]!), 0))]
}

export function* attention(): Generator<OpCase> {
  for (const lengths of [...LENGTHS, LONG]) {
    for (const [heads, d] of SIZES) {
      if (lengths === LONG && heads * d > 30) continue
      // Philox in big integers takes its time.
      for (const p of lengths === LONG ? [0] : [0, 0.1, 0.5]) {
        seeded(heads * 10 + d + lengths.length)
        const t = lengths.reduce((a, b) => a + b, 0)
        const offsets = offsetsOf(lengths)
        const scale = Math.fround(1 / Math.sqrt(d))
        const [q, k, v, dout] = [0, 1, 2, 3].map(() => floats(heads * d * t)) as [Float32Array, Float32Array, Float32Array, Float32Array]
        const examples = ints(lengths.length, 1000)
        const values = new Float64Array(heads * d * t)
        const grads = [0, 1, 2].map(() => new Float64Array(heads * d * t))
        const stats = new Float64Array(2 * heads * t)
        let largest = 0
        lengths.forEach((n, s) => {
          for (let h = 0; h < heads; h++) {
            const rows = (x: Numbers, layout: 'heads' | 'rows'): Float64Array => headRows(x, layout, h, heads, d, t, offsets[s]!, n)
            const [qh, kh, vh, gh] = [rows(q, 'heads'), rows(k, 'heads'), rows(v, 'heads'), rows(dout, 'rows')]
            const factors = Float64Array.from({ length: n * n }, (_, i) =>
              p === 0 ? 1 : kept(i % n, Math.floor(i / n), examples[s]!, STREAM | ((h + 1) << 16), p) ? 1 / (1 - p) : 0,
            )
            const set = (y: Float64Array, x: Numbers): void => setHeadRows(y, x, 'rows', h, heads, d, t, offsets[s]!)
            set(values, head(qh, kh, vh, n, d, scale, factors))
            const exact = headGrad(qh, kh, vh, gh, n, d, scale, factors)
            exact.forEach((x, i) => set(grads[i]!, x))
            if (n < 8) checkGrad(qh, kh, vh, gh, n, d, scale, factors, exact)
            const [high, inverse] = statsOf(qh, kh, n, d, scale)
            stats.set(high, h * t + offsets[s]!)
            stats.set(inverse, (heads + h) * t + offsets[s]!)
            largest = Math.max(largest, most(product(map(qh, Math.abs), transpose(map(kh, Math.abs), n, d), n, n, d).values) * scale)
          }
        })
        // An error e of a score moves its probability by the factor 1 + e: (d + 3) roundings of the score, then length + 4 of the mean.
        const longest = Math.max(...lengths)
        const relative = ((d + 3) * 2 * largest + longest + 8) * EPS
        const factor = 1 / (1 - p)
        const tolerance = relative * most(v) * factor
        const name = `${heads}x${d} of ${lengths.join(',')}${p ? ` dropping ${p}` : ''}`
        const dims = [heads, d, t, lengths.length, longest, STREAM]
        const draws = p ? [read(examples), read(SEEDS)] : [null, null]
        yield {
          name: `attention ${name}`,
          op: Op.Attention,
          mode: 0,
          dims,
          operands: [read(q), read(k), read(v), written(values, tolerance), read(offsets), null, ...draws],
          floats: [scale, p],
        }
        yield {
          name: `attention ${name}, with statistics`,
          op: Op.Attention,
          mode: 0,
          dims,
          operands: [
            read(q),
            read(k),
            read(v),
            written(values, tolerance),
            read(offsets),
            written(stats, (d + 3) * 2 * (largest + 1) * EPS + relative),
            ...draws,
          ],
          floats: [scale, p],
        }
        if (p === 0) {
          // The first query of each sequence, its rows one behind the other.
          const first = (x: Numbers, layout: 'heads' | 'rows'): Float64Array => {
            const rows = new Float64Array(heads * d * lengths.length)
            for (let h = 0; h < heads; h++)
              offsets
                .subarray(0, -1)
                .forEach((start, s) =>
                  setHeadRows(rows, headRows(x, layout, h, heads, d, t, start, 1), layout, h, heads, d, lengths.length, s),
                )
            return rows
          }
          yield {
            name: `attention ${name}, one query a sequence`,
            op: Op.Attention,
            mode: AttentionMode.One,
            dims,
            operands: [
              read(Float32Array.from(first(q, 'heads'))),
              read(k),
              read(v),
              written(first(values, 'rows'), tolerance),
              read(offsets),
              null,
              ...draws,
            ],
            floats: [scale, p],
          }
        }
        // dS of a query sums to at most 2 largest |dP|; a key's gradient is a sum over all queries.
        const slope = 2 * d * most(dout) * most(v) * factor
        const bounds = [slope * most(k) * scale, slope * most(q) * scale * longest, most(dout) * factor * longest]
        for (const which of p === 0.5 ? [0, 1, 2] : [3]) {
          yield {
            name: `attention_grad ${name}${which === 3 ? '' : `, of ${'qkv'[which]} alone`}`,
            op: Op.AttentionGrad,
            mode: 0,
            dims,
            operands: [
              read(q),
              read(k),
              read(v),
              read(Float32Array.from(values)),
              read(dout),
              read(offsets),
              read(Float32Array.from(stats)),
              ...draws,
              ...grads.map((x, i) => (which === 3 || which === i ? written(x, 2 * relative * bounds[i]!) : null)),
            ],
            floats: [scale, p],
          }
        }
      }
    }
  }
}

/** The chain rule above against differences of the forward. */
function checkGrad(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  dout: Float64Array,
  n: number,
  d: number,
  scale: number,
  factors: Float64Array,
  exact: readonly Float64Array[],
): void {
  const of = [
    (x: Float64Array) => head(x, k, v, n, d, scale, factors),
    (x: Float64Array) => head(q, x, v, n, d, scale, factors),
    (x: Float64Array) => head(q, k, x, n, d, scale, factors),
  ]
  ;[q, k, v].forEach((x, i) => {
    const differences = finiteDifferences(of[i]!, x, dout)
    const off = most(map(differences, (value, j) => value - exact[i]![j]!))
    if (!(off < 1e-7)) throw new Error(`the reference's gradient of attention is off by ${off}`)
  })
}
