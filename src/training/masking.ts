// Which tokens a masked language model must find, and what stands in their place.
import type { RandomStream } from './random.ts'

/** What masking must know of a vocabulary. */
export interface MaskingVocabulary {
  readonly size: number
  readonly mask: number
  /** Ids that are never chosen: [CLS] and [SEP]. */
  readonly special: ReadonlySet<number>
  /** 1 for ids of pieces that continue a word. */
  readonly continues: Uint8Array
}

export interface MaskingOptions {
  readonly masked_lm_prob: number
  readonly max_predictions_per_seq: number
  readonly do_whole_word_mask: boolean
}

export const IGNORED = -100

/** How many tokens of a row are chosen: as Python rounds, half to even, of all tokens, special ones too; at least one. */
export function predictions(length: number, { masked_lm_prob, max_predictions_per_seq }: MaskingOptions): number {
  const exact = length * masked_lm_prob
  const below = Math.floor(exact)
  const rest = exact - below
  const rounded = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
  return Math.min(max_predictions_per_seq, Math.max(1, rounded))
}

/** Masks a row in place and returns the positions chosen, sorted, and the labels: original ids there, IGNORED elsewhere. */
export function maskTokens(
  ids: number[],
  vocabulary: MaskingVocabulary,
  options: MaskingOptions,
  random: RandomStream,
): { positions: number[]; labels: number[] } {
  const groups: number[][] = []
  ids.forEach((id, i) => {
    if (vocabulary.special.has(id)) return
    // A word cut at its start by truncation joins nothing that stands before a special token.
    const joins = options.do_whole_word_mask && vocabulary.continues[id] === 1 && groups.at(-1)?.at(-1) === i - 1
    if (joins) groups.at(-1)!.push(i)
    else groups.push([i])
  })
  const most = predictions(ids.length, options)
  const positions: number[] = []
  for (const group of random.shuffle(groups)) {
    if (positions.length >= most) break
    // A word that would be too much is passed over, not cut.
    if (positions.length + group.length <= most) positions.push(...group)
  }
  positions.sort((a, b) => a - b)
  const labels = new Array<number>(ids.length).fill(IGNORED)
  for (const i of positions) {
    labels[i] = ids[i]!
    if (random.uniform() < 0.8) ids[i] = vocabulary.mask
    else if (random.uniform() < 0.5) ids[i] = random.below(vocabulary.size)
  }
  return { positions, labels }
}
