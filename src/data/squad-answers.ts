// What a model says of windows, as answers to questions: google-research/bert's rules, on exact places in the text.
import { checkOptions, expected } from '../errors.ts'
import type { ComputeMetrics, EvalPrediction } from '../training/evaluation.ts'
import type { SquadFeatures, SquadWindow } from './squad-features.ts'
import { squadMetrics, squadV2Metrics } from './squad-metrics.ts'

export interface SquadAnswerOptions {
  /** 20: likeliest starts and ends that are looked at, and answers that are kept. */
  readonly n_best_size?: number
  /** 30: most tokens of an answer. */
  readonly max_answer_length?: number
  /** Whether there may be no answer, as in SQuAD v2.0. */
  readonly version_2_with_negative?: boolean
  /** 0: no answer is given where its score is better than the best answer's by more than this. */
  readonly null_score_diff_threshold?: number
}

export interface SquadCandidate {
  readonly text: string
  /** Of the answers that are kept; they sum to 1. */
  readonly probability: number
  readonly start_logit: number
  readonly end_logit: number
}

export interface SquadPrediction {
  readonly id: string
  /** '' is no answer. */
  readonly text: string
  /** Where the text stands in the context; undefined for no answer. */
  readonly start: number | undefined
  /** The best first. */
  readonly n_best: readonly SquadCandidate[]
  /** v2.0: the score of no answer less that of the best answer. */
  readonly null_odds: number | undefined
}

const OPTIONS = ['n_best_size', 'max_answer_length', 'version_2_with_negative', 'null_score_diff_threshold']

interface Candidate {
  readonly start_logit: number
  readonly end_logit: number
  /** In the context; -1 for no answer. */
  readonly from: number
  readonly to: number
}

/** Logits of a model for all windows, [N, L]; what is beyond a window's tokens is not looked at. */
export interface SquadLogits {
  readonly start_logits: { readonly data: ArrayLike<number>; readonly dims: readonly number[] }
  readonly end_logits: { readonly data: ArrayLike<number>; readonly dims: readonly number[] }
}

/** An answer to every question. */
export function squadAnswers(features: SquadFeatures, logits: SquadLogits, options: SquadAnswerOptions = {}): SquadPrediction[] {
  checkOptions('squadAnswers', options, OPTIONS)
  const { n_best_size: most = 20, max_answer_length: longest = 30, version_2_with_negative: v2 = false } = options
  for (const [name, value] of Object.entries({ n_best_size: most, max_answer_length: longest }))
    if (!Number.isInteger(value) || value < 1) throw expected(name, 'a whole number of 1 or more', value)
  const { windows, questions } = features
  const [rows, width] = logits.start_logits.dims
  if (rows !== windows.length) throw expected('logits', `rows for ${windows.length} windows`, rows)
  const of = questions.map((): { candidates: Candidate[]; none: Candidate } => ({
    candidates: [],
    none: { start_logit: Infinity, end_logit: Infinity, from: -1, to: -1 },
  }))
  windows.forEach((window, i) => {
    const [starts, ends] = [logits.start_logits, logits.end_logits].map(({ data }) =>
      Array.from(window.input_ids, (_, t) => data[i * width! + t]!),
    ) as [number[], number[]]
    const entry = of[window.question]!
    entry.candidates.push(...spans(window, starts, ends, most, longest))
    if (starts[0]! + ends[0]! < entry.none.start_logit + entry.none.end_logit)
      entry.none = { start_logit: starts[0]!, end_logit: ends[0]!, from: -1, to: -1 }
  })
  return questions.map(({ id, context }, i) => answer(id, context, of[i]!, { most, v2, threshold: options.null_score_diff_threshold ?? 0 }))
}

/** Starts and ends that may be an answer's in this window. */
function spans({ offsets, best }: SquadWindow, starts: number[], ends: number[], most: number, longest: number): Candidate[] {
  const found: Candidate[] = []
  const likeliestEnds = likeliest(ends, most)
  for (const first of likeliest(starts, most)) {
    if (offsets[2 * first]! < 0 || best[first] === 0) continue
    for (const last of likeliestEnds) {
      if (offsets[2 * last]! < 0 || last < first || last - first + 1 > longest) continue
      found.push({ start_logit: starts[first]!, end_logit: ends[last]!, from: offsets[2 * first]!, to: offsets[2 * last + 1]! })
    }
  }
  return found
}

const likeliest = (logits: readonly number[], most: number): number[] =>
  logits
    .map((_, t) => t)
    .sort((a, b) => logits[b]! - logits[a]!)
    .slice(0, most)

function answer(
  id: string,
  context: string,
  { candidates, none }: { candidates: Candidate[]; none: Candidate },
  { most, v2, threshold }: { most: number; v2: boolean; threshold: number },
): SquadPrediction {
  const score = ({ start_logit, end_logit }: Candidate): number => start_logit + end_logit
  const sorted = [...candidates, ...(v2 ? [none] : [])].sort((a, b) => score(b) - score(a))
  const kept = new Map<string, Candidate>()
  for (const candidate of sorted) {
    if (kept.size >= most) break
    const text = context.slice(candidate.from, candidate.to)
    if (!kept.has(candidate.from < 0 ? '' : text)) kept.set(candidate.from < 0 ? '' : text, candidate)
  }
  if (v2 && !kept.has('')) kept.set('', none)
  const list = [...kept]
  const real = list.find(([, { from }]) => from >= 0)
  const powers = list.map(([, candidate]) => Math.exp(score(candidate) - score(list[0]![1])))
  const total = powers.reduce((sum, x) => sum + x, 0)
  const n_best = list.map(([text, { start_logit, end_logit }], i) => ({ text, probability: powers[i]! / total, start_logit, end_logit }))
  // Without any span that may be, the official code says "empty", which is no answer's text.
  if (real === undefined) return { id, text: v2 ? '' : 'empty', start: undefined, n_best, null_odds: v2 ? 0 : undefined }
  const null_odds = v2 ? score(none) - score(real[1]) : undefined
  const silent = null_odds !== undefined && null_odds > threshold
  return { id, text: silent ? '' : real[0], start: silent ? undefined : real[1].from, n_best, null_odds }
}

/** Exact match and F1 of a Trainer's evaluations, by the official rules: windows become answers to their questions first. */
export function squadComputeMetrics(features: SquadFeatures, options: SquadAnswerOptions = {}): ComputeMetrics {
  return ({ predictions }: EvalPrediction) => {
    const answers = squadAnswers(features, predictions as unknown as SquadLogits, options)
    const said = Object.fromEntries(answers.map(({ id, text }) => [id, text]))
    if (!options.version_2_with_negative) return { ...squadMetrics(features.questions, said) }
    const odds = Object.fromEntries(answers.map(({ id, null_odds }) => [id, null_odds!]))
    const { total: _, ...metrics } = squadV2Metrics(features.questions, said, odds)
    return metrics
  }
}
