// Losses: values against float64, gradients against finite differences of it.
import { ElementLoss, GradMode, Op } from '../../../assembly/abi.ts'
import { finiteDifferences, softmaxRow } from '../reference.ts'
import { added, EPS, floats, ints, map, read, seeded, written, type OpCase } from './case.ts'

export function* losses(): Generator<OpCase> {
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

const logSumExp = (x: Float64Array): number => Math.log(x.reduce((sum, value) => sum + Math.exp(value), 0))

/** Spans of lengths, with holes between them, in one column of a wider matrix. */
export function* spanLosses(): Generator<OpCase> {
  for (const [lengths, width, column] of [
    [[1], 1, 0],
    [[4, 4, 4], 1, 0],
    [[9, 1, 17], 2, 1],
    [[70, 3], 2, 0],
  ] as const) {
    seeded(lengths.length + width + column)
    const total = lengths.reduce((a, b) => a + b + 1, 0)
    const x = floats(total * width, 3)
    const starts = Int32Array.from(lengths, (_, i) => lengths.slice(0, i).reduce((a, b) => a + b + 1, 0))
    const ends = starts.map((start, i) => start + lengths[i]!)
    const labels = Int32Array.from(lengths, (length, i) => (i === 1 && lengths.length > 2 ? -100 : (length * 7 + i) % length))
    const span = (r: number): Float64Array => Float64Array.from({ length: lengths[r]! }, (_, t) => x[(starts[r]! + t) * width + column]!)
    const lse = Float64Array.from(lengths, (_, r) => logSumExp(span(r)))
    const nll = map(labels, (label, r) => (label === -100 ? 0 : lse[r]! - span(r)[label]!))
    const bound = (Math.max(...lengths) + 12) * EPS * 16
    const dims = [lengths.length, total, width, column]
    const name = `${lengths.join(',')} in column ${column} of ${width}`
    yield {
      name: `span cross-entropy of ${name}`,
      op: Op.SpanCrossEntropy,
      mode: 0,
      dims,
      operands: [read(x), read(starts), read(ends), read(labels), written(nll, bound), written(lse, bound)],
      floats: [],
    }
    const scale = Float32Array.of(0.2)
    const dx = new Float64Array(total * width)
    labels.forEach((label, r) => {
      if (label === -100) return
      const gradient = finiteDifferences((at) => [logSumExp(at) - at[label]!], span(r), scale)
      gradient.forEach((value, t) => (dx[(starts[r]! + t) * width + column] = value))
    })
    yield {
      name: `span cross-entropy gradient of ${name}`,
      op: Op.SpanCrossEntropyGrad,
      mode: 0,
      dims,
      operands: [read(x), read(starts), read(ends), read(labels), read(Float32Array.from(lse)), read(scale), added(dx, 24 * EPS + 4e-9)],
      floats: [],
    }
  }
}

export function* elementLosses(): Generator<OpCase> {
  const kinds = {
    squared: { kind: ElementLoss.Squared, loss: (x: number, t: number) => (x - t) ** 2 },
    hinge: { kind: ElementLoss.Hinge, loss: (x: number, t: number) => Math.max(0, x + t) },
    binary: { kind: ElementLoss.Binary, loss: (x: number, t: number) => Math.max(x, 0) - x * t + Math.log1p(Math.exp(-Math.abs(x))) },
  }
  for (const [name, { kind, loss }] of Object.entries(kinds)) {
    for (const [n, m] of [
      [1, 1],
      [3, 7],
      [20, 13],
    ] as const) {
      seeded(n * m + kind)
      const x = floats(n * m, 4)
      // Beyond where e^-|x| is seen beside 1.
      if (n * m > 8) x.set([60, -60, 0], 3)
      const targets = kind === ElementLoss.Binary ? Float32Array.from(ints(n * m, 2)) : floats(n * m)
      const values = map(x, (value, i) => loss(value, targets[i]!))
      yield {
        name: `${name} loss ${n}x${m}`,
        op: Op.ElementLoss,
        mode: kind,
        dims: [n, m],
        // Squares: two roundings of the difference, one of the product. Binary: exp and log of 2 ULP each, then three sums.
        operands: [
          read(x),
          read(targets),
          written(
            values,
            map(values, (value, i) => 8 * EPS * Math.max(1, Math.abs(value), Math.abs(x[i]!))),
          ),
        ],
        floats: [],
      }
      for (const accumulate of [false, true]) {
        const scale = Float32Array.of(0.3)
        const h = 1e-5
        const dx = map(x, (value, i) => (scale[0]! * (loss(value + h, targets[i]!) - loss(value - h, targets[i]!))) / (2 * h))
        const tolerance = map(x, (value) => 16 * EPS * Math.max(1, 2 * Math.abs(value)) + 4e-9 * (1 + value * value))
        const most = Math.max(...tolerance)
        yield {
          name: `${name} loss gradient ${n}x${m}${accumulate ? ' +=' : ''}`,
          op: Op.ElementLossGrad,
          mode: kind | (accumulate ? GradMode.Accumulate : 0),
          dims: [n, m],
          operands: [read(x), read(targets), read(scale), accumulate ? added(dx, most) : written(dx, tolerance)],
          floats: [],
        }
      }
    }
  }
}
