// Float64 references of the ops, as plain as they can be. Shapes as in assembly/abi.ts.
import { Activation } from '../../assembly/abi.ts'

export type Numbers = ArrayLike<number>

/** erf by its series, and the complement by a continued fraction where the series cancels: full double precision. */
export function erf(x: number): number {
  const a = Math.abs(x)
  if (a < 2.5) {
    let [term, sum] = [a, a]
    for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
      term *= (-a * a) / n
      sum += term / (2 * n + 1)
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI)
  }
  let fraction = 0
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction)
  return Math.sign(x) * (1 - Math.exp(-a * a) / ((a + fraction) * Math.sqrt(Math.PI)))
}

export function activate(kind: Activation, x: number): number {
  switch (kind) {
    case Activation.Gelu:
      return (x / 2) * (1 + erf(x / Math.SQRT2))
    case Activation.GeluTanh:
      return (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
    case Activation.QuickGelu:
      return x / (1 + Math.exp(-1.702 * x))
    case Activation.Relu:
      return Math.max(x, 0)
    case Activation.Silu:
      return x / (1 + Math.exp(-x))
    case Activation.Tanh:
      return Math.tanh(x)
    default:
      return x
  }
}

/** C [M][N] = A [M][K] B [K][N], and the sum of the products' sizes, which bounds rounding. */
export function product(a: Numbers, b: Numbers, m: number, n: number, k: number): { values: Float64Array; sizes: Float64Array } {
  const values = new Float64Array(m * n)
  const sizes = new Float64Array(m * n)
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let l = 0; l < k; l++) {
        const term = a[i * k + l]! * b[l * n + j]!
        values[i * n + j]! += term
        sizes[i * n + j]! += Math.abs(term)
      }
    }
  }
  return { values, sizes }
}

export function transpose(x: Numbers, rows: number, columns: number): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!)
}

export function softmaxRow(x: Numbers): Float64Array {
  const values = Float64Array.from(x)
  const most = Math.max(...values)
  const e = values.map((value) => Math.exp(value - most))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((value) => value / sum)
}

export function layerNormRow(x: Numbers, gamma: Numbers, beta: Numbers, eps: number): { y: Float64Array; mean: number; inverse: number } {
  const values = Float64Array.from(x)
  const mean = values.reduce((a, b) => a + b, 0) / x.length
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length
  const inverse = 1 / Math.sqrt(variance + eps)
  return { y: values.map((value, j) => (value - mean) * inverse * gamma[j]! + beta[j]!), mean, inverse }
}

/** Gradient of sum(dy * f(x)) by central differences: the truth that gradients are held against. Its own error is about 1e-9. */
export function finiteDifferences(f: (x: Float64Array) => Numbers, x: Numbers, dy: Numbers): Float64Array {
  const h = 1e-5
  const at = Float64Array.from(x)
  const total = (): number => Float64Array.from(f(at)).reduce((sum, y, i) => sum + y * dy[i]!, 0)
  return Float64Array.from(x, (value, i) => {
    at[i] = value + h
    const above = total()
    at[i] = value - h
    const below = total()
    at[i] = value
    return (above - below) / (2 * h)
  })
}
