// The official evaluations of SQuAD v1.1 and v2.0: exact match and F1 of words, after normalising.
import { expected } from '../errors.ts'

/** A question's id, and the answers that count as right; none where there is no answer. */
export interface SquadGold {
  readonly id: string
  readonly answers: readonly { readonly text: string }[]
}

/** Answers by the question's id. */
export type SquadPredictions = Readonly<Record<string, string>>

/** string.punctuation of Python. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g
/** `\b(a|an|the)\b` of Python's re: letters, numbers and _ of any script are words. */
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu
/** What Python's str.split() takes for white space. */
// eslint-disable-next-line no-control-regex -- these count
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/

/** Lower case, no punctuation of ASCII, no articles, single spaces. */
export const normalizeAnswer = (text: string): string => answerTokens(text).join(' ')

/** The words of a normalised answer. */
export function answerTokens(text: string): string[] {
  return text
    .toLowerCase()
    .replace(PUNCTUATION, '')
    .replace(ARTICLES, ' ')
    .split(SPACES)
    .filter((word) => word !== '')
}

/** 1 where both are equal once normalised. */
export const exactMatch = (found: string, gold: string): number => Number(normalizeAnswer(found) === normalizeAnswer(gold))

/** F1 of the bags of words. v1.1: 0 without a common word. v2.0: where one has no word, 1 if both have none. */
export function answerF1(found: string, gold: string, version: 1 | 2 = 1): number {
  const [ours, theirs] = [answerTokens(found), answerTokens(gold)]
  if (version === 2 && (ours.length === 0 || theirs.length === 0)) return Number(ours.length === theirs.length)
  const left = new Map<string, number>()
  for (const word of theirs) left.set(word, (left.get(word) ?? 0) + 1)
  let same = 0
  for (const word of ours) {
    const count = left.get(word) ?? 0
    if (count === 0) continue
    left.set(word, count - 1)
    same++
  }
  if (same === 0) return 0
  const [precision, recall] = [same / ours.length, same / theirs.length]
  return (2 * precision * recall) / (precision + recall)
}

/** Of SQuAD v1.1, in percent. A question without prediction scores 0. */
export function squadMetrics(golds: readonly SquadGold[], predictions: SquadPredictions): { exact_match: number; f1: number } {
  let [exact_match, f1] = [0, 0]
  for (const { id, answers } of golds) {
    if (!Object.hasOwn(predictions, id)) continue
    const texts = answers.map(({ text }) => text)
    if (texts.length === 0)
      throw expected(
        `question ${id}`,
        'answers, as in SQuAD v1.1',
        answers,
        'Questions without answer are of v2.0: version_2_with_negative',
      )
    exact_match += Math.max(...texts.map((text) => exactMatch(predictions[id]!, text)))
    f1 += Math.max(...texts.map((text) => answerF1(predictions[id]!, text)))
  }
  return { exact_match: (100 * exact_match) / golds.length, f1: (100 * f1) / golds.length }
}

export interface SquadV2Metrics {
  readonly exact: number
  readonly f1: number
  readonly total: number
  readonly HasAns_exact?: number
  readonly HasAns_f1?: number
  readonly HasAns_total?: number
  readonly NoAns_exact?: number
  readonly NoAns_f1?: number
  readonly NoAns_total?: number
  readonly best_exact?: number
  readonly best_exact_thresh?: number
  readonly best_f1?: number
  readonly best_f1_thresh?: number
  readonly [name: string]: number | undefined
}

interface Scored {
  readonly id: string
  readonly has: boolean
  readonly said: boolean
  readonly exact: number
  readonly f1: number
  readonly odds: number
}

/**
 * Of SQuAD v2.0, in percent; questions without prediction are left out.
 *
 * @param no_answer how sure the model is of no answer, by id; anything that rises with it. With it come the best values that a threshold on it gives.
 * @param threshold above it a prediction counts as no answer; by default all predictions stand as they are
 */
export function squadV2Metrics(
  golds: readonly SquadGold[],
  predictions: SquadPredictions,
  no_answer?: Readonly<Record<string, number>>,
  threshold = Infinity,
): SquadV2Metrics & Record<string, number> {
  const scored = golds.flatMap(({ id, answers }): Scored[] => {
    if (!Object.hasOwn(predictions, id)) return []
    const found = predictions[id]!
    const texts = answers.map(({ text }) => text).filter((text) => normalizeAnswer(text) !== '')
    const golds = texts.length > 0 ? texts : ['']
    const best = (score: (found: string, gold: string) => number): number => Math.max(...golds.map((gold) => score(found, gold)))
    const has = answers.length > 0 && answers[0]!.text !== ''
    const odds = no_answer?.[id] ?? 0
    return [{ id, has, said: found !== '', exact: best(exactMatch), f1: best((a, b) => answerF1(a, b, 2)), odds }]
  })
  const score = (one: Scored, name: 'exact' | 'f1'): number => (one.odds > threshold ? Number(!one.has) : one[name])
  const mean = (of: readonly Scored[], name: 'exact' | 'f1'): number =>
    (100 * of.reduce((sum, one) => sum + score(one, name), 0)) / of.length
  const part = (prefix: string, of: readonly Scored[]): Record<string, number> =>
    of.length === 0 ? {} : { [`${prefix}exact`]: mean(of, 'exact'), [`${prefix}f1`]: mean(of, 'f1'), [`${prefix}total`]: of.length }
  const metrics: Record<string, number> = {
    ...part('', scored),
    ...part(
      'HasAns_',
      scored.filter(({ has }) => has),
    ),
    ...part(
      'NoAns_',
      scored.filter(({ has }) => !has),
    ),
  }
  if (no_answer !== undefined) {
    for (const name of ['exact', 'f1'] as const) {
      const { best, at } = bestThreshold(scored, name)
      metrics[`best_${name}`] = best
      metrics[`best_${name}_thresh`] = at
    }
  }
  return metrics as SquadV2Metrics & Record<string, number>
}

/** From "no question has an answer" on, one question after another that the model is less sure of gets its own. */
function bestThreshold(scored: readonly Scored[], name: 'exact' | 'f1'): { best: number; at: number } {
  let current = scored.filter(({ has }) => !has).length
  let [best, at] = [current, 0]
  for (const one of [...scored].sort((a, b) => a.odds - b.odds)) {
    current += one.has ? one[name] : one.said ? -1 : 0
    if (current <= best) continue
    best = current
    at = one.odds
  }
  return { best: (100 * best) / scored.length, at }
}
