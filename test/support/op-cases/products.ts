// Products: gemm, and the plain chain of attention.
import { BmmMode, GemmMode, GradMode, Op } from '../../../assembly/abi.ts'
import { activate, product, transpose, type Numbers } from '../reference.ts'
import {
  EPS,
  type OpCase,
  seeded,
  floats,
  read,
  fresh,
  written,
  added,
  map,
  most,
  toPanel,
  toBlocks,
  ACTIVATIONS,
  activationError,
  LENGTHS,
  SIZES,
  offsetsOf,
} from './case.ts'

export function* gemm(): Generator<OpCase> {
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

/** Rows of one head of a sequence in a token operand, as [length][d]. */
export function headRows(
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

export function setHeadRows(
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

export function* bmm(): Generator<OpCase> {
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
