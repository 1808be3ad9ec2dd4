// Losses on sentence embeddings, by the names and formulas of sentence-transformers 5 (sentence_transformers/losses). Each looks at all examples of
// a step at once: E [n * columns][H], the texts of an example one after the other.
import { ElementLoss, Pair } from '../../assembly/abi.ts'
import type { Inputs } from '../engine/engine.ts'
import { checkOptions, expected, flagOf, oneOf, Words } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { crossEntropy, elementLoss, spanCrossEntropy } from '../graph/losses.ts'
import { add, gather, linear, normalize } from '../graph/ops.ts'
import { pairwise } from '../graph/pairs.ts'
import { SELECTED, SEQUENCES, SQUARES, type Tensor } from '../graph/tensor.ts'

/** Anchor and positive, and any number of hard negatives: the positive is to be nearer than every other candidate of the step. */
export interface MultipleNegativesRankingLoss {
  readonly name: 'MultipleNegativesRankingLoss'
  /** 20: what similarities are multiplied by. */
  readonly scale?: number
  /** 'cos_sim'; 'dot_score' leaves lengths as they are and wants scale 1. */
  readonly similarity_fct?: 'cos_sim' | 'dot_score'
  /** False. Else also from each positive to the anchors, and the mean of both: directions query_to_doc and doc_to_query, each with a softmax of its own. */
  readonly symmetric?: boolean
}

/** Two texts and a number: pairs are to have cosines in the order of their labels. */
export interface CoSENTLoss {
  readonly name: 'CoSENTLoss'
  /** 20. */
  readonly scale?: number
}

/** Two texts and a number: the mean of the squares of cosine - label. */
export interface CosineSimilarityLoss {
  readonly name: 'CosineSimilarityLoss'
}

/** Anchor, positive and negative: max(0, d(anchor, positive) - d(anchor, negative) + margin). */
export interface TripletLoss {
  readonly name: 'TripletLoss'
  /** 'euclidean'. */
  readonly distance_metric?: 'euclidean' | 'manhattan' | 'cosine'
  /** 5. */
  readonly triplet_margin?: number
}

export type SentenceLoss = MultipleNegativesRankingLoss | CoSENTLoss | CosineSimilarityLoss | TripletLoss
export type SentenceLossName = SentenceLoss['name']

/** What a loss is in the graph. */
export interface LossPlan {
  readonly name: SentenceLossName
  /** What tells it from others. */
  readonly key: string
  /** Texts of an example, at least and at most. */
  readonly columns: readonly [number, number]
  readonly labels: boolean
  /** Comparisons between examples: the size of what is as long as there are such. */
  comparisons(labels: Float32Array | undefined): number
  build(g: Graph, at: LossSite): void
  /** Inputs beside the embeddings and the columns' rows. */
  inputs(examples: number, labels: Float32Array | undefined): Inputs
}

export interface LossSite {
  /** [n][H] of a column; of unit length if asked for. */
  column(index: number, unit: boolean): Tensor
  /** [n * (columns - 1)][H]: all but the anchors, column after column. */
  candidates(unit: boolean): Tensor
  readonly total: Tensor
}

type Settings = Readonly<Record<string, unknown>>

const DEFAULTS: Readonly<Record<SentenceLossName, Settings>> = {
  MultipleNegativesRankingLoss: { scale: 20, similarity_fct: 'cos_sim', symmetric: false },
  CoSENTLoss: { scale: 20 },
  CosineSimilarityLoss: {},
  TripletLoss: { distance_metric: 'euclidean', triplet_margin: 5 },
}

/** A loss by its name, or by its name and settings. */
export function lossPlan(given: SentenceLossName | SentenceLoss): LossPlan {
  const { name, ...own } = typeof given === 'string' ? { name: given } : (given ?? {})
  const known = Object.keys(DEFAULTS)
  oneOf<unknown>('loss', name ?? given, known, `one of ${known.join(', ')}, or { name, ... }`)
  checkOptions(name, own, Object.keys(DEFAULTS[name]))
  const settings = { ...DEFAULTS[name], ...own }
  const key = [name, ...Object.values(settings)].join(' ')
  switch (name) {
    case 'MultipleNegativesRankingLoss':
      return { name, key, ...ranking(settings as Required<MultipleNegativesRankingLoss>) }
    case 'CoSENTLoss':
      return { name, key, ...coSENT(settings as Required<CoSENTLoss>) }
    case 'CosineSimilarityLoss':
      return { name, key, ...cosine() }
    default:
      return { name, key, ...triplet(settings as Required<TripletLoss>) }
  }
}

type Rest = Omit<LossPlan, 'name' | 'key'>

const NO_COMPARISONS = (): number => 1
const scaleOf = (examples: number, share = 1): Float32Array => Float32Array.of(share / examples)

function ranking({ scale, similarity_fct, symmetric }: Required<MultipleNegativesRankingLoss>): Rest {
  positive('scale', scale)
  oneOf('similarity_fct', similarity_fct, ['cos_sim', 'dot_score'])
  flagOf('symmetric', symmetric)
  const unit = similarity_fct === 'cos_sim'
  return {
    columns: [2, Infinity],
    labels: false,
    comparisons: NO_COMPARISONS,
    build: (g, { column, candidates, total }) => {
      const [share, own] = [g.input('scale', [1], 'f32'), g.input('own', [SEQUENCES])]
      const anchors = column(0, unit)
      crossEntropy(g, linear(g, anchors, candidates(unit), null, { scale }), own, share, total)
      if (symmetric) crossEntropy(g, linear(g, column(1, unit), anchors, null, { scale }), own, share, total)
    },
    inputs: (examples) => ({
      scale: scaleOf(examples, symmetric ? 0.5 : 1),
      own: Int32Array.from({ length: examples }, (_, i) => i),
    }),
  }
}

/** log(1 + the sum of exp(s_i - s_j) over pairs whose labels are in the other order): a cross-entropy whose first logit is s_0 - s_0. */
function coSENT({ scale }: Required<CoSENTLoss>): Rest {
  positive('scale', scale)
  const orders = (labels: Float32Array): [number[], number[]] => {
    const [low, high] = [[0], [0]]
    labels.forEach((less, i) => labels.forEach((more, j) => less < more && low.push(i) && high.push(j)))
    return [low, high]
  }
  return {
    columns: [2, 2],
    labels: true,
    comparisons: (labels) => orders(labels!)[0].length,
    build: (g, { column, total }) => {
      const [a, b] = [column(0, true), column(1, true)]
      const [low, high] = [g.input('low', [SQUARES]), g.input('high', [SQUARES])]
      const s = gather(g, pairwise(g, Pair.Dot, a, b, { scale }), low)
      const differences = add(g, s, gather(g, pairwise(g, Pair.Dot, a, b, { scale: -scale }), high))
      const [starts, ends, labels] = ['starts', 'ends', 'first'].map((name) => g.input(name, [1]))
      spanCrossEntropy(g, differences, 0, { starts: starts!, ends: ends!, labels: labels! }, g.input('scale', [1], 'f32'), total)
    },
    inputs: (_, labels) => {
      const [low, high] = orders(labels!)
      const zero = Int32Array.of(0)
      const rows = { low: Int32Array.from(low), high: Int32Array.from(high) }
      return { ...rows, starts: zero, ends: Int32Array.of(low.length), first: zero, scale: scaleOf(1) }
    },
  }
}

function cosine(): Rest {
  return {
    columns: [2, 2],
    labels: true,
    comparisons: NO_COMPARISONS,
    build: (g, { column, total }) => {
      const wanted = g.input('labels', [SEQUENCES, 1], 'f32')
      const cosines = pairwise(g, Pair.Dot, column(0, true), column(1, true))
      elementLoss(g, ElementLoss.Squared, cosines, wanted, g.input('scale', [1], 'f32'), total)
    },
    inputs: (examples, labels) => ({ labels: labels!, scale: scaleOf(examples) }),
  }
}

const METRICS = {
  euclidean: [Pair.Euclidean, 1],
  manhattan: [Pair.Manhattan, 1],
  // 1 - cosine: the ones cancel.
  cosine: [Pair.Dot, -1],
} as const

function triplet({ distance_metric, triplet_margin }: Required<TripletLoss>): Rest {
  positive('triplet_margin', triplet_margin)
  const [kind, sign] = METRICS[oneOf('distance_metric', distance_metric, Object.keys(METRICS) as (keyof typeof METRICS)[])]
  const unit = distance_metric === 'cosine'
  return {
    columns: [3, 3],
    labels: false,
    comparisons: NO_COMPARISONS,
    build: (g, { column, total }) => {
      const [anchor, near, far] = [column(0, unit), column(1, unit), column(2, unit)]
      const closer = pairwise(g, kind, anchor, near, { scale: sign })
      const difference = add(g, closer, pairwise(g, kind, anchor, far, { scale: -sign }))
      elementLoss(g, ElementLoss.Hinge, difference, g.input('margin', [SEQUENCES, 1], 'f32'), g.input('scale', [1], 'f32'), total)
    },
    inputs: (examples) => ({ margin: new Float32Array(examples).fill(triplet_margin), scale: scaleOf(examples) }),
  }
}

function positive(name: string, value: unknown): void {
  if (!(typeof value === 'number' && value > 0 && value < Infinity)) throw expected(name, 'a number above 0', value)
}

/** The part of a loss that is the same for all: rows of columns, and lengths made 1. */
export function lossSite(
  g: Graph,
  embeddings: Tensor,
  { columns, normalize: unit }: { columns: number; normalize: boolean },
  total: Tensor,
): LossSite {
  let whole: Tensor | undefined
  const lengthOne = (): Tensor => (whole ??= normalize(g, embeddings))
  const from = (wanted: boolean): Tensor => (wanted || unit ? lengthOne() : embeddings)
  return {
    total,
    column: (index, wanted) => {
      if (index >= columns) throw expected('columns', `more than ${index}`, new Words(`${columns}`))
      return gather(g, from(wanted), g.input(`column.${index}`, [SEQUENCES]))
    },
    candidates: (wanted) => gather(g, from(wanted), g.input('candidates', [SELECTED])),
  }
}

/** Which rows of E the columns are. */
export function columnRows(examples: number, columns: number): Inputs {
  const column = (c: number): Int32Array => Int32Array.from({ length: examples }, (_, i) => i * columns + c)
  const all = Array.from({ length: columns }, (_, c) => column(c))
  const candidates = new Int32Array(examples * (columns - 1))
  all.slice(1).forEach((rows, c) => candidates.set(rows, c * examples))
  return { ...Object.fromEntries(all.map((rows, c) => [`column.${c}`, rows])), candidates }
}
