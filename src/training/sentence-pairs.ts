// Documents of sentences to the pairs that next-sentence prediction learns from.
import type { RandomStream } from './random.ts'

/** Sentences as token ids. */
export type Document = readonly ArrayLike<number>[]

export interface SentencePair {
  readonly a: readonly number[]
  readonly b: readonly number[]
  /** B comes from another document. */
  readonly is_random_next: boolean
}

export interface PairOptions {
  /** Tokens of A and B together. */
  readonly longest: number
  readonly short_seq_prob: number
  /**
   * 'paper': whether B is the actual next text is a fair coin of every pair. A document of one sentence has no next and is only ever B; a
   * last sentence left over takes the one before it as its A. 'google': as create_pretraining_data.py, where a chunk of one sentence always
   * takes a random B, so that more than half are random.
   */
  readonly next_sentence: 'paper' | 'google'
}

/**
 * The pairs of one pass over a document. Sentences are collected until they reach the target length (all that fits, or now and then less, drawn
 * once for the document and pass); the first of them, at least one, are A. Those that a random B leaves unused begin the next pair.
 *
 * @param other draws the document of a random B
 */
export async function* sentencePairs(
  document: Document,
  other: (random: RandomStream) => Promise<Document>,
  { longest, short_seq_prob, next_sentence }: PairOptions,
  random: RandomStream,
): AsyncGenerator<SentencePair> {
  const count = document.length
  const paper = next_sentence === 'paper'
  if (paper && count === 1) return
  const target = random.uniform() < short_seq_prob ? 2 + random.below(longest - 1) : longest
  for (let start = 0; start < count;) {
    let isRandom = paper && random.uniform() < 0.5
    let end = start
    for (let length = 0; end < count && length < target; end++) length += document[end]!.length
    if (paper && !isRandom && end - start === 1) {
      if (end < count) end++
      else start--
    }
    const middle = start + (end - start === 1 ? 1 : 1 + random.below(end - start - 1))
    if (!paper) isRandom = end - start === 1 || random.uniform() < 0.5
    const a = joined(document, start, middle)
    const b = isRandom ? randomText(await other(random), target - a.length, random) : joined(document, middle, end)
    start = isRandom ? middle : end
    yield { ...truncated(a, b, longest, random), is_random_next: isRandom }
  }
}

function joined(document: Document, from: number, to: number): number[] {
  return document.slice(from, to).flatMap((sentence) => Array.from(sentence))
}

/** From a sentence drawn at random on, until there is enough or the document ends. */
function randomText(document: Document, enough: number, random: RandomStream): number[] {
  const start = random.below(document.length)
  let end = start + 1
  for (let length = document[start]!.length; end < document.length && length < enough; end++) length += document[end]!.length
  return joined(document, start, end)
}

/** Drops the first or the last token of the longer text, of B where they are equal, until both fit. */
function truncated(a: readonly number[], b: readonly number[], longest: number, random: RandomStream): { a: number[]; b: number[] } {
  const [first, second] = [
    { from: 0, to: a.length },
    { from: 0, to: b.length },
  ]
  for (let excess = a.length + b.length - longest; excess > 0; excess--) {
    const longer = first.to - first.from > second.to - second.from ? first : second
    if (random.uniform() < 0.5) longer.from++
    else longer.to--
  }
  return { a: a.slice(first.from, first.to), b: b.slice(second.from, second.to) }
}
