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
  const best = new Best<number>(count)
  for (let i = 0; i < scores.length; i++) best.add(i, scores[i]!)
  return best.items
}

/** The `count` items of the highest scores, highest first; the earlier of equal ones first. */
export class Best<Item> {
  readonly items: Item[] = []
  private readonly scores: number[] = []

  constructor(private readonly count: number) {}

  add(item: Item, score: number): void {
    const { items, scores, count } = this
    if (scores.length === count && !(score > scores.at(-1)!)) return
    let at = scores.length
    while (at > 0 && score > scores[at - 1]!) at--
    scores.splice(at, 0, score)
    items.splice(at, 0, item)
    scores.length = items.length = Math.min(items.length, count)
  }
}

export function argmax(scores: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i
  return best
}
