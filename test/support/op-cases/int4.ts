// Products with weights in 4 bits, against whole numbers of TypeScript and f32 steps by Math.fround, to the bit.
import { Activation, Op } from '../../../assembly/abi.ts'
import { panel4Words, SPAN } from '../../../src/graph/tensor.ts'
import type { OpCase } from './case.ts'
import { floats, ints, read, seeded, toBlocks } from './case.ts'
import { quantizeRow, toRows7, type Row7 } from './int8.ts'

const { fround } = Math

interface Matrix {
  readonly n: number
  readonly k: number
  /** Of -8..7, by rows. */
  readonly q: Int8Array
  /** Of each row's groups. */
  readonly scales: Float32Array
}

const scaleAt = ({ k, scales }: Matrix, row: number, group: number): number => scales[(row * k) / SPAN + group]!

/** The sum of `of` over each group of a row, times its scale, added in the groups' order. */
function sumGroups(w: Matrix, row: number, of: (column: number, q: number) => number): number {
  let total = 0
  for (let g = 0; g < w.k / SPAN; g++) {
    let sum = 0
    for (let j = g * SPAN; j < (g + 1) * SPAN; j++) sum += of(j, w.q[row * w.k + j]!)
    total = fround(total + fround(fround(sum) * scaleAt(w, row, g)))
  }
  return total
}

/** As kernels/int4.ts says. */
function toPanel4(w: Matrix): Int32Array {
  const { n, k, q } = w
  const words = new Int32Array(panel4Words(n, k))
  const [asFloats, bytes] = [new Float32Array(words.buffer), new Uint8Array(words.buffer)]
  for (let row = 0; row < Math.ceil(n / 8) * 8; row++) {
    const lane = row % 8
    const panel = panel4Words(row - lane, k)
    if (row < n) asFloats[panel + lane] = sumGroups(w, row, (_, each) => each)
    for (let j = 0; j < k; j++) {
      const group = panel + 8 + Math.floor(j / SPAN) * (8 + SPAN)
      const at = (group + 8) * 4 + Math.floor((j % SPAN) / 4) * 16 + (lane % 4) * 4 + (j % 4)
      if (row >= n) continue
      asFloats[group + lane] = scaleAt(w, row, Math.floor(j / SPAN))
      bytes[at]! |= (q[row * k + j]! + 8) << (lane < 4 ? 0 : 4)
    }
  }
  return words
}

function gemmInt4(a: readonly Row7[], w: Matrix, bias: Float32Array | null): Float32Array {
  return Float32Array.from({ length: a.length * w.n }, (_, i) => {
    const [{ step, least, q }, row] = [a[Math.floor(i / w.n)]!, i % w.n]
    const sum = sumGroups(w, row, (j, each) => q[j]! * each)
    const total = sumGroups(w, row, (_, each) => each)
    const x = fround(fround(step * sum) + fround(least * total))
    return x + (bias ? bias[row]! : 0)
  })
}

export function* int4Products(): Generator<OpCase> {
  for (const [m, n, k, bw, kind, hasBias] of [
    [1, 8, 32, 8, Activation.None, true],
    [1, 1, 64, 1, Activation.None, false],
    [5, 7, 96, 7, Activation.Relu, true],
    [97, 72, 64, 72, Activation.None, true], // more than a block and a group of panels
    [3, 9, 1600, 9, Activation.None, true], // more than a piece
    [19, 30, 32, 10, Activation.None, true],
    [9, 24, 800, 12, Activation.Relu, true],
  ] as const) {
    seeded(m * 1000 + n * 10 + k)
    const a = Array.from({ length: m }, () => quantizeRow(floats(k, 2, 0.5)))
    const w = { n, k, q: Int8Array.from(ints(n * k, 16), (x) => x - 8), scales: floats((n * k) / SPAN, 0.001, 0.01) }
    const bias = hasBias ? floats(n) : null
    const exact = gemmInt4(a, w, bias)
    const values = toBlocks(kind === Activation.Relu ? exact.map((x) => Math.max(x, 0)) : exact, m, n, bw, 0)
    yield {
      name: `int4 gemm ${m}x${n}x${k} in blocks of ${bw}, activation ${kind}`,
      op: Op.GemmInt4,
      mode: kind,
      dims: [m, n, k, bw],
      operands: [
        read(toRows7(a, k)),
        read(toPanel4(w)),
        bias && read(bias),
        { initial: new Float32Array(values.length), expected: { values, tolerance: 0 } },
      ],
      floats: [],
    }
  }
}
