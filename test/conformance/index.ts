import { same, type ConformanceCase } from './case.ts'
import { GOLDEN_HASH, outputHash, REPRODUCIBLE_CASES } from './reproducible.ts'
import { TOKENIZER_CASES } from './tokenizer.ts'

/** Every conformance case, in groups. A new file of cases is added here and nowhere else. */
export const CONFORMANCE: Readonly<Record<string, readonly ConformanceCase[]>> = {
  'the same bits': Object.entries(REPRODUCIBLE_CASES).map(([name, options]) => ({
    name,
    run: async () => same(await outputHash(options), GOLDEN_HASH, 'hash of the outputs'),
  })),
  tokenizer: TOKENIZER_CASES,
}
