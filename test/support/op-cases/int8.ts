// Activations in 7 bits, weights in 8, and their products: against whole numbers of TypeScript and f32 steps by Math.fround, to the bit.
import { Activation, GemmMode, GradMode, Op, RowMode, TableMode } from '../../../assembly/abi.ts'
import { activate, layerNormRow, product as times, type Numbers } from '../reference.ts'
import { ACTIVATIONS, activationError, EPS, floats, ints, map, read, seeded, toBlocks, written, type Operand, type OpCase } from './case.ts'

const { fround } = Math
const up = (n: number, step: number): number => Math.ceil(n / step) * step

/** One row in 7 bits. */
export interface Row7 {
  readonly step: number
  readonly least: number
  readonly q: Uint8Array
}

/** As kernels/quantize.ts says, in f32 steps. Halves are rounded to even. */
export function quantizeRow(x: Float32Array): Row7 {
  const [least, most] = [Math.min(...x), Math.max(...x)]
  let step = fround(fround(most / 127) - fround(least / 127))
  if (step <= 1e-37) step = 0
  const inverse = step === 0 ? 0 : fround(1 / step)
  return { step, least, q: Uint8Array.from(x, (v) => roundEven(Math.min(127, fround(fround(v - least) * inverse)))) }
}

function roundEven(x: number): number {
  const low = Math.floor(x)
  const rest = x - low
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low
}

/** Rows as the words that the kernels keep. */
export function toRows7(rows: readonly Row7[], k: number): Int32Array {
  const words = new Int32Array(rows.length * (2 + up(k, 4) / 4))
  rows.forEach(({ step, least, q }, i) => {
    const at = i * (8 + up(k, 4))
    new Float32Array(words.buffer, at, 2).set([step, least])
    new Uint8Array(words.buffer, at + 8, k).set(q)
  })
  return words
}

/** A weight [N][K] of integers with its scales as panels. */
export function toPanel8(q: Int8Array, scales: Numbers, n: number, k: number): Int32Array {
  const bytes = 64 + 8 * up(k, 4)
  const words = new Int32Array((up(n, 8) / 8) * (bytes / 4))
  const floats32 = new Float32Array(words.buffer)
  const integers = new Int8Array(words.buffer)
  for (let row = 0; row < n; row++) {
    const head = Math.floor(row / 8) * bytes
    floats32[head / 4 + (row % 8)] = scales[row]!
    floats32[head / 4 + 8 + (row % 8)] = q.subarray(row * k, row * k + k).reduce((a, b) => a + b, 0)
    for (let j = 0; j < k; j++) integers[head + 64 + Math.floor(j / 4) * 32 + (row % 8) * 4 + (j % 4)] = q[row * k + j]!
  }
  return words
}

/** All signed bytes, the extremes often. */
const bytes = (n: number): Int8Array => Int8Array.from(ints(n, 300), (x) => (x < 256 ? x - 128 : x % 2 === 0 ? -128 : 127))

function gemmInt8(a: readonly Row7[], b: Int8Array, scales: Float32Array, bias: Float32Array | null, n: number, k: number): Float32Array {
  const c = new Float32Array(a.length * n)
  a.forEach(({ step, least, q }, i) => {
    for (let j = 0; j < n; j++) {
      let [sum, total] = [0, 0]
      for (let l = 0; l < k; l++) {
        sum += q[l]! * b[j * k + l]!
        total += b[j * k + l]!
      }
      const x = fround(fround(fround(step * fround(sum)) + fround(least * total)) * scales[j]!)
      c[i * n + j] = x + (bias ? bias[j]! : 0)
    }
  })
  return c
}

function product(m: number, n: number, k: number, bw: number, kind: Activation, hasBias = true): OpCase {
  seeded(m * 1000 + n * 10 + k + kind)
  const a = Array.from({ length: m }, () => quantizeRow(floats(k, 2, 0.5)))
  const b = bytes(n * k)
  const scales = floats(n, 0.001, 0.01)
  const bias = hasBias ? floats(n) : null
  const exact = gemmInt8(a, b, scales, bias, n, k)
  const values = toBlocks(kind === Activation.None ? exact : map(exact, (x) => activate(kind, x)), m, n, bw, 0)
  const tolerance = kind === Activation.None ? 0 : toBlocks(map(exact, activationError), m, n, bw, 0)
  return {
    name: `int8 gemm ${m}x${n}x${k} in blocks of ${bw}, activation ${kind}`,
    op: Op.GemmInt8,
    mode: kind,
    dims: [m, n, k, bw],
    operands: [
      read(toRows7(a, k)),
      read(toPanel8(b, scales, n, k)),
      bias && read(bias),
      { initial: new Float32Array(values.length), expected: { values, tolerance } },
    ],
    floats: [],
  }
}

export function* int8Products(): Generator<OpCase> {
  for (const [m, n, k] of [
    [1, 1, 1],
    [1, 8, 8],
    [5, 7, 3],
    [4, 8, 4],
    [16, 24, 40],
    [17, 33, 13],
    [97, 72, 12], // more than a block and a group
    [131, 19, 21],
    [3, 9, 1549], // more than a piece in every build
    [7, 8, 770],
  ] as const) {
    yield product(m, n, k, n, Activation.None)
  }
  yield product(9, 16, 12, 16, Activation.None, false)
  for (const [m, n, k, bw] of [
    [19, 24, 16, 8],
    [19, 30, 30, 10],
    [9, 39, 13, 13],
    [5, 256, 64, 128],
  ] as const) {
    yield product(m, n, k, bw, Activation.None)
  }
  for (const kind of Object.values(ACTIVATIONS)) yield product(5, 12, 16, 12, kind)
}

/** The way back through frozen weights: C = A W, W [K][N] in 8 bits. */
export function* int8Gradients(): Generator<OpCase> {
  for (const [m, n, k] of [
    [1, 1, 1],
    [5, 7, 3],
    [16, 24, 40],
    [17, 33, 13],
    [131, 12, 19],
    [3, 20, 600],
  ] as const) {
    for (const accumulate of [false, true]) {
      seeded(m * 1000 + n * 10 + k)
      const [a, q, scales, before] = [floats(m * k), bytes(k * n), floats(k, 0.001, 0.01), accumulate ? floats(m * n) : null]
      const c = times(
        a,
        map(q, (x, i) => fround(x * scales[Math.floor(i / n)]!)),
        m,
        n,
        k,
      )
      yield {
        name: `gemm ${m}x${n}x${k} B int8 transposed${accumulate ? ' +=' : ''}`,
        op: Op.Gemm,
        mode: GemmMode.BPanel8Transposed | (accumulate ? GradMode.Accumulate : 0),
        dims: [m, n, k, n],
        operands: [
          read(a),
          read(toPanel8(q, scales, k, n)),
          null,
          {
            initial: before ?? new Float32Array(m * n).fill(NaN),
            expected: {
              values: map(c.values, (x, i) => x + (before ? before[i]! : 0)),
              tolerance: map(c.sizes, (size) => (k + 2) * EPS * (size + 4)),
            },
          },
        ],
        floats: [1],
      }
    }
  }
}

export function* quantize(): Generator<OpCase> {
  for (const k of [1, 2, 3, 4, 7, 16, 19, 52, 384]) {
    seeded(k)
    const rows = [
      floats(k),
      floats(k, 3, 100),
      new Float32Array(k),
      new Float32Array(k).fill(-7.3),
      floats(k, 1e30),
      floats(k, 1e-30),
      new Float32Array(k).fill(1e-40),
      floats(k, 2e38 / 1.7),
      Float32Array.from({ length: k }, (_, i) => (i % 2 === 0 ? 3e38 : -3e38)),
      Float32Array.from({ length: k }, (_, i) => (i === 0 ? 127 : (i % 127) + 0.5 * (i % 2))), // halves between two steps
    ]
    const x = Float32Array.from(rows.flatMap((row) => [...row]))
    const quantized = rows.map(quantizeRow)
    for (const { step, least } of quantized)
      if (!Number.isFinite(step) || !Number.isFinite(least)) throw new Error('the reference has no NaN')
    yield {
      name: `quantize rows of ${k}`,
      op: Op.Quantize,
      mode: 0,
      dims: [rows.length, k],
      operands: [read(x), words(toRows7(quantized, k)), null],
      floats: [],
    }
    const by = floats(k, 0.5, 1)
    const smoothed = rows.slice(0, 6).map((row) => row.map((value, i) => value * by[i]!))
    yield {
      name: `quantize rows of ${k}, smoothed`,
      op: Op.Quantize,
      mode: 0,
      dims: [smoothed.length, k],
      operands: [read(x.subarray(0, smoothed.length * k)), words(toRows7(smoothed.map(quantizeRow), k)), read(by)],
      floats: [],
    }
  }
}

/** An output of integers. */
const words = (values: Int32Array): Operand => ({ initial: new Int32Array(values.length).fill(-1), expected: { values, tolerance: 0 } })

/** Words of a table in 8 bits: the values are those of the integers. */
export function* int8Embedding(): Generator<OpCase> {
  for (const [t, h] of [
    [1, 1],
    [6, 8],
    [33, 13],
    [7, 52],
  ] as const) {
    for (const fused of [false, true]) {
      seeded(t * h)
      const [v, p, y] = [29, 40, 2]
      const [word, scales] = [bytes(v * h), floats(v, 0.001, 0.01)]
      const [position, type] = [floats(p * h), floats(y * h)]
      const [ids, types, positions] = [ints(t, v), ints(t, y), ints(t, p)]
      const [gamma, beta] = [floats(h, 0.2, 1), floats(h, 0.2)]
      const sum = Float64Array.from({ length: t * h }, (_, i) => {
        const [row, j] = [Math.floor(i / h), i % h]
        return word[ids[row]! * h + j]! * scales[ids[row]!]! + type[types[row]! * h + j]! + position[positions[row]! * h + j]!
      })
      const values = fused ? new Float64Array(t * h) : sum
      if (fused) for (let i = 0; i < t; i++) values.set(layerNormRow(sum.subarray(i * h, i * h + h), gamma, beta, 1e-5).y, i * h)
      yield {
        name: `int8 embedding ${t}x${h}${fused ? ' with LayerNorm' : ''}`,
        op: Op.Embedding,
        mode: TableMode.Panel8 | (fused ? RowMode.Fused : 0),
        dims: [t, h, v, p, y],
        operands: [
          read(ids),
          read(types),
          read(positions),
          read(toPanel8(word, scales, v, h)),
          read(type),
          read(position),
          fused ? read(gamma) : null,
          fused ? read(beta) : null,
          written(values, fused ? (h + 16) * EPS * 40 : 4 * EPS * 6),
        ],
        floats: [1e-5],
      }
    }
  }
}
