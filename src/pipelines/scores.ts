// Raw scores to probabilities and ranks, in float64: the same bits on every engine, which Math.exp does not promise.
import { exp } from '../models/exact-math.ts'

export function softmax(scores: ArrayLike<number>): Float64Array {
  let [most, sum] = [-Infinity, 0]
  for (let i = 0; i < scores.length; i++) most = Math.max(most, scores[i]!)
  const result = new Float64Array(scores.length)
  for (let i = 0; i < scores.length; i++) sum += result[i] = exp(scores[i]! - most)
  return result.map((x) => x / sum)
}

export const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)))

export const tanh = (x: number): number => 2 * sigmoid(2 * x) - 1

/** Places of the `count` largest, largest first; the earlier of equal ones first. */
export function top(scores: ArrayLike<number>, count: number): number[] {
  const order = (a: number, b: number): number => scores[b]! - scores[a]! || a - b
  if (count > 64 || count >= scores.length)
    return Array.from({ length: scores.length }, (_, i) => i)
      .sort(order)
      .slice(0, count)
  const best: number[] = []
  for (let i = 0; i < scores.length; i++) {
    if (best.length === count && !(scores[i]! > scores[best.at(-1)!]!)) continue
    let at = best.length
    while (at > 0 && scores[i]! > scores[best[at - 1]!]!) at--
    best.splice(at, 0, i)
    if (best.length > count) best.pop()
  }
  return best
}

export function argmax(scores: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i
  return best
}
