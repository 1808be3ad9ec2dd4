// Metrics for compute_metrics, against their definitions.
import { describe, expect, it } from 'vitest'
import { Tensor } from '../src/index.node.ts'
import { classificationMetrics, classMetrics, regressionMetrics, scoreMetrics } from '../src/training.ts'

describe('metrics', () => {
  it('are those of the definitions', () => {
    // Confusion matrix [[2, 1], [1, 4]]: (2 * 4 - 1 * 1) / sqrt(3 * 5 * 3 * 5).
    const [wanted, found] = [
      [0, 0, 0, 1, 1, 1, 1, 1],
      [0, 0, 1, 0, 1, 1, 1, 1],
    ]
    expect(classMetrics(found, wanted, 2)).toEqual({
      accuracy: 0.75,
      f1: 0.8,
      matthews_correlation: expect.closeTo(7 / 15, 12) as number,
    })
    expect(classMetrics([1, 1], [0, 1], 2).matthews_correlation).toBe(0)
    // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    const { pearson, spearman, mse } = scoreMetrics([1, 2, 2, 10], [1, 2, 3, 4])
    expect(spearman).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12)
    expect(pearson).toBeCloseTo(13.5 / Math.sqrt(52.75 * 5), 12)
    expect(mse).toBe(37 / 4)
  })

  it('of a Trainer take scores and labels, and leave out labels of -100', async () => {
    const scores = new Tensor(Float32Array.of(1, 0, 0, 1, 0, 2, 3, 3, 9, 0, -100, -100), [3, 2, 2])
    const label_ids = new Tensor(Int32Array.of(0, 1, 0, 1, 0, -100), [3, 2]) as unknown as Tensor
    // Found 0, 1, 1, 0 (the first of equals), 0; wanted 0, 1, 0, 1, 0.
    expect(await classificationMetrics({ predictions: scores, label_ids })).toEqual(classMetrics([0, 1, 1, 0, 0], [0, 1, 0, 1, 0], 2))
    expect(await classificationMetrics({ predictions: scores, label_ids })).toMatchObject({ accuracy: 0.6, f1: 0.5 })
    const [found, wanted] = [new Tensor(Float32Array.of(1, 2, 4), [3, 1]), new Tensor(Float32Array.of(1, 3, 2), [3])]
    expect(await regressionMetrics({ predictions: found, label_ids: wanted })).toEqual(scoreMetrics([1, 2, 4], [1, 3, 2]))
  })
})
