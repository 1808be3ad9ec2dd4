// Elementwise ops, reductions, the optimizer.
import { GradMode, Op, SquaresRun } from '../../../assembly/abi.ts'
import { activate, finiteDifferences, transpose, type Numbers } from '../reference.ts'
import {
  EPS,
  most,
  type Operand,
  type OpCase,
  seeded,
  floats,
  read,
  written,
  fresh,
  added,
  map,
  toPanel,
  ACTIVATIONS,
  activationError,
  offsetsOf,
} from './case.ts'

export function* elementwise(): Generator<OpCase> {
  for (const [n, m] of [
    [1, 1],
    [3, 7],
    [90, 101],
  ] as const) {
    for (const [name, kind] of Object.entries(ACTIVATIONS)) {
      seeded(n * m + kind)
      const x = floats(n * m, 4)
      const y = written(
        map(x, (value) => activate(kind, value)),
        map(x, activationError),
      )
      // Finite differences straddle relu's corner only at 0, which no value is.
      const slopes = map(x, (value) => (activate(kind, value + 1e-5) - activate(kind, value - 1e-5)) / 2e-5)
      const tolerance = 8 * EPS * 8 + 4e-9
      const record = { op: Op.Activation, mode: kind, dims: [n, m], floats: [] }
      yield { ...record, name: `${name} ${n}x${m}`, operands: [read(x), y, null] }
      yield { ...record, name: `${name} with slope ${n}x${m}`, operands: [read(x), y, written(slopes, tolerance)] }
    }
    for (const accumulate of [false, true]) {
      seeded(n * m)
      const [slopes, dy] = [floats(n * m), floats(n * m)]
      const dx = map(dy, (value, i) => value * slopes[i]!)
      // Of the product (below 4), of the sum and of the expected sum (below 8): half a unit in the last place each.
      const tolerance = accumulate ? 8 * EPS : 2 * EPS
      yield {
        name: `slopes times gradient ${n}x${m}${accumulate ? ' +=' : ''}`,
        op: Op.ActivationGrad,
        mode: accumulate ? GradMode.Accumulate : 0,
        dims: [n, m],
        operands: [read(slopes), read(dy), accumulate ? added(dx, tolerance) : written(dx, tolerance)],
        floats: [],
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

export function* reductions(): Generator<OpCase> {
  for (const [rows, n] of [
    [1, 1],
    [7, 8],
    [50, 13],
    [33, 30],
    [21, 48],
  ] as const) {
    seeded(rows * n)
    const x = floats(rows * n)
    const columns = Float64Array.from({ length: n }, (_, j) => {
      let sum = 0
      for (let i = 0; i < rows; i++) sum += x[i * n + j]!
      return sum
    })
    const bound = (rows + 2) * EPS * (2 * rows + 2)
    const panels = toPanel(transpose(x, rows, n), n, rows)
    for (const [what, sums, packed] of [
      ['sum', added(columns, bound), null],
      ['sum and panels', added(columns, bound), written(panels, 0)],
      ['panels', null, written(panels, 0)],
    ] as const)
      yield {
        name: `column ${what} ${rows}x${n}`,
        op: Op.ColumnSum,
        mode: 0,
        dims: [rows, n],
        operands: [read(x), sums, packed],
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
    yield* rowGradients(x, rows, n, offsets)
    const scale = Float32Array.of(0.37)
    const total = x.reduce((sum, value) => sum + value, 0) * scale[0]!
    yield {
      name: `sum of ${rows * n}`,
      op: Op.Sum,
      mode: 0,
      dims: [rows, n],
      operands: [read(x), read(scale), added([total], (rows * n + 2) * EPS * rows * n)],
      floats: [],
    }
  }
}

/** Of normalize and meanPool. */
function* rowGradients(x: Float32Array, rows: number, n: number, offsets: Int32Array): Generator<OpCase> {
  const dy = floats(rows * n)
  const unit = new Float64Array(rows * n)
  for (let i = 0; i < rows; i++) {
    const [from, by] = [x.subarray(i * n, i * n + n), dy.subarray(i * n, i * n + n)]
    const length = Math.hypot(...from)
    const along = from.reduce((sum, value, j) => sum + value * by[j]!, 0) / length ** 2
    const closed = map(from, (value, j) => (by[j]! - value * along) / length)
    // Finite differences cost rows * n^2: they stand for the formula where n is small.
    const numeric = (): Float64Array => finiteDifferences((at) => at.map((value) => value / Math.hypot(...at)), from, by)
    unit.set(n > 20 ? closed : numeric(), i * n)
  }
  const means = new Float64Array(rows * n)
  const lengths = Array.from(offsets.subarray(1), (end, s) => end - offsets[s]!)
  const dmean = floats(lengths.length * n)
  lengths.forEach((length, s) => {
    for (let t = offsets[s]!; t < offsets[s + 1]!; t++) for (let j = 0; j < n; j++) means[t * n + j] = dmean[s * n + j]! / length
  })
  for (const accumulate of [false, true]) {
    const [mode, what] = [accumulate ? GradMode.Accumulate : 0, accumulate ? ' +=' : '']
    const into = accumulate ? added : written
    // The row's product has n roundings, and divides by the row's length.
    const shortest = Math.min(...Array.from({ length: rows }, (_, i) => Math.hypot(...x.subarray(i * n, i * n + n))))
    yield {
      name: `normalize gradient ${rows}x${n}${what}`,
      op: Op.NormalizeGrad,
      mode,
      dims: [rows, n],
      operands: [read(x), read(dy), into(unit, ((2 * n + 16) * EPS * most(dy) + 1e-9) / shortest)],
      floats: [1e-12],
    }
    yield {
      name: `normalize gradient of a zero row of ${n}${what}`,
      op: Op.NormalizeGrad,
      mode,
      dims: [1, n],
      operands: [
        read(new Float32Array(n)),
        read(dy.subarray(0, n)),
        into(
          map(dy.subarray(0, n), (value) => value * 4),
          4 * EPS * most(dy),
        ),
      ],
      floats: [0.25],
    }
    yield {
      name: `mean pool gradient ${lengths.join(',')} x${n}${what}`,
      op: Op.MeanPoolGrad,
      mode,
      dims: [lengths.length, n, rows],
      operands: [read(dmean), read(offsets), into(means, 3 * EPS * most(dmean))],
      floats: [],
    }
  }
}

export function* optimizer(): Generator<OpCase> {
  for (const [n, m, group] of [
    [1, 1, 0],
    [5, 3, 2],
    [70, 73, 1],
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
      name: `adamw ${n}x${m}, group ${group}`,
      op: Op.AdamW,
      mode: 0,
      dims: [n, m, group],
      operands: [
        changed(
          p,
          after,
          map(after, (value, i) => 4 * EPS * Math.abs(value) + 16 * EPS * Math.abs(p[i]! - value)),
        ),
        changed(g, new Float64Array(count), 0),
        changed(first, m1, 16 * EPS),
        changed(second, m2, 16 * EPS),
        // What belongs to the groups before is NaN.
        read(Float32Array.from([...fresh(6 * group), lr, correction1, correction2, scale, 1 - beta1, 1 - beta2])),
      ],
      floats: [beta1, beta2, eps, decay],
    }
  }
}

export function* squares(): Generator<OpCase> {
  for (const [n, m] of [
    [1, 1],
    [3, 5],
    [64, 128],
    [130, 257],
  ] as const) {
    seeded(n + m)
    const x = floats(n * m)
    const sums = Float64Array.from({ length: Math.ceil(x.length / SquaresRun.Length) }, (_, i) =>
      x.subarray(i * SquaresRun.Length, (i + 1) * SquaresRun.Length).reduce((sum, value) => sum + value * value, 0),
    )
    const tolerance = map(sums, (sum) => EPS * sum * (1 + 1e-6))
    yield { name: `squares ${n}x${m}`, op: Op.Squares, mode: 0, dims: [n, m], operands: [read(x), written(sums, tolerance)], floats: [] }
  }
}
