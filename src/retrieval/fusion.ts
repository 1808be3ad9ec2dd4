// One list of several that rank the same things.
import { checkOptions, expected } from '../errors.ts'

interface Ranked {
  readonly id: string | number
  readonly score: number
}

export interface FusionOptions {
  /** How much each list counts; all the same by default. */
  readonly weights?: readonly number[]
  /** Results; all by default. */
  readonly top_k?: number
}

/** Reciprocal rank fusion: the sum of weight / (k + rank), ranks from 1; k is 60 by default. Scores of the lists are not read. */
export function reciprocalRankFusion(
  lists: readonly (readonly Ranked[])[],
  options: FusionOptions & { readonly k?: number } = {},
): Ranked[] {
  checkOptions('reciprocalRankFusion', options, ['k', 'weights', 'top_k'])
  const { k = 60 } = options
  if (!(k >= 0)) throw expected('k', 'a number of 0 or more', k)
  return fused(lists, options, (list) => list.map((_, i) => 1 / (k + i + 1)))
}

/** The weighted sum of scores, those of each list stretched to 0..1 first. */
export function weightedFusion(lists: readonly (readonly Ranked[])[], options: FusionOptions = {}): Ranked[] {
  checkOptions('weightedFusion', options, ['weights', 'top_k'])
  return fused(lists, options, (list) => {
    const scores = list.map(({ score }) => score)
    const [least, most] = [Math.min(...scores), Math.max(...scores)]
    return scores.map((score) => (most > least ? (score - least) / (most - least) : 1))
  })
}

function fused(
  lists: readonly (readonly Ranked[])[],
  { weights = lists.map(() => 1), top_k = Infinity }: FusionOptions,
  scoresOf: (list: readonly Ranked[]) => number[],
): Ranked[] {
  if (weights.length !== lists.length || !weights.every((weight) => weight >= 0))
    throw expected('weights', `${lists.length} numbers of 0 or more, one for each list`, weights)
  const sums = new Map<string | number, number>()
  lists.forEach((list, l) => {
    const scores = scoresOf(list)
    list.forEach(({ id }, i) => sums.set(id, (sums.get(id) ?? 0) + weights[l]! * scores[i]!))
  })
  // Of equal ones the first that any list had stays first.
  return [...sums]
    .map(([id, score]) => ({ id, score }))
    .sort((a, b) => b.score - a.score)
    .slice(0, top_k)
}
