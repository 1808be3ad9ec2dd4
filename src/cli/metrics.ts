// How good predictions are.

/** The column of each row's greatest score; the first of equals. */
export function best(scores: ArrayLike<number>, width: number): number[] {
  return Array.from({ length: scores.length / width }, (_, row) => {
    let most = 0
    for (let i = 1; i < width; i++) if (scores[row * width + i]! > scores[row * width + most]!) most = i
    return most
  })
}

/** Of classes: the share that is right; F1 of class 1 of two, else the mean of all classes' F1; Matthews' correlation, for any number of classes. */
export function classMetrics(found: readonly number[], wanted: readonly number[], classes: number): Record<string, number> {
  const [hits, predicted, actual] = [0, 1, 2].map(() => new Array<number>(classes).fill(0)) as [number[], number[], number[]]
  wanted.forEach((label, i) => {
    actual[label]!++
    predicted[found[i]!]!++
    if (found[i] === label) hits[label]!++
  })
  const n = wanted.length
  const right = sum(hits)
  const f1 = hits.map((hit, k) => (hit === 0 ? 0 : (2 * hit) / (predicted[k]! + actual[k]!)))
  const seen = f1.filter((_, k) => predicted[k]! + actual[k]! > 0)
  // Gorodkin's R_K: for two classes it is the usual coefficient; 0 where a row or column of the confusion matrix holds everything.
  const cross = (a: readonly number[], b: readonly number[]): number => sum(a.map((x, k) => x * b[k]!))
  const spread = Math.sqrt((n * n - cross(predicted, predicted)) * (n * n - cross(actual, actual)))
  return {
    accuracy: right / n,
    f1: classes === 2 ? f1[1]! : sum(seen) / seen.length,
    matthews_correlation: spread === 0 ? 0 : (right * n - cross(predicted, actual)) / spread,
  }
}

/** Of scores: Pearson's and Spearman's correlation, and the mean squared error. */
export function scoreMetrics(found: readonly number[], wanted: readonly number[]): Record<string, number> {
  return {
    pearson: pearson(found, wanted),
    spearman: pearson(ranks(found), ranks(wanted)),
    mse: sum(found.map((x, i) => (x - wanted[i]!) * (x - wanted[i]!))) / found.length,
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0)

/** 0 where one side does not vary. */
export function pearson(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [sum(a) / a.length, sum(b) / b.length]
  let [ab, aa, bb] = [0, 0, 0]
  a.forEach((x, i) => {
    const [dx, dy] = [x - meanA, b[i]! - meanB]
    ab += dx * dy
    aa += dx * dx
    bb += dy * dy
  })
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb)
}

/** Places from 1; equal values share the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!)
  const places = new Array<number>(values.length)
  for (let first = 0; first < order.length;) {
    let end = first + 1
    while (end < order.length && values[order[end]!] === values[order[first]!]) end++
    for (let i = first; i < end; i++) places[order[i]!] = (first + 1 + end) / 2
    first = end
  }
  return places
}
