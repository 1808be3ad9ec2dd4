// THE table of op cases: parity on every build, gradients against finite differences, 1..4 threads, guard zones, and benchmarks.
import { Activation, BmmMode, GemmMode, GradMode, Op, RowMode, TableMode } from '../../assembly/abi.ts'
import { random } from './random.ts'
import { activate, finiteDifferences, layerNormRow, product, softmaxRow, transpose, type Numbers } from './reference.ts'

/** 2^-24: half the distance of two floats around 1. */
export const EPS = 2 ** -24

export interface Operand {
  /** What it holds before the record runs. */
  readonly initial: Float32Array | Int32Array
  /** What it must hold afterwards, and how far it may be off; absent when it is only read. */
  readonly expected?: { readonly values: Numbers; readonly tolerance: Numbers | number }
}

export interface OpCase {
  readonly name: string
  readonly op: Op
  readonly mode: number
  readonly dims: readonly number[]
  /** null: absent. */
  readonly operands: readonly (Operand | null)[]
  readonly floats: readonly number[]
}

let next = random(1)
const seeded = (seed: number): void => void (next = random(seed))
/** Values of about unit scale, as f32. */
const floats = (n: number, scale = 1, shift = 0): Float32Array =>
  Float32Array.from({ length: n }, () => (next() * 2 - 1) * scale * 1.7 + shift)
const ints = (n: number, limit: number): Int32Array => Int32Array.from({ length: n }, () => Math.floor(next() * limit))
const read = (initial: Float32Array | Int32Array): Operand => ({ initial })
/** An output that was never written: NaN, so that reading it shows. */
const fresh = (n: number): Float32Array => new Float32Array(n).fill(NaN)
const written = (values: Numbers, tolerance: Numbers | number): Operand => ({
  initial: fresh(values.length),
  expected: { values, tolerance },
})
/** An output that is added to. */
const added = (values: Numbers, tolerance: number): Operand => {
  const initial = floats(values.length)
  return { initial, expected: { values: initial.map((x, i) => x + values[i]!), tolerance: tolerance + 2 * EPS } }
}
const map = (x: Numbers, f: (value: number, i: number) => number): Float64Array => Float64Array.from(x, f)
const most = (x: Numbers): number => Float64Array.from(x).reduce((a, b) => Math.max(a, Math.abs(b)), 0)

/** A [N][K] as its panel [N/8][K][8]. */
export function toPanel(x: Numbers, n: number, k: number): Float32Array {
  const panel = new Float32Array(Math.ceil(n / 8) * 8 * k)
  for (let row = 0; row < n; row++) for (let j = 0; j < k; j++) panel[(Math.floor(row / 8) * k + j) * 8 + (row % 8)] = x[row * k + j]!
  return panel
}

/** C [M][N] in blocks [N/BW][M][BW]; the rest of a partial block is what the kernel leaves: not compared, see below. */
function toBlocks(c: Numbers, m: number, n: number, bw: number, rest: number): Float64Array {
  const blocks = new Float64Array(Math.ceil(n / bw) * m * bw).fill(rest)
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) blocks[Math.floor(j / bw) * m * bw + i * bw + (j % bw)] = c[i * n + j]!
  return blocks
}

const ACTIVATIONS: Record<string, Activation> = {
  none: Activation.None,
  gelu: Activation.Gelu,
  gelu_tanh: Activation.GeluTanh,
  quick_gelu: Activation.QuickGelu,
  relu: Activation.Relu,
  silu: Activation.Silu,
  tanh: Activation.Tanh,
}
/** Slopes stay below 1.13; the functions themselves are good to 8 eps of max(1, |x|): see assembly/math.ts. */
const activationError = (x: number): number => 8 * EPS * Math.max(1, Math.abs(x))

function* gemm(): Generator<OpCase> {
  const shapes = [
    [1, 8, 8],
    [1, 1, 1],
    [5, 7, 3],
    [16, 24, 40],
    [17, 33, 13],
    [130, 19, 21],
    [3, 40, 600],
    [133, 9, 515],
  ] as const
  const sources = { panel: GemmMode.BPanel, rows: GemmMode.BRows, columns: GemmMode.BColumns, transposed: GemmMode.BPanelTransposed }
  for (const [m, n, k] of shapes) {
    for (const columnsA of [false, true]) {
      for (const [source, sourceB] of Object.entries(sources)) {
        for (const accumulate of [false, true]) {
          seeded(m * 1000 + n * 10 + k)
          const a = floats(m * k)
          const b = floats(k * n) // [K][N]
          const bias = accumulate ? null : floats(n)
          const c = product(a, b, m, n, k)
          const flat = columnsA ? Float32Array.from(transpose(a, m, k)) : a
          const bOperand =
            sourceB === GemmMode.BPanel
              ? toPanel(transpose(b, k, n), n, k)
              : sourceB === GemmMode.BRows
                ? b
                : sourceB === GemmMode.BColumns
                  ? Float32Array.from(transpose(b, k, n))
                  : toPanel(b, k, n)
          const before = accumulate ? floats(m * n) : null
          const values = map(c.values, (x, i) => x + (bias ? bias[i % n]! : before![i]!))
          // K products and K + 1 sums, each rounded once.
          const tolerance = map(c.sizes, (size) => (k + 2) * EPS * (size + 4))
          yield {
            name: `gemm ${m}x${n}x${k} A ${columnsA ? 'columns' : 'rows'} B ${source}${accumulate ? ' +=' : ''}`,
            op: Op.Gemm,
            mode: (columnsA ? GemmMode.AColumns : 0) | sourceB | (accumulate ? GradMode.Accumulate : 0),
            dims: [m, n, k, n],
            operands: [
              read(flat),
              read(bOperand),
              bias && read(bias),
              { initial: before ?? fresh(m * n), expected: { values, tolerance } },
            ],
            floats: [1],
          }
        }
      }
    }
  }
  // Outputs in blocks: heads of every size, and the panel of a weight's gradient.
  for (const [m, n, k, bw] of [
    [19, 24, 16, 8],
    [19, 30, 30, 10],
    [7, 13, 13, 13],
    [9, 39, 13, 13],
    [5, 256, 64, 128],
    [6, 21, 12, 8],
  ] as const) {
    seeded(m + n * k * bw)
    const a = floats(m * k)
    const b = floats(k * n)
    const bias = floats(n)
    const c = product(a, b, m, n, k)
    const values = toBlocks(
      map(c.values, (x, i) => x + bias[i % n]!),
      m,
      n,
      bw,
      0,
    )
    const initial = new Float32Array(values.length).fill(0)
    yield {
      name: `gemm ${m}x${n}x${k} in blocks of ${bw}`,
      op: Op.Gemm,
      mode: 0,
      dims: [m, n, k, bw],
      operands: [
        read(a),
        read(toPanel(transpose(b, k, n), n, k)),
        read(bias),
        { initial, expected: { values, tolerance: (k + 2) * EPS * (most(c.sizes) + 4) } },
      ],
      floats: [1],
    }
  }
  for (const [name, kind] of Object.entries(ACTIVATIONS)) {
    const [m, n, k] = [9, 21, 12]
    seeded(kind)
    const a = floats(m * k)
    const b = floats(k * n)
    const bias = floats(n)
    const c = product(a, b, m, n, k)
    const inner = map(c.values, (x, i) => 0.5 * x + bias[i % n]!)
    yield {
      name: `gemm with ${name} and a scale`,
      op: Op.Gemm,
      mode: kind,
      dims: [m, n, k, n],
      operands: [
        read(a),
        read(toPanel(transpose(b, k, n), n, k)),
        read(bias),
        written(
          map(inner, (x) => activate(kind, x)),
          map(inner, (x, i) => activationError(x) + 1.2 * (k + 4) * EPS * (c.sizes[i]! + 4)),
        ),
      ],
      floats: [0.5],
    }
  }
}

/** Lengths of the sequences of one chunk. */
const LENGTHS: readonly (readonly number[])[] = [[1], [7, 1, 12], [130, 3], [20, 9]]
const SIZES: readonly (readonly [heads: number, d: number])[] = [
  [3, 10],
  [1, 13],
  [2, 8],
  [1, 128],
]

function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1)
  lengths.forEach((length, i) => (offsets[i + 1] = offsets[i]! + length))
  return offsets
}

/** Rows of one head of a sequence in a token operand, as [length][d]. */
function headRows(
  x: Numbers,
  layout: 'heads' | 'rows',
  head: number,
  heads: number,
  d: number,
  t: number,
  start: number,
  length: number,
): Float64Array {
  return Float64Array.from({ length: length * d }, (_, i) => {
    const [row, column] = [start + Math.floor(i / d), i % d]
    return layout === 'heads' ? x[(head * t + row) * d + column]! : x[row * heads * d + head * d + column]!
  })
}

function setHeadRows(
  y: Float64Array,
  values: Numbers,
  layout: 'heads' | 'rows',
  head: number,
  heads: number,
  d: number,
  t: number,
  start: number,
): void {
  Float64Array.from(values).forEach((value, i) => {
    const [row, column] = [start + Math.floor(i / d), i % d]
    y[layout === 'heads' ? (head * t + row) * d + column : row * heads * d + head * d + column] = value
  })
}

function* bmm(): Generator<OpCase> {
  const layout = (mode: number, bit: number): 'heads' | 'rows' => (mode & bit ? 'heads' : 'rows')
  const kinds = { NT: BmmMode.NT, NN: BmmMode.NN, TN: BmmMode.TN }
  for (const lengths of LENGTHS) {
    for (const [heads, d] of SIZES) {
      for (const [name, kind] of Object.entries(kinds)) {
        for (const flags of [BmmMode.BHeads, BmmMode.AHeads | BmmMode.BHeads, BmmMode.CHeads | GradMode.Accumulate]) {
          seeded(heads * 100 + d + kind + flags)
          const mode = kind | flags
          const t = lengths.reduce((a, b) => a + b, 0)
          const s = lengths.reduce((a, b) => a + b * b, 0)
          const offsets = offsetsOf(lengths)
          const scale = 0.3
          const nt = kind === BmmMode.NT
          const a = floats(nt ? heads * d * t : heads * s)
          const b = floats(heads * d * t)
          const values = new Float64Array(nt ? heads * s : heads * d * t)
          let size = 0
          let map0 = 0
          lengths.forEach((n, i) => {
            const start = offsets[i]!
            for (let head = 0; head < heads; head++) {
              const right = headRows(b, layout(mode, BmmMode.BHeads), head, heads, d, t, start, n)
              const p = map0 + head * n * n
              const matrix = nt
                ? headRows(a, layout(mode, BmmMode.AHeads), head, heads, d, t, start, n)
                : Float64Array.from(a.subarray(p, p + n * n))
              const c = nt
                ? product(matrix, transpose(right, n, d), n, n, d)
                : product(kind === BmmMode.NN ? matrix : transpose(matrix, n, n), right, n, d, n)
              size = Math.max(size, most(c.sizes) * scale)
              const scaled = map(c.values, (x) => x * scale)
              if (nt) values.set(scaled, p)
              else setHeadRows(values, scaled, layout(mode, BmmMode.CHeads), head, heads, d, t, start)
            }
            map0 += heads * n * n
          })
          const tolerance = (Math.max(d, ...lengths) + 3) * EPS * (size + 2)
          yield {
            name: `bmm ${name} ${heads}x${d} of ${lengths.join(',')} flags ${flags}`,
            op: Op.Bmm,
            mode,
            dims: [heads, d, t, lengths.length, s],
            operands: [
              read(a),
              read(b),
              flags & GradMode.Accumulate ? added(values, tolerance) : written(values, tolerance),
              read(offsets),
            ],
            floats: [scale],
          }
        }
      }
    }
  }
}

function* attention(): Generator<OpCase> {
  for (const lengths of [...LENGTHS, [512]]) {
    for (const [heads, d] of SIZES) {
      seeded(heads * 10 + d + lengths.length)
      const t = lengths.reduce((a, b) => a + b, 0)
      const offsets = offsetsOf(lengths)
      const scale = 1 / Math.sqrt(d)
      const [q, k, v] = [floats(heads * d * t), floats(heads * d * t), floats(heads * d * t)]
      const values = new Float64Array(heads * d * t)
      let largest = 0
      lengths.forEach((n, i) => {
        for (let head = 0; head < heads; head++) {
          const rows = (x: Numbers): Float64Array => headRows(x, 'heads', head, heads, d, t, offsets[i]!, n)
          const scores = product(rows(q), transpose(rows(k), n, d), n, n, d)
          largest = Math.max(largest, most(scores.sizes) * scale)
          const p = new Float64Array(n * n)
          for (let row = 0; row < n; row++) p.set(softmaxRow(scores.values.subarray(row * n, row * n + n).map((x) => x * scale)), row * n)
          setHeadRows(values, product(p, rows(v), n, d, n).values, 'rows', head, heads, d, t, offsets[i]!)
        }
      })
      // An error e of a score moves its probability by the factor 1 + e: (d + 3) roundings of the score, then length + 4 of the mean.
      const tolerance = ((d + 3) * 2 * largest + Math.max(...lengths) + 8) * EPS * most(v)
      yield {
        name: `attention ${heads}x${d} of ${lengths.join(',')}`,
        op: Op.Attention,
        mode: 0,
        dims: [heads, d, t, lengths.length, Math.max(...lengths)],
        operands: [read(q), read(k), read(v), written(values, tolerance), read(offsets)],
        floats: [scale],
      }
    }
  }
}

function* softmax(): Generator<OpCase> {
  for (const lengths of LENGTHS) {
    for (const heads of [1, 3]) {
      for (const accumulate of [false, true]) {
        seeded(heads + lengths.length)
        const s = lengths.reduce((a, b) => a + b * b, 0)
        const offsets = offsetsOf(lengths)
        const x = floats(heads * s, 3)
        const dims = [heads, lengths.length, s]
        const rows: [number, number][] = [] // start, length
        let at = 0
        for (const n of lengths) for (let i = 0; i < heads * n; i++, at += n) rows.push([at, n])
        const p = new Float64Array(x.length)
        for (const [start, n] of rows) p.set(softmaxRow(Float64Array.from(x.subarray(start, start + n))), start)
        const longest = Math.max(...lengths)
        if (!accumulate) {
          const tolerance = map(p, (value) => (longest + 16) * EPS * value + 1e-38)
          yield {
            name: `softmax of ${lengths.join(',')} x${heads}`,
            op: Op.Softmax,
            mode: 0,
            dims,
            operands: [read(x), written(p, tolerance), read(offsets)],
            floats: [],
          }
        }
        const dp = floats(x.length)
        const values = new Float64Array(x.length)
        for (const [start, n] of rows) {
          // Long rows by the closed form, which short rows check against finite differences.
          const [row, dy] = [Float64Array.from(x.subarray(start, start + n)), dp.subarray(start, start + n)]
          const mean = n > 20 ? dy.reduce((sum, g, i) => sum + g * p[start + i]!, 0) : 0
          values.set(n > 20 ? map(dy, (g, i) => p[start + i]! * (g - mean)) : finiteDifferences(softmaxRow, row, dy), start)
        }
        const tolerance = (longest + 4) * EPS * 4 + 2e-9
        const output = accumulate ? added(values, tolerance) : written(values, tolerance)
        yield {
          name: `softmax gradient of ${lengths.join(',')} x${heads}${accumulate ? ' +=' : ''}`,
          op: Op.SoftmaxGrad,
          mode: accumulate ? GradMode.Accumulate : 0,
          dims,
          operands: [read(Float32Array.from(p)), read(dp), output, read(offsets)],
          floats: [],
        }
      }
    }
  }
}

function* layerNorm(): Generator<OpCase> {
  for (const [rows, h] of [
    [1, 1],
    [3, 8],
    [5, 13],
    [9, 30],
    [2, 770],
  ] as const) {
    for (const variant of [0, 1]) {
      seeded(rows * h + variant)
      const eps = 1e-5
      const x = floats(rows * h, 2, 0.5)
      const residual = variant ? floats(rows * h) : null
      const [gamma, beta] = [floats(h, 0.2, 1), floats(h, 0.2)]
      const y = new Float64Array(rows * h)
      const stats = new Float64Array(rows * 2)
      const row = (i: number): Float64Array =>
        map(x.subarray(i * h, i * h + h), (value, j) => Math.fround(value + (residual?.[i * h + j] ?? 0)))
      for (let i = 0; i < rows; i++) {
        const normed = layerNormRow(row(i), gamma, beta, eps)
        y.set(normed.y, i * h)
        stats.set([normed.mean, normed.inverse], 2 * i)
      }
      // The mean's error, (h + 1) eps of the values, is seen through the inverse deviation; at h = 1 that is 1 / sqrt(eps).
      const inverse = most(stats.filter((_, i) => i % 2 === 1))
      const tolerance = (h + 12) * EPS * Math.max(4, 4 * inverse) * 2
      yield {
        name: `layernorm ${rows}x${h}${variant ? ' with residual' : ''}`,
        op: Op.LayerNorm,
        mode: 0,
        dims: [rows, h],
        operands: [
          read(x),
          residual && read(residual),
          read(gamma),
          read(beta),
          written(y, tolerance),
          variant
            ? null
            : written(
                stats,
                map(stats, (value, i) => (h + 12) * EPS * (i % 2 ? 2 * value : 4)),
              ),
        ],
        floats: [eps],
      }
      const dy = floats(rows * h)
      const dx = new Float64Array(rows * h)
      const [dgamma, dbeta] = [new Float64Array(h), new Float64Array(h)]
      for (let i = 0; i < rows; i++) {
        const g = dy.subarray(i * h, i * h + h)
        const values = x.subarray(i * h, i * h + h)
        const own = layerNormRow(Float64Array.from(values), gamma, beta, eps)
        stats.set([own.mean, own.inverse], 2 * i)
        if (h <= 30)
          dx.set(
            finiteDifferences((at) => layerNormRow(at, gamma, beta, eps).y, values, g),
            i * h,
          )
        else {
          const hat = map(values, (value) => (value - own.mean) * own.inverse)
          const scaled = map(g, (value, j) => value * gamma[j]!)
          const [m, mx] = [scaled.reduce((a, b) => a + b, 0) / h, scaled.reduce((a, b, j) => a + b * hat[j]!, 0) / h]
          dx.set(
            map(scaled, (value, j) => own.inverse * (value - m - hat[j]! * mx)),
            i * h,
          )
        }
        g.forEach((value, j) => {
          dgamma[j]! += value * (values[j]! - own.mean) * own.inverse
          dbeta[j]! += value
        })
      }
      const steep = most(stats.filter((_, i) => i % 2 === 1))
      const gradTolerance = (h + 16) * EPS * 8 * Math.max(1, steep) ** 2 + 2e-8 * Math.max(1, steep)
      const storedStats = Float32Array.from(stats)
      yield {
        name: `layernorm gradient ${rows}x${h}${variant ? ' +=' : ''}`,
        op: Op.LayerNormGrad,
        mode: variant ? GradMode.Accumulate : 0,
        dims: [rows, h],
        operands: [read(x), read(gamma), read(storedStats), read(dy), variant ? added(dx, gradTolerance) : written(dx, gradTolerance)],
        floats: [],
      }
      yield {
        name: `layernorm parameter gradients ${rows}x${h} (${variant})`,
        op: Op.LayerNormParamGrad,
        mode: 0,
        dims: [rows, h],
        operands: [
          read(x),
          read(storedStats),
          read(dy),
          added(dgamma, (rows + 4) * EPS * 40 * Math.max(1, steep)),
          added(dbeta, (rows + 2) * EPS * 20),
        ],
        floats: [],
      }
    }
  }
}

function* embedding(): Generator<OpCase> {
  for (const [t, h] of [
    [1, 5],
    [9, 16],
    [30, 13],
  ] as const) {
    for (const mode of [TableMode.Rows, TableMode.Panel, RowMode.Fused, TableMode.Panel | RowMode.Fused]) {
      seeded(t * h + mode)
      const [v, p, y] = [29, 40, 2]
      const [word, position, type] = [floats(v * h), floats(p * h), floats(y * h)]
      const [ids, types, positions] = [ints(t, v), ints(t, y), ints(t, p)]
      const [gamma, beta] = [floats(h, 0.2, 1), floats(h, 0.2)]
      const sum = Float64Array.from({ length: t * h }, (_, i) => {
        const [row, j] = [Math.floor(i / h), i % h]
        return word[ids[row]! * h + j]! + type[types[row]! * h + j]! + position[positions[row]! * h + j]!
      })
      const fused = (mode & RowMode.Fused) !== 0
      const values = fused ? new Float64Array(t * h) : sum
      if (fused) for (let i = 0; i < t; i++) values.set(layerNormRow(sum.subarray(i * h, i * h + h), gamma, beta, 1e-5).y, i * h)
      yield {
        name: `embedding ${t}x${h} mode ${mode}`,
        op: Op.Embedding,
        mode,
        dims: [t, h, v, p, y],
        operands: [
          read(ids),
          read(types),
          read(positions),
          read(mode & TableMode.Panel ? toPanel(word, v, h) : word),
          read(type),
          read(position),
          fused ? read(gamma) : null,
          fused ? read(beta) : null,
          written(values, fused ? (h + 16) * EPS * 40 : 4 * EPS * 6),
        ],
        floats: [1e-5],
      }
    }
    for (const mode of [TableMode.Rows, TableMode.Panel]) {
      seeded(t + h + mode)
      const rows = 19
      const dy = floats(t * h)
      const index = ints(t, rows)
      const sum = new Float64Array(rows * h)
      index.forEach((id, i) => dy.subarray(i * h, i * h + h).forEach((value, j) => (sum[id * h + j]! += value)))
      const flat = mode === TableMode.Panel ? toPanel(sum, rows, h) : sum
      yield {
        name: `scatter ${t}x${h} mode ${mode}`,
        op: Op.Scatter,
        mode,
        dims: [t, h, rows],
        operands: [read(dy), read(index), added(flat, (t + 1) * EPS * (t + 2))],
        floats: [],
      }
    }
    seeded(t - h)
    const x = floats(23 * h)
    const index = ints(t, 23)
    yield {
      name: `gather ${t}x${h}`,
      op: Op.Gather,
      mode: 0,
      dims: [t, h, 23],
      operands: [
        read(x),
        read(index),
        written(
          Float64Array.from({ length: t * h }, (_, i) => x[index[Math.floor(i / h)]! * h + (i % h)]!),
          0,
        ),
      ],
      floats: [],
    }
  }
}

function* elementwise(): Generator<OpCase> {
  for (const [n, m] of [
    [1, 1],
    [3, 7],
    [90, 101],
  ] as const) {
    for (const [name, kind] of Object.entries(ACTIVATIONS)) {
      seeded(n * m + kind)
      const x = floats(n * m, 4)
      yield {
        name: `${name} ${n}x${m}`,
        op: Op.Activation,
        mode: kind,
        dims: [n, m],
        operands: [
          read(x),
          written(
            map(x, (value) => activate(kind, value)),
            map(x, activationError),
          ),
        ],
        floats: [],
      }
      for (const accumulate of [false, true]) {
        const dy = floats(n * m)
        // Finite differences straddle relu's corner only at 0, which no value is.
        const dx = map(x, (value, i) => (dy[i]! * (activate(kind, value + 1e-5) - activate(kind, value - 1e-5))) / 2e-5)
        const tolerance = 16 * EPS * 8 + 4e-9
        yield {
          name: `${name} gradient ${n}x${m}${accumulate ? ' +=' : ''}`,
          op: Op.ActivationGrad,
          mode: kind | (accumulate ? GradMode.Accumulate : 0),
          dims: [n, m],
          operands: [read(x), read(dy), accumulate ? added(dx, tolerance) : written(dx, tolerance)],
          floats: [],
        }
      }
    }
    seeded(n + m)
    const [a, b] = [floats(n * m), floats(n * m)]
    const sum = map(a, (value, i) => value + b[i]!)
    yield { name: `add ${n}x${m}`, op: Op.Add, mode: 0, dims: [n, m], operands: [read(a), read(b), written(sum, 4 * EPS)], floats: [] }
    yield { name: `copy ${n}x${m}`, op: Op.Copy, mode: 0, dims: [n, m], operands: [read(a), written(a, 0)], floats: [] }
    yield {
      name: `copy += ${n}x${m}`,
      op: Op.Copy,
      mode: GradMode.Accumulate,
      dims: [n, m],
      operands: [read(a), added(a, 4 * EPS)],
      floats: [],
    }
    yield {
      name: `fill ${n}x${m}`,
      op: Op.Fill,
      mode: 0,
      dims: [n, m],
      operands: [
        written(
          map(a, () => 0.25),
          0,
        ),
      ],
      floats: [0.25],
    }
  }
}

function* reductions(): Generator<OpCase> {
  for (const [rows, n] of [
    [1, 1],
    [7, 8],
    [50, 13],
    [33, 30],
  ] as const) {
    seeded(rows * n)
    const x = floats(rows * n)
    const columns = Float64Array.from({ length: n }, (_, j) => {
      let sum = 0
      for (let i = 0; i < rows; i++) sum += x[i * n + j]!
      return sum
    })
    const bound = (rows + 2) * EPS * (2 * rows + 2)
    yield {
      name: `column sum ${rows}x${n}`,
      op: Op.ColumnSum,
      mode: 0,
      dims: [rows, n],
      operands: [read(x), added(columns, bound)],
      floats: [],
    }
    const unit = new Float64Array(rows * n)
    for (let i = 0; i < rows; i++) {
      const row = x.subarray(i * n, i * n + n)
      const length = Math.hypot(...row)
      unit.set(
        map(row, (value) => value / length),
        i * n,
      )
    }
    yield {
      name: `normalize ${rows}x${n}`,
      op: Op.Normalize,
      mode: 0,
      dims: [rows, n],
      operands: [read(x), written(unit, (n + 8) * EPS)],
      floats: [1e-12],
    }
    yield {
      name: `normalize a zero row of ${n}`,
      op: Op.Normalize,
      mode: 0,
      dims: [1, n],
      operands: [read(new Float32Array(n)), written(new Float64Array(n), 0)],
      floats: [1e-12],
    }
    const lengths = rows > 3 ? [1, rows - 3, 2] : [rows]
    const offsets = offsetsOf(lengths)
    const means = Float64Array.from({ length: lengths.length * n }, (_, i) => {
      const [s, j] = [Math.floor(i / n), i % n]
      let sum = 0
      for (let t = offsets[s]!; t < offsets[s + 1]!; t++) sum += x[t * n + j]!
      return sum / lengths[s]!
    })
    yield {
      name: `mean pool ${lengths.join(',')} x${n}`,
      op: Op.MeanPool,
      mode: 0,
      dims: [lengths.length, n, rows],
      operands: [read(x), read(offsets), written(means, (rows + 3) * EPS * 2)],
      floats: [],
    }
    const scale = Float32Array.of(0.37)
    const total = x.reduce((sum, value) => sum + value, 0) * scale[0]!
    yield {
      name: `sum of ${rows * n}`,
      op: Op.Sum,
      mode: 0,
      dims: [rows * n],
      operands: [read(x), read(scale), added([total], (rows * n + 2) * EPS * rows * n)],
      floats: [],
    }
  }
}

function* losses(): Generator<OpCase> {
  for (const [rows, classes] of [
    [1, 1],
    [6, 2],
    [9, 11],
    [4, 1003],
  ] as const) {
    for (const accumulate of [false, true]) {
      seeded(rows * classes)
      const x = floats(rows * classes, 3)
      const labels = ints(rows, classes)
      if (rows > 2) labels[1] = -100
      const row = (i: number): Float64Array => Float64Array.from(x.subarray(i * classes, i * classes + classes))
      const lse = Float64Array.from({ length: rows }, (_, i) => Math.log(row(i).reduce((sum, value) => sum + Math.exp(value), 0)))
      const nll = map(labels, (label, i) => (label === -100 ? 0 : lse[i]! - x[i * classes + label]!))
      const bound = (classes / 4 + 12) * EPS * 16
      if (!accumulate) {
        yield {
          name: `cross-entropy ${rows}x${classes}`,
          op: Op.CrossEntropy,
          mode: 0,
          dims: [rows, classes],
          operands: [read(x), read(labels), written(nll, bound), written(lse, bound)],
          floats: [],
        }
      }
      const scale = Float32Array.of(0.2)
      const dx = new Float64Array(rows * classes)
      labels.forEach((label, i) => {
        if (label === -100) return
        const loss = (at: Float64Array): number[] => [Math.log(at.reduce((sum, value) => sum + Math.exp(value), 0)) - at[label]!]
        const closed = map(softmaxRow(row(i)), (p, j) => scale[0]! * (p - (j === label ? 1 : 0)))
        dx.set(classes > 20 ? closed : finiteDifferences(loss, row(i), scale), i * classes)
      })
      yield {
        name: `cross-entropy gradient ${rows}x${classes}${accumulate ? ' +=' : ''}`,
        op: Op.CrossEntropyGrad,
        mode: accumulate ? GradMode.Accumulate : 0,
        dims: [rows, classes],
        operands: [
          read(x),
          read(labels),
          read(Float32Array.from(lse)),
          read(scale),
          accumulate ? added(dx, 24 * EPS + 4e-9) : written(dx, 24 * EPS + 4e-9),
        ],
        floats: [],
      }
    }
  }
}

function* optimizer(): Generator<OpCase> {
  for (const [n, m] of [
    [1, 1],
    [5, 3],
    [70, 73],
  ] as const) {
    seeded(n * m)
    const count = n * m
    const [p, g, first] = [floats(count), floats(count), floats(count, 0.1)]
    const second = floats(count, 0.1).map(Math.abs)
    const [lr, correction1, correction2, scale] = [1e-2, 0.271, 0.0029, 0.5] as const
    const [beta1, beta2, eps, decay] = [0.9, 0.999, 1e-8, 0.01] as const
    const m1 = map(first, (value, i) => beta1 * value + (1 - beta1) * scale * g[i]!)
    const m2 = map(second, (value, i) => beta2 * value + (1 - beta2) * (scale * g[i]!) ** 2)
    const after = map(p, (value, i) => value * (1 - lr * decay) - ((lr / correction1) * m1[i]!) / (Math.sqrt(m2[i]! / correction2) + eps))
    const changed = (initial: Float32Array, values: Numbers, tolerance: Numbers | number): Operand => ({
      initial,
      expected: { values, tolerance },
    })
    yield {
      name: `adamw ${n}x${m}`,
      op: Op.AdamW,
      mode: 0,
      dims: [n, m],
      operands: [
        // 1 - beta is off by eps / (1 - beta) when beta is rounded: 2^-24 * 1000 for beta2.
        changed(
          p,
          after,
          map(after, (value, i) => 4 * EPS * Math.abs(value) + 1100 * EPS * Math.abs(p[i]! - value)),
        ),
        changed(g, new Float64Array(count), 0),
        changed(first, m1, 16 * EPS),
        changed(second, m2, 1100 * EPS),
        read(Float32Array.of(lr, correction1, correction2, scale)),
      ],
      floats: [beta1, beta2, eps, decay],
    }
  }
}

export function opCases(): OpCase[] {
  return [
    ...gemm(),
    ...bmm(),
    ...attention(),
    ...softmax(),
    ...layerNorm(),
    ...embedding(),
    ...elementwise(),
    ...reductions(),
    ...losses(),
    ...optimizer(),
  ]
}
