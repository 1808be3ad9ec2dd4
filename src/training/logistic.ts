// Multinomial logistic regression, solved: the same bits on every engine, for it is float64 with exp and log of our own.
import { exp } from '../models/exact-math.ts'

export interface LogisticProblem {
  /** [n][width]. */
  readonly rows: Float32Array
  readonly width: number
  readonly labels: ArrayLike<number>
  readonly classes: number
  /** How much the examples weigh against |W|^2 / 2: LogisticRegression's C of scikit-learn. */
  readonly C: number
}

export interface LogisticFit {
  /** [classes][width], and [classes]. */
  readonly weight: Float32Array
  readonly bias: Float32Array
  readonly iterations: number
  /** The largest entry of the gradient that is left. */
  readonly gradient: number
}

/**
 * The W and b that make C * sum of -log p(label) + |W|^2 / 2 the least, by L-BFGS. As scikit-learn's LogisticRegression(C): two classes are one vector w
 * there, which stands here as the rows -w/2 and w/2.
 */
export function logisticRegression({ rows, width, labels, classes, C }: LogisticProblem, most = 1000): LogisticFit {
  const n = labels.length
  const stride = width + 1
  // |w|^2 / 2 of one vector is twice that of its halves.
  const share = classes === 2 ? C / 2 : C
  const z = new Float64Array(classes)
  const value = (at: Float64Array, gradient: Float64Array): number => {
    let loss = 0
    gradient.fill(0)
    for (let i = 0; i < n; i++) {
      const x = i * width
      let top = -Infinity
      for (let k = 0; k < classes; k++) {
        let sum = at[k * stride + width]!
        for (let j = 0; j < width; j++) sum += at[k * stride + j]! * rows[x + j]!
        z[k] = sum
        top = Math.max(top, sum)
      }
      let total = 0
      for (let k = 0; k < classes; k++) total += exp(z[k]! - top)
      loss += share * (top + log(total) - z[labels[i]!]!)
      for (let k = 0; k < classes; k++) {
        const slope = share * (exp(z[k]! - top) / total - (labels[i] === k ? 1 : 0))
        for (let j = 0; j < width; j++) gradient[k * stride + j]! += slope * rows[x + j]!
        gradient[k * stride + width]! += slope
      }
    }
    for (let k = 0; k < classes; k++) {
      for (let j = k * stride; j < k * stride + width; j++) {
        loss += (at[j]! * at[j]!) / 2
        gradient[j]! += at[j]!
      }
    }
    return loss
  }
  const { at, iterations, gradient } = minimize(value, classes * stride, 1e-9 * Math.max(1, share * n), most)
  const weight = new Float32Array(classes * width)
  for (let k = 0; k < classes; k++) weight.set(at.subarray(k * stride, k * stride + width), k * width)
  return { weight, bias: Float32Array.from({ length: classes }, (_, k) => at[k * stride + width]!), iterations, gradient }
}

/** Steps and changes of the gradient that are remembered. */
const MEMORY = 10

type Value = (at: Float64Array, gradient: Float64Array) => number

/** L-BFGS from 0 (Nocedal and Wright, algorithms 7.4 and 7.5) with steps that are halved until they lead down enough. */
function minimize(value: Value, size: number, tolerance: number, most: number): { at: Float64Array; iterations: number; gradient: number } {
  let [at, gradient] = [new Float64Array(size), new Float64Array(size)]
  let loss = value(at, gradient)
  const past: { s: Float64Array; y: Float64Array; sy: number }[] = []
  let iterations = 0
  for (; iterations < most && largest(gradient) > tolerance; iterations++) {
    const direction = along(gradient, past)
    const slope = dot(direction, gradient)
    let [next, changed] = [new Float64Array(size), new Float64Array(size)]
    // The first step knows nothing of the scale.
    let step = past.length === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1
    let [reached, better] = [Infinity, false]
    for (; step > 1e-20 && !better; step /= 2) {
      next = at.map((x, i) => x + step * direction[i]!)
      reached = value(next, changed)
      // Where float64 tells no value from another any more, the gradient still says which place is better.
      const flat = Math.abs(reached - loss) <= 1e-13 * Math.abs(loss)
      better = reached <= loss + 1e-4 * step * slope || (flat && dot(changed, changed) < dot(gradient, gradient))
    }
    if (!better) break
    const [s, y] = [next.map((x, i) => x - at[i]!), changed.map((g, i) => g - gradient[i]!)]
    const sy = dot(s, y)
    if (sy > 0) past.push({ s, y, sy })
    if (past.length > MEMORY) past.shift()
    ;[at, gradient, changed, loss] = [next, changed, gradient, reached]
  }
  return { at, iterations, gradient: largest(gradient) }
}

/** Minus the inverse Hessian, as the past tells it, times the gradient. */
function along(gradient: Float64Array, past: readonly { s: Float64Array; y: Float64Array; sy: number }[]): Float64Array {
  const q = gradient.map((g) => -g)
  const alphas: number[] = []
  for (let i = past.length - 1; i >= 0; i--) {
    const { s, y, sy } = past[i]!
    alphas[i] = dot(s, q) / sy
    for (let j = 0; j < q.length; j++) q[j]! -= alphas[i]! * y[j]!
  }
  const last = past.at(-1)
  const scale = last ? last.sy / dot(last.y, last.y) : 1
  for (let j = 0; j < q.length; j++) q[j]! *= scale
  past.forEach(({ s, y, sy }, i) => {
    const rest = alphas[i]! - dot(y, q) / sy
    for (let j = 0; j < q.length; j++) q[j]! += rest * s[j]!
  })
  return q
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

const largest = (x: Float64Array): number => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0)

/** ln x for x >= 1: x = 2^k m, and the series of atanh for m in sqrt(1/2)..sqrt(2), whose 12th term is below 2^-60. */
export function log(x: number): number {
  let k = 0
  for (; x > Math.SQRT2; k++) x /= 2
  const s = (x - 1) / (x + 1)
  const square = s * s
  let sum = 0
  for (let i = 23; i > 0; i -= 2) sum = 1 / i + square * sum
  return k * Math.LN2 + 2 * s * sum
}
