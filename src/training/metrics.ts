// How good predictions are: what compute_metrics is made of.
import type { Tensor } from '../models/tensor.ts'
import type { ComputeMetrics } from './evaluation.ts'
import { IGNORED } from './masking.ts'

/**
 * For compute_metrics of heads that choose a class for each text, or each token; labels of -100 do not count. See classMetrics().
 *
 *     new Trainer({ model, args, train_dataset, eval_dataset, compute_metrics: classificationMetrics })
 */
export const classificationMetrics: ComputeMetrics = ({ predictions, label_ids }) => {
  const { data, dims } = predictions as Tensor
  const classes = dims.at(-1)!
  const [found, wanted] = [argmax(data, classes), Array.from((label_ids as Tensor).data, Number)]
  const counts = (_: number, i: number): boolean => wanted[i] !== IGNORED
  return classMetrics(found.filter(counts), wanted.filter(counts), classes)
}

/** For compute_metrics of a head with one score for each text. See scoreMetrics(). */
export const regressionMetrics: ComputeMetrics = ({ predictions, label_ids }) =>
  scoreMetrics(Array.from((predictions as Tensor).data), Array.from((label_ids as Tensor).data, Number))

/** The column of each row's greatest score; the first of equals. */
export function argmax(scores: ArrayLike<number>, width: number): number[] {
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
function pearson(a: readonly number[], b: readonly number[]): number {
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
