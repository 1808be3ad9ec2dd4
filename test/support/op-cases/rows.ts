// Row by row: softmax, LayerNorm, embeddings.
import { GradMode, Op, RowMode, TableMode } from '../../../assembly/abi.ts'
import { finiteDifferences, layerNormRow, softmaxRow } from '../reference.ts'
import { EPS, type OpCase, seeded, floats, ints, read, written, added, map, most, toPanel, LENGTHS, offsetsOf } from './case.ts'

export function* softmax(): Generator<OpCase> {
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

export function* layerNorm(): Generator<OpCase> {
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

export function* embedding(): Generator<OpCase> {
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
      for (const skip of [0, index[0]! + 1]) {
        const sum = new Float64Array(rows * h)
        index.forEach((id, i) => {
          if (id + 1 !== skip) dy.subarray(i * h, i * h + h).forEach((value, j) => (sum[id * h + j]! += value))
        })
        const flat = mode === TableMode.Panel ? toPanel(sum, rows, h) : sum
        yield {
          name: `scatter ${t}x${h} mode ${mode}, skip ${skip}`,
          op: Op.Scatter,
          mode,
          dims: [t, h, rows, skip],
          operands: [read(dy), read(index), added(flat, (t + 1) * EPS * (t + 2))],
          floats: [],
        }
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
