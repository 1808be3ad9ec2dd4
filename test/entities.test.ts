// Entities of hand-written scores, by the rules of the reference's token classification pipeline; golden files hold whole calls to it.
import { describe, expect, it } from 'vitest'
import { group, labelWords, withoutOverlap, type AggregationStrategy, type Entity, type Piece } from '../src/pipelines/entities.ts'

const LABELS = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC']

/** A piece, a subword where it begins with ##, and its scores in the order of LABELS; what is left out is 0. */
type Row = readonly [word: string, ...scores: number[]]

/** Pieces one behind the other: a space before each that begins a word, places in the text that they make. */
function piecesOf(rows: readonly Row[], labels: readonly string[]): { text: string; pieces: Piece[] } {
  let text = ''
  const pieces = rows.map(([word, ...scores], i): Piece => {
    const isSubword = word.startsWith('##')
    if (!isSubword && text !== '') text += ' '
    const start = text.length
    text += word.replace('##', '')
    return { word, isSubword, start, end: text.length, index: i + 1, scores: Float64Array.from(labels, (_, k) => scores[k] ?? 0) }
  })
  return { text, pieces }
}

const join = (words: readonly string[]): string => words.join(' ').replaceAll(' ##', '')

/** What is told of an entity in a line: label, text by its place, score. */
function told(rows: readonly Row[], strategy: AggregationStrategy, labels: readonly string[] = LABELS): string[] {
  const { text, pieces } = piecesOf(rows, labels)
  const tokens = labelWords(pieces, strategy, (i) => labels[i]!, join)
  const line = (name: string, { start, end, score }: { start: number; end: number; score: number }): string =>
    `${name} ${text.slice(start, end)} ${Number(score.toFixed(4))}`
  return strategy === 'none'
    ? tokens.map((token) => line(token.entity, token))
    : group(tokens, join).map((entity) => line(entity.entity_group, entity))
}

const ADA: readonly Row[] = [['ada', 0, 0.9], ['love', 0, 0.1, 0.6, 0.3], ['##lace', 0, 0.1, 0.2, 0.7], ['lives', 0.8]] // prettier-ignore

describe('a word whose pieces disagree', () => {
  it.each<[AggregationStrategy, string, string[]]>([
    ['none', 'each piece is told with its own label', ['B-PER ada 0.9', 'I-PER love 0.6', 'B-LOC lace 0.7', 'O lives 0.8']],
    ['simple', 'pieces are grouped, whatever word they are of', ['PER ada love 0.75', 'LOC lace 0.7', 'O lives 0.8']],
    ['first', 'the first piece speaks for the word', ['PER ada lovelace 0.75', 'O lives 0.8']],
    // B-LOC (0.3 + 0.7) / 2 is above I-PER (0.6 + 0.2) / 2.
    ['average', 'the mean of the scores decides', ['PER ada 0.9', 'LOC lovelace 0.5', 'O lives 0.8']],
    ['max', 'the piece with the highest score decides', ['PER ada 0.9', 'LOC lovelace 0.7', 'O lives 0.8']],
  ])('%s: %s', (strategy, _, wanted) => expect(told(ADA, strategy)).toEqual(wanted))
})

describe('ties', () => {
  it.each<[string, AggregationStrategy, readonly Row[], string[]]>([
    ['of two labels the first of the model', 'simple', [['ada', 0, 0.5, 0, 0.5]], ['PER ada 0.5']],
    ['of two pieces the first one, by max', 'max', [['love', 0, 0, 0.6], ['##lace', 0, 0, 0, 0.6]], ['PER lovelace 0.6']], // prettier-ignore
    ['of two means the first label', 'average', [['love', 0, 0.2, 0, 0.8], ['##lace', 0, 0.8, 0, 0.2]], ['PER lovelace 0.5']], // prettier-ignore
  ])('%s', (_, strategy, rows, wanted) => expect(told(rows, strategy)).toEqual(wanted))
})

/** One word a label, of score 1. */
const tagged = (labels: readonly string[]): string[] => {
  const rows = labels.map((_, i): Row => [String.fromCharCode(97 + i), ...labels.map((__, k) => (i === k ? 1 : 0))])
  return told(rows, 'simple', labels).map((line) => line.replace(/ 1$/, ''))
}

describe('neighbours', () => {
  it.each<[string, string[], string[]]>([
    ['B- and I- of one tag are one', ['B-PER', 'I-PER'], ['PER a b']],
    ['two B- of one tag are two', ['B-PER', 'B-PER'], ['PER a', 'PER b']],
    ['I- begins one where none is', ['I-PER', 'I-PER'], ['PER a b']],
    ['I- of another tag begins another', ['B-PER', 'I-LOC'], ['PER a', 'LOC b']],
    ['O keeps apart, and is one of its own', ['I-PER', 'O', 'I-PER'], ['PER a', 'O b', 'PER c']],
    ['labels without a prefix are tags', ['PER', 'PER', 'LOC'], ['PER a b', 'LOC c']],
    ['I- goes on with a tag without a prefix', ['PER', 'I-PER'], ['PER a b']],
    ['E- and S- are no prefixes, and are called by what is behind the dash', ['B-PER', 'E-PER', 'S-PER'], ['PER a', 'PER b', 'PER c']],
    ['a dash in a tag stays', ['B-WORK-OF-ART', 'I-WORK-OF-ART'], ['WORK-OF-ART a b']],
    ['case counts: b- is no B-', ['b-per', 'i-per'], ['per a', 'per b']],
  ])('%s', (_, labels, wanted) => expect(tagged(labels)).toEqual(wanted))

  it('their score is the mean of theirs, each word one', () => {
    expect(told([['a', 0, 1], ['b', 0, 0, 0.5], ['##c', 0, 0, 0.1]], 'first')).toEqual(['PER a bc 0.75']) // prettier-ignore
    expect(told([['a', 0, 1], ['b', 0, 0, 0.5], ['##c', 0, 0, 0.3]], 'simple')).toEqual(['PER a bc 0.6']) // prettier-ignore
  })
})

describe('words and places', () => {
  it.each<[string, readonly Row[], AggregationStrategy, Partial<Entity>[]]>([
    ['emoji are two units', [['🙂', 0, 1], ['ada', 0, 0, 1]], 'simple', [{ word: '🙂 ada', start: 0, end: 6 }]], // prettier-ignore
    ['combining marks stay with their letter', [['e\u0301', 0, 1], ['##t', 0, 0, 1], ['x', 1]], 'first', [{ word: 'e\u0301t', start: 0, end: 3 }, { start: 4, end: 5 }]], // prettier-ignore
    ['letters of CJK are words', [['東', 0, 1], ['京', 0, 0, 1]], 'first', [{ word: '東 京', start: 0, end: 3 }]], // prettier-ignore
    ['from right to left', [['ש', 0, 1], ['##לום', 0, 0, 1]], 'first', [{ word: 'שלום', start: 0, end: 4 }]], // prettier-ignore
    ['a piece without its beginning is a word', [['##lace', 0, 1], ['##s', 0, 1]], 'first', [{ word: '##laces', start: 0, end: 5 }]], // prettier-ignore
  ])('%s', (_, rows, strategy, wanted) => {
    const { pieces } = piecesOf(rows, LABELS)
    expect(
      group(
        labelWords(pieces, strategy, (i) => LABELS[i]!, join),
        join,
      ),
    ).toMatchObject(wanted)
  })
})

describe('windows that overlap', () => {
  const at = (start: number, end: number, score = 0.5): Entity => ({ entity_group: 'PER', word: '', start, end, score })
  it.each<[string, Entity[], Entity[]]>([
    ['nothing', [], []],
    ['apart, both stay, in the order of their places', [at(5, 9), at(0, 4)], [at(0, 4), at(5, 9)]],
    ['end to end is apart', [at(0, 4), at(4, 8)], [at(0, 4), at(4, 8)]],
    ['the longer one stays, whatever its score', [at(0, 4, 0.9), at(2, 9, 0.1)], [at(2, 9, 0.1)]],
    ['the longer one stays when it is first', [at(0, 9, 0.1), at(5, 8, 0.9)], [at(0, 9, 0.1)]],
    ['of equal length the higher score', [at(0, 4, 0.3), at(2, 6, 0.4)], [at(2, 6, 0.4)]],
    ['of equal length and score the first', [at(0, 4), at(2, 6)], [at(0, 4)]],
    ['twice the same is once', [at(0, 4, 0.6), at(0, 4, 0.6)], [at(0, 4, 0.6)]],
    ['what is left is compared with the next', [at(0, 4), at(2, 8), at(7, 9)], [at(2, 8)]],
  ])('%s', (_, entities, wanted) => expect(withoutOverlap(entities)).toEqual(wanted))
})
