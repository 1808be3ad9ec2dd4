// Every op's gradient as the op table wires it: a graph of the op and a loss, backwards on the engine, against finite differences of its forward in
// float64. (kernels.test.ts holds the gradients' kernels alone against the same.)
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Activation, ElementLoss, Pair } from '../assembly/abi.ts'
import { Engine, type Inputs } from '../src/engine/engine.ts'
import type { Graph } from '../src/graph/graph.ts'
import * as drops from '../src/graph/dropout.ts'
import * as losses from '../src/graph/losses.ts'
import * as common from '../src/graph/ops.ts'
import * as pairs from '../src/graph/pairs.ts'
import { OFFSETS, SELECTED, SEQUENCES, TOKENS, type Dims, type Layout, type Tensor } from '../src/graph/tensor.ts'
import '../src/index.node.ts'
import { trainingGraphs } from '../src/training/graphs.ts'
import { TrainingSession } from '../src/training/session.ts'
import { ACTIVATIONS, floats, offsetsOf, seeded } from './support/op-cases/case.ts'
import { kept, SEEDS } from './support/op-cases/dropout.ts'
import { activate, finiteDifferences, layerNormRow, product, softmaxRow, transpose, type Numbers } from './support/reference.ts'

const ops = { ...common, ...drops, ...losses, ...pairs }
const [T, HEADS, D, STREAM, P] = [12, 2, 5, 4, 0.3]
const [H, SCALE] = [HEADS * D, 1 / Math.sqrt(D)]
const LENGTHS = [7, 1, 4]
const STARTS = offsetsOf(LENGTHS)
const DIMS: Dims = { tokens: T, sequences: 3, longest: 7, squares: 7 * 7 + 1 + 4 * 4, selected: 3 }
const offsets = STARTS
const examples = Int32Array.of(11, 0, 7)

type Values = Readonly<Record<string, Float64Array>>
interface Case {
  /** Functions of ops.ts whose gradients take part. */
  readonly of: readonly string[]
  readonly parameters: Readonly<Record<string, readonly [rows: number, columns?: number, layout?: Layout]>>
  readonly inputs?: Inputs
  /** The op's result, or undefined when it was a loss that was added to `total` by `scale`. */
  readonly build: (g: Graph, p: Readonly<Record<string, Tensor>>, scale: Tensor, total: Tensor) => Tensor | undefined
  /** The same in float64. What the gradient holds to be constant is taken from `at`. */
  readonly forward: (p: Values, at: Values) => Numbers
}

const cases: Record<string, Case> = {}
const add = (x: Numbers, y: Numbers, width = x.length): Float64Array => Float64Array.from(x, (value, i) => value + y[i % width]!)
/** x [m][k] times w [n][k] transposed. */
const times = (x: Numbers, w: Numbers, n: number, k: number): Float64Array => product(x, transpose(w, n, k), x.length / k, n, k).values
const rowsOf = (x: Numbers, width: number): Float64Array[] =>
  Array.from({ length: x.length / width }, (_, i) => Float64Array.from({ length: width }, (__, j) => x[i * width + j]!))

for (const layout of ['panel', 'rows'] as const)
  cases[`linear, weights in ${layout}`] = {
    of: ['linear'],
    parameters: { x: [T, 7], w: [9, 7, layout], b: [9] },
    build: (g, { x, w, b }) => ops.linear(g, x!, w!, b!, { scale: 0.5 }),
    forward: ({ x, w, b }) => add(times(x!, w!, 9, 7).map((value) => value / 2), b!, 9), // prettier-ignore
  }
cases.addLinear = {
  of: ['linear', 'addLinear'],
  parameters: { x: [T, 7], w: [9, 7, 'panel'], a: [3, 7, 'panel'], b: [9, 3, 'panel'] },
  build: (g, { x, w, a, b }) => ops.addLinear(g, ops.linear(g, x!, a!, null, { scale: 0.5 }), b!, ops.linear(g, x!, w!, null)),
  forward: ({ x, w, a, b }) => add(times(x!, w!, 9, 7), times(times(x!, a!, 3, 7).map((value) => value / 2), b!, 9, 3)), // prettier-ignore
}
for (const [name, kind] of Object.entries(ACTIVATIONS))
  cases[`activation ${name}`] = {
    of: ['activation'],
    parameters: { x: [T, 7] },
    build: (g, { x }) => ops.activation(g, x!, kind),
    forward: ({ x }) => x!.map((value) => activate(kind, value)),
  }
cases.add = {
  of: ['add'],
  parameters: { x: [T, 7], y: [T, 7] },
  // One of the two comes twice, so that its gradient is a sum.
  build: (g, { x, y }) => ops.add(g, ops.add(g, x!, y!), x!),
  forward: ({ x, y }) => add(add(x!, y!), x!),
}
cases.layerNorm = {
  of: ['layerNorm'],
  parameters: { x: [T, 13], gamma: [13], beta: [13] },
  build: (g, { x, gamma, beta }) => ops.layerNorm(g, x!, gamma!, beta!, 1e-5),
  forward: ({ x, gamma, beta }) => rowsOf(x!, 13).flatMap((row) => [...layerNormRow(row, gamma!, beta!, 1e-5).y]),
}
for (const frozen of ['gamma', 'beta'] as const) {
  const other = frozen === 'gamma' ? 'beta' : 'gamma'
  const fixed = Float32Array.from({ length: 13 }, (_, i) => 1 + i / 13)
  cases[`layerNorm, ${frozen} frozen`] = {
    of: ['layerNorm'],
    parameters: { x: [T, 13], [other]: [13] },
    inputs: { fixed },
    build: (g, p) => {
      const both = { ...p, [frozen]: g.input('fixed', [13], 'f32') }
      return ops.layerNorm(g, both.x!, both.gamma!, both.beta!, 1e-5)
    },
    forward: (p) => {
      const both = { ...p, [frozen]: fixed } as Record<string, Numbers>
      return rowsOf(both.x!, 13).flatMap((row) => [...layerNormRow(row, both.gamma!, both.beta!, 1e-5).y])
    },
  }
}
const [ids, types, positions] = [
  Int32Array.from({ length: T }, (_, i) => (i * 5) % 9),
  Int32Array.from({ length: T }, (_, i) => i % 2),
  Int32Array.from({ length: T }, (_, i) => i % 7),
]
for (const layout of ['panel', 'rows'] as const)
  for (const padding of [null, 5])
    cases[`embedding, words in ${layout}${padding === null ? '' : ', one of them padding'}`] = {
      of: ['embedding'],
      parameters: { word: [9, 6, layout], type: [2, 6], position: [7, 6] },
      inputs: { ids, types, positions },
      build: (g, { word, type, position }) => {
        const [i, t, p] = ['ids', 'types', 'positions'].map((name) => g.input(name, [TOKENS]))
        return ops.embedding(g, i!, t!, p!, word!, type!, position!, padding)
      },
      forward: ({ word, type, position }, at) =>
        Float64Array.from({ length: T * 6 }, (_, place) => {
          const [i, j] = [Math.floor(place / 6), place % 6]
          // As nn.Embedding's padding_idx.
          const own = (ids[i] === padding ? at : { word }).word![ids[i]! * 6 + j]!
          return own + type![types[i]! * 6 + j]! + position![positions[i]! * 6 + j]!
        }),
    }

/** Every map [len][len] of scores, by sequence and head. */
function maps({ x, q, k }: Values, work: (scores: Float64Array, n: number, sequence: number, head: number) => Float64Array): number[] {
  const [qs, ks] = [times(x!, q!, H, 6), times(x!, k!, H, 6)]
  return LENGTHS.flatMap((n, s) =>
    Array.from({ length: HEADS }, (_, h) => {
      const scores = product(part(qs, h, s), transpose(part(ks, h, s), n, D), n, n, D).values.map((value) => value * SCALE)
      return [...work(scores, n, s, h)]
    }).flat(),
  )
}
/** Rows of a sequence, columns of a head. */
const part = (x: Numbers, head: number, s: number): Float64Array =>
  Float64Array.from({ length: LENGTHS[s]! * D }, (_, i) => x[(STARTS[s]! + Math.floor(i / D)) * H + head * D + (i % D)]!)
const normed = (scores: Float64Array, n: number): Float64Array =>
  Float64Array.from(rowsOf(scores, n).flatMap((row) => [...softmaxRow(row)]))
const dropped = (probabilities: Float64Array, n: number, s: number, head: number): Float64Array =>
  probabilities.map((value, i) => (kept(i % n, Math.floor(i / n), examples[s]!, STREAM | ((head + 1) << 16), P) ? value / (1 - P) : 0))
function contexts(p: Values, drop: boolean): Float64Array {
  const vs = times(p.x!, p.v!, H, 6)
  const out = new Float64Array(T * H)
  maps(p, (scores, n, s, h) => {
    const probabilities = normed(scores, n)
    const y = product(drop ? dropped(probabilities, n, s, h) : probabilities, part(vs, h, s), n, D, n).values
    y.forEach((value, i) => (out[(STARTS[s]! + Math.floor(i / D)) * H + h * D + (i % D)] = value))
    return y
  })
  return out
}
const attended = { x: [T, 6], q: [H, 6, 'panel'], k: [H, 6, 'panel'], v: [H, 6, 'panel'] } as const
const { v: _, ...scored } = attended
const heads = (g: Graph, p: Readonly<Record<string, Tensor>>): Tensor[] =>
  ['q', 'k', 'v'].filter((name) => p[name]).map((name) => ops.linear(g, p.x!, p[name]!, null, { heads: HEADS }))
const places = (g: Graph): drops.MapDropout => ({
  p: P,
  stream: STREAM,
  places: { examples: g.input('examples', [SEQUENCES]), seeds: g.input('seeds', [2]) },
})
const bounds = (g: Graph): Tensor => g.input('offsets', [OFFSETS])
cases.scores = {
  of: ['scores', 'linear'],
  parameters: scored,
  inputs: { offsets },
  build: (g, p) => {
    const [q, k] = heads(g, p)
    return ops.scores(g, q!, k!, bounds(g), SCALE)
  },
  forward: (p) => maps(p, (scores) => scores),
}
cases['softmax and dropoutMaps'] = {
  of: ['softmax', 'dropoutMaps'],
  parameters: scored,
  inputs: { offsets, examples, seeds: SEEDS },
  build: (g, p) => {
    const [q, k] = heads(g, p)
    return ops.dropoutMaps(g, ops.softmax(g, ops.scores(g, q!, k!, bounds(g), SCALE), bounds(g)), bounds(g), places(g))
  },
  forward: (p) => maps(p, (scores, n, s, h) => dropped(normed(scores, n), n, s, h)),
}
cases.context = {
  of: ['context'],
  parameters: attended,
  inputs: { offsets },
  build: (g, p) => {
    const [q, k, v] = heads(g, p)
    return ops.context(g, ops.softmax(g, ops.scores(g, q!, k!, bounds(g), SCALE), bounds(g)), v!, bounds(g))
  },
  forward: (p) => contexts(p, false),
}
for (const drop of [false, true])
  cases[`attention${drop ? ' with dropout' : ''}`] = {
    of: ['attention'],
    parameters: attended,
    inputs: { offsets, ...(drop && { examples, seeds: SEEDS }) },
    build: (g, p) => {
      const [q, k, v] = heads(g, p)
      return ops.attention(g, q!, k!, v!, bounds(g), SCALE, drop ? places(g) : undefined)
    },
    forward: (p) => contexts(p, drop),
  }
const tokenExamples = Int32Array.from({ length: T }, (_, i) => i % 3)
cases.dropout = {
  of: ['dropout'],
  parameters: { x: [T, 7] },
  inputs: { examples: tokenExamples, places: positions, seeds: SEEDS },
  build: (g, { x }) => {
    const [of, at] = ['examples', 'places'].map((name) => g.input(name, [TOKENS]))
    return ops.dropout(g, x!, P, STREAM, { examples: of!, places: at!, seeds: g.input('seeds', [2]) })
  },
  forward: ({ x }) =>
    x!.map((value, i) => {
      const row = Math.floor(i / 7)
      return kept(i % 7, positions[row]!, tokenExamples[row]!, STREAM, P) ? value / (1 - P) : 0
    }),
}
const chosen = Int32Array.of(4, 0, 4)
cases.gather = {
  of: ['gather'],
  parameters: { x: [T, 7] },
  inputs: { index: chosen },
  build: (g, { x }) => ops.gather(g, x!, g.input('index', [SELECTED])),
  forward: ({ x }) => [...chosen].flatMap((row) => [...x!.subarray(row * 7, row * 7 + 7)]),
}
const means = (x: Numbers, width: number): number[] =>
  LENGTHS.flatMap((n, s) =>
    Array.from({ length: width }, (_, j) => {
      let sum = 0
      for (let t = STARTS[s]!; t < STARTS[s + 1]!; t++) sum += x[t * width + j]!
      return sum / n
    }),
  )
cases.meanPool = {
  of: ['meanPool'],
  parameters: { x: [T, 7] },
  inputs: { offsets },
  build: (g, { x }) => ops.meanPool(g, x!, bounds(g)),
  forward: ({ x }) => means(x!, 7),
}
const unit = (row: Float64Array): Float64Array => row.map((value) => value / Math.hypot(...row))
cases.normalize = {
  of: ['normalize'],
  parameters: { x: [T, 7] },
  build: (g, { x }) => ops.normalize(g, x!),
  forward: ({ x }) => rowsOf(x!, 7).flatMap((row) => [...unit(row)]),
}
const SCORES: Record<string, [Pair, (d: Float64Array, a: Float64Array, b: Float64Array) => number]> = {
  product: [Pair.Dot, (_, a, b) => a.reduce((sum, value, j) => sum + value * b[j]!, 0)],
  euclidean: [Pair.Euclidean, (d) => Math.hypot(...d)],
  manhattan: [Pair.Manhattan, (d) => d.reduce((sum, value) => sum + Math.abs(value), 0)],
}
for (const [name, [kind, score]] of Object.entries(SCORES))
  cases[`pairwise, ${name}`] = {
    of: ['pairwise'],
    parameters: { x: [T, 7], y: [T, 7] },
    build: (g, { x, y }) => ops.pairwise(g, kind, x!, y!, { scale: -1.5 }),
    forward: ({ x, y }) => {
      const others = rowsOf(y!, 7)
      return rowsOf(x!, 7).map(
        (a, i) =>
          -1.5 *
          score(
            a.map((value, j) => value - others[i]![j]!),
            a,
            others[i]!,
          ),
      )
    },
  }

const nll = (row: Float64Array, label: number): number => Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[label]!
const labels = Int32Array.from({ length: T }, (_, i) => (i === 3 ? -100 : (i * 5) % 7))
const total = (values: readonly number[]): number[] => [0.2 * values.reduce((sum, value) => sum + value, 0)]
cases.crossEntropy = {
  of: ['crossEntropy'],
  parameters: { x: [T, 7] },
  inputs: { labels },
  build: (g, { x }, scale, sum) => void ops.crossEntropy(g, x!, g.input('labels', [TOKENS]), scale, sum),
  forward: ({ x }) => total(rowsOf(x!, 7).map((row, i) => (labels[i] === -100 ? 0 : nll(row, labels[i]!)))),
}
const ends = { starts: Int32Array.of(0, 4, 9), ends: Int32Array.of(4, 8, 12), answers: Int32Array.of(2, -100, 0) }
cases.spanCrossEntropy = {
  of: ['spanCrossEntropy'],
  parameters: { x: [T, 2] },
  inputs: ends,
  build: (g, { x }, scale, sum) => {
    const [starts, last, answers] = Object.keys(ends).map((name) => g.input(name, [SELECTED]))
    return void ops.spanCrossEntropy(g, x!, 1, { starts: starts!, ends: last!, labels: answers! }, scale, sum)
  },
  forward: ({ x }) => {
    const column = x!.filter((__, i) => i % 2 === 1)
    return total([...ends.answers].map((label, i) => (label === -100 ? 0 : nll(column.slice(ends.starts[i], ends.ends[i]), label))))
  },
}
const targets = Float32Array.from({ length: T * 7 }, (_, i) => i % 2)
const LOSSES: Record<string, [ElementLoss, (x: number, t: number) => number]> = {
  squared: [ElementLoss.Squared, (x, t) => (x - t) ** 2],
  binary: [ElementLoss.Binary, (x, t) => Math.log1p(Math.exp(x)) - t * x],
  hinge: [ElementLoss.Hinge, (x, t) => Math.max(0, x + t)],
}
for (const [name, [kind, loss]] of Object.entries(LOSSES))
  cases[`elementLoss, ${name}`] = {
    of: ['elementLoss'],
    parameters: { x: [T, 7] },
    inputs: { targets },
    build: (g, { x }, scale, sum) => void ops.elementLoss(g, kind, x!, g.input('targets', [TOKENS, 7], 'f32'), scale, sum),
    forward: ({ x }) => total([...x!].map((value, i) => loss(value, targets[i]!))),
  }

/** The sum of squares of y - wanted, or the loss itself. */
const lossOf = (y: Numbers, wanted: Float32Array | undefined): number =>
  wanted === undefined ? y[0]! : 0.2 * Float64Array.from(y).reduce((sum, value, i) => sum + (value - wanted[i]!) ** 2, 0)

describe('on the engine, gradients equal finite differences in float64', () => {
  let engine: Engine
  beforeAll(async () => void (engine = await Engine.create(0)))
  afterAll(() => engine.dispose())

  it('of every op that has one', () => {
    const covered = new Set(Object.values(cases).flatMap(({ of }) => of))
    expect(Object.keys(ops).filter((name) => !covered.has(name))).toEqual([])
  })

  // Into a parameter gradients are added; into a value they are written.
  for (const through of ['parameters', 'values'])
    it.each(Object.entries(cases))(`%s, into ${through}`, async (name, { parameters, inputs = {}, build, forward }) => {
      seeded(name.length)
      const sizes = Object.entries(parameters).map(([of, [n, m = 1]]) => [of, n * m] as const)
      const given = Object.fromEntries(sizes.map(([of, size]) => [of, floats(size)]))
      const doubles = Object.fromEntries(Object.entries(given).map(([of, values]) => [of, Float64Array.from(values)]))
      const y = forward(doubles, doubles)
      let wanted: Float32Array | undefined
      const graph = (g: Graph): Tensor[] => {
        const [scale, sum] = [g.input('scale', [1], 'f32'), g.state('loss', [1])]
        const p = Object.fromEntries(
          Object.entries(parameters).map(([of, [n, m, layout]]) => {
            const tensor = g.parameter(of, m === undefined ? [n] : [n, m], layout)
            return [of, through === 'values' && of === 'x' ? ops.activation(g, tensor, Activation.None) : tensor]
          }),
        )
        const result = build(g, p, scale, sum)
        if (result !== undefined) {
          wanted = floats(y.length)
          ops.elementLoss(g, ElementLoss.Squared, result, g.input('wanted', result.shape, 'f32'), scale, sum)
        }
        return [sum]
      }
      const session = new TrainingSession(engine, trainingGraphs(graph), `${name} ${through}`)
      await session.prepare(DIMS)
      for (const [of, values] of Object.entries(given)) engine.store.write(of, values)
      await session.zero()
      await session.accumulate(DIMS, { ...inputs, scale: Float32Array.of(0.2), ...(wanted && { wanted }) })
      expect(Math.abs(session.loss() - lossOf(y, wanted)) / lossOf(y, wanted)).toBeLessThan(1e-5)
      expect(session.trained.size).toBe(sizes.length)
      for (const [of, values] of Object.entries(doubles)) {
        const exact = finiteDifferences((at) => [lossOf(forward({ ...doubles, [of]: at }, doubles), wanted)], values, [1])
        const got = session.gradient(of)
        expect(got).toHaveLength(exact.length)
        const off = Math.hypot(...exact.map((value, i) => value - got[i]!))
        expect(off, of).toBeLessThanOrEqual(1e-5 * Math.hypot(...exact))
        expect(Math.hypot(...exact), of).toBeGreaterThan(0)
      }
      await session.dispose()
    })
})
