// What is measured of tasks: against golden values of scipy, scikit-learn and seqeval, and SQuAD's rules in a table of cases.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  answerF1,
  entitiesOf,
  entityMetrics,
  exactMatch,
  normalizeAnswer,
  squadMetrics,
  squadV2Metrics,
  type TagScheme,
} from '../src/data.ts'
import { classMetrics, scoreMetrics } from '../src/training.ts'

interface Golden {
  classes: { classes: number; found: number[]; wanted: number[]; accuracy: number; f1: number; matthews_correlation: number }[]
  scores: { found: number[]; wanted: number[]; pearson: number; spearman: number; mse: number }[]
  normalised: [string, string][]
  tags: { scheme: TagScheme | null; gold: string[][]; found: string[][]; precision: number; types: Record<string, unknown> }[]
}
const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, 'golden/metrics.json'), 'utf8')) as Golden

/** Sums of at most n terms of double precision, in any order. */
const close = (wanted: Record<string, number>, n: number) =>
  Object.fromEntries(
    Object.entries(wanted).map(([name, value]) => [
      name,
      expect.closeTo(value, -Math.log10(8 * n * Number.EPSILON * Math.max(1, value))) as number,
    ]),
  )

describe('golden metrics', () => {
  it.each(golden.classes.map((each, i) => [i, each] as const))('of classes, case %i', (_, { classes, found, wanted, ...values }) => {
    expect(classMetrics(found, wanted, classes)).toEqual(close(values, wanted.length))
  })

  it.each(golden.scores.map((each, i) => [i, each] as const))('of scores, case %i', (_, { found, wanted, ...values }) => {
    expect(scoreMetrics(found, wanted)).toEqual(close(values, wanted.length))
  })

  it.each(golden.tags.map((each, i) => [i, each.scheme, each] as const))('of tags, case %i %s', (_, scheme, { gold, found, ...values }) => {
    const { types, scheme: __, ...totals } = values as unknown as { types: Record<string, Record<string, number>>; scheme: unknown }
    const { support, ...metrics } = entityMetrics(gold, found, scheme === null ? {} : { mode: 'strict', scheme })
    expect(metrics).toEqual({
      ...close(totals as unknown as Record<string, number>, 1),
      types: Object.fromEntries(Object.entries(types).map(([name, each]) => [name, close(each, 1)])),
    })
    expect(support).toBe(Object.values(types).reduce((sum, each) => sum + each.support!, 0))
  })

  it('know both ways to count', () => {
    // I- after O begins an entity by conlleval, and none strictly.
    expect(entitiesOf(['O', 'I-PER', 'I-LOC'])).toEqual([
      { type: 'PER', start: 1, end: 2 },
      { type: 'LOC', start: 2, end: 3 },
    ])
    expect(entitiesOf(['O', 'I-PER', 'B-LOC', 'I-LOC'], { mode: 'strict' })).toEqual([{ type: 'LOC', start: 2, end: 4 }])
    expect(() => entityMetrics([['O', 'O']], [['O']])).toThrow('found[0]: expected 2 tags, as many as gold has, got 1')
    expect(() => entityMetrics([['O']], [])).toThrow('found: expected 1 sentences')
  })
})

describe("SQuAD's rules", () => {
  it.each([
    ['lower case', 'The CAT', 'cat'],
    ['articles, as words alone', 'a theory of an answer', 'theory of answer'],
    ['articles after punctuation is gone', 'the-cat', 'thecat'],
    ['an article between signs', '"The" (cat)', 'cat'],
    ['a letter of another script is of the word', 'ça va', 'ça va'],
    ['a number is of the word', 'a1 a 1a', 'a1 1a'],
    ['_ is punctuation', 'a_b', 'ab'],
    ['a mark that combines is of no word', 'a\u0301', '\u0301'],
    ['punctuation of ASCII alone', "it's “so” — 5.5%!", 'its “so” — 55'],
    ['white space of Unicode', 'x\u00a0y\u3000z\u2028w\u001fv\u0085u', 'x y z w v u'],
    ['not the byte order mark, nor the zero-width space', 'x\ufeffy\u200bz', 'x\ufeffy\u200bz'],
    ['nothing is left', 'The...', ''],
  ])('%s', (_, text, normal) => {
    expect(normalizeAnswer(text)).toBe(normal)
  })

  it('normalises as Python does, letters of all scripts, white space and all', () => {
    expect(golden.normalised.length).toBeGreaterThan(200)
    expect(golden.normalised.map(([text]) => normalizeAnswer(text))).toEqual(golden.normalised.map(([, normal]) => normal))
  })

  it.each([
    // found, gold, exact, F1 of v1.1, F1 of v2.0
    ['the Denver Broncos', 'Denver Broncos!', 1, 1, 1],
    ['Denver', 'Denver Broncos', 0, 2 / 3, 2 / 3],
    ['cat cat dog', 'cat dog dog', 0, 2 / 3, 2 / 3],
    ['cat', 'dog', 0, 0, 0],
    ['', 'dog', 0, 0, 0],
    ['', '', 1, 0, 1],
    ['the', 'A', 1, 0, 1],
    ['a dog', '', 0, 0, 0],
  ])('%j for %j', (found, gold, exact, f1, f1v2) => {
    expect(exactMatch(found, gold)).toBe(exact)
    expect(answerF1(found, gold)).toBeCloseTo(f1, 15)
    expect(answerF1(found, gold, 2)).toBeCloseTo(f1v2, 15)
  })

  const golds = [
    { id: 'several', answers: [{ text: 'one' }, { text: 'two three' }] },
    { id: 'half', answers: [{ text: 'four five' }] },
    { id: 'missing', answers: [{ text: 'six' }] },
    { id: 'wrong', answers: [{ text: 'seven' }] },
  ]

  it('v1.1 takes the best of several golds, and 0 for what is missing', () => {
    expect(squadMetrics(golds, { several: 'two three', half: 'five', wrong: 'eight' })).toEqual({
      exact_match: 25,
      f1: expect.closeTo((100 * (1 + 2 / 3)) / 4, 12) as number,
    })
    expect(() => squadMetrics([{ id: 'x', answers: [] }], { x: '' })).toThrow(/question x: expected answers.*version_2_with_negative/)
  })

  const v2 = [
    { id: 'a', answers: [{ text: 'one' }] },
    { id: 'b', answers: [{ text: 'two three' }] },
    { id: 'none', answers: [] },
    { id: 'none, too', answers: [] },
    { id: 'dropped', answers: [{ text: 'the' }, { text: 'cat' }] },
  ]

  it('v2.0 leaves out what is missing, and tells questions with and without answer apart', () => {
    const found = { a: 'one', b: 'two', none: '', 'none, too': 'x' }
    expect(squadV2Metrics(v2, found)).toEqual({
      exact: 50,
      f1: expect.closeTo((100 * (1 + 2 / 3 + 1)) / 4, 12) as number,
      total: 4,
      HasAns_exact: 50,
      HasAns_f1: expect.closeTo((100 * (1 + 2 / 3)) / 2, 12) as number,
      HasAns_total: 2,
      NoAns_exact: 50,
      NoAns_f1: 50,
      NoAns_total: 2,
    })
    // A gold that is an article alone is no gold.
    expect(squadV2Metrics(v2, { dropped: 'a' })).toMatchObject({ exact: 0, total: 1 })
  })

  it('v2.0 finds the best thresholds', () => {
    const found = { a: 'one', b: 'two', none: 'x', 'none, too': 'y', dropped: 'cat' }
    const odds = { a: -3, b: -1, none: 0, 'none, too': 2, dropped: -2 }
    // Without answers 2 of 5 are right; a adds 1, dropped 1, b 0 to exact and 2/3 to F1, then none takes 1.
    expect(squadV2Metrics(v2, found, odds)).toMatchObject({
      exact: 40,
      best_exact: 80,
      best_exact_thresh: -2,
      best_f1: expect.closeTo((100 * (4 + 2 / 3)) / 5, 12) as number,
      best_f1_thresh: -1,
    })
    expect(squadV2Metrics(v2, found, odds, -1)).toMatchObject({ exact: 80, NoAns_exact: 100 })
    expect(squadV2Metrics(v2, { ...found, a: 'z', b: 'z', dropped: 'z' }, odds)).toMatchObject({ best_exact: 40, best_exact_thresh: 0 })
  })
})
