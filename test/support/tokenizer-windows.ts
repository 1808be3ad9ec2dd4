// Truncated rows of the official library, with all their windows. Its own truncation stops tokenizing at max_length, and so loses windows
// (test/tokenizer-oracle.test.ts shows it): here whole encodings are cut and processed, each by the library's own functions.
import { theirRow, type OracleTokenizer, type Row } from './tokenizer-oracle.ts'

export interface Cut {
  readonly keep: readonly [number, number]
  readonly stride: number
  readonly side: 'left' | 'right'
}

export async function theirWindows(
  theirs: OracleTokenizer,
  text: string,
  pair: string | undefined,
  { keep, stride, side }: Cut,
): Promise<Row[]> {
  const whole = { addSpecialTokens: false }
  const first = await theirs.encode(text, null, whole)
  const second = pair === undefined ? undefined : await theirs.encode(pair, null, whole)
  if (keep[0] < first.getIds().length) first.truncate(keep[0], stride, side)
  if (second && keep[1] < second.getIds().length) second.truncate(keep[1], stride, side)
  const row = theirs.postProcess(first, second, true)
  return [row, ...row.getOverflowing()].map((encoding) => {
    // The second text was encoded by itself, so that only its first window has type 1.
    const firstEnd = encoding.getSpecialTokensMask().indexOf(1, 1)
    const types = encoding.getTypeIds().map((_, i) => (i > firstEnd ? 1 : 0))
    return theirRow(encoding, text, pair, types)
  })
}
