// Labelled tokens to entities, by the rules of the token classification pipeline of Hugging Face transformers.
import { argmax } from './scores.ts'

/**
 * `simple` joins neighbouring tokens of one tag. The others label words first: by the `first` piece, by the `average` of the pieces' scores,
 * or by the piece with the `max` score.
 */
export const STRATEGIES = ['none', 'simple', 'first', 'average', 'max'] as const
export type AggregationStrategy = (typeof STRATEGIES)[number]

/** A token with the scores of all labels. */
export interface Piece {
  readonly scores: Float64Array
  readonly index: number
  readonly word: string
  readonly start: number
  readonly end: number
  readonly isSubword: boolean
}

export interface TokenEntity {
  readonly entity: string
  readonly score: number
  /** The token's place, [CLS] counted. */
  readonly index: number
  /** The piece as the vocabulary has it, with `##`. */
  readonly word: string
  readonly start: number
  readonly end: number
}

export interface Entity {
  readonly entity_group: string
  readonly score: number
  readonly word: string
  readonly start: number
  readonly end: number
}

type Join = (words: readonly string[]) => string

/** The label of every token, or of every word. */
export function labelWords(
  pieces: readonly Piece[],
  strategy: AggregationStrategy,
  label: (i: number) => string,
  join: Join,
): TokenEntity[] {
  const words: Piece[][] = []
  const byWord = strategy !== 'none' && strategy !== 'simple'
  for (const piece of pieces) {
    if (byWord && piece.isSubword && words.length > 0) words.at(-1)!.push(piece)
    else words.push([piece])
  }
  return words.map((word) => {
    const scores = wordScores(word, strategy)
    const best = argmax(scores)
    const { index, start } = word[0]!
    const text = byWord ? join(word.map((piece) => piece.word)) : word[0]!.word
    return { entity: label(best), score: scores[best]!, index, word: text, start, end: word.at(-1)!.end }
  })
}

function wordScores(word: readonly Piece[], strategy: AggregationStrategy): Float64Array {
  const [first] = word as [Piece]
  if (strategy === 'average') return first.scores.map((_, i) => mean(word.map(({ scores }) => scores[i]!)))
  if (strategy === 'max') return word[argmax(word.map(({ scores }) => scores[argmax(scores)]!))]!.scores
  return first.scores
}

/** Neighbours of one tag, the second of which does not begin with B-. O is a tag like others: it keeps apart. */
export function group(tokens: readonly TokenEntity[], join: Join): Entity[] {
  const groups: TokenEntity[][] = []
  for (const token of tokens) {
    const last = groups.at(-1)
    if (last && !token.entity.startsWith('B-') && tag(last.at(-1)!.entity) === tag(token.entity)) last.push(token)
    else groups.push([token])
  }
  return groups.map((members) => ({
    entity_group: tagOf(members[0]!.entity),
    score: mean(members.map(({ score }) => score)),
    word: join(members.map(({ word }) => word)),
    start: members[0]!.start,
    end: members.at(-1)!.end,
  }))
}

/** What a group is called: its label behind the first dash. */
export const tagOf = (label: string): string => label.replace(/^[^-]*-/, '')

/** Only B- and I- are prefixes; any other label is a tag as a whole. */
const tag = (label: string): string => label.replace(/^[BI]-/, '')

/** Of entities that overlap the longer one, then the one with the higher score. */
export function withoutOverlap(entities: readonly Entity[]): Entity[] {
  const kept: Entity[] = []
  for (const entity of [...entities].sort((a, b) => a.start - b.start)) {
    const last = kept.at(-1)
    if (last === undefined || entity.start >= last.end) kept.push(entity)
    else {
      const longer = entity.end - entity.start - (last.end - last.start)
      if (longer > 0 || (longer === 0 && entity.score > last.score)) kept[kept.length - 1] = entity
    }
  }
  return kept
}

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length
