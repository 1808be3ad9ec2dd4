import { same, type ConformanceCase } from './case.ts'
import { HEAD_BEHAVIOUR, HEADS_EQUAL_PYTORCH } from './heads.ts'
import { MODEL_CASES } from './models.ts'
import { GOLDEN_HASH, outputHash, REPRODUCIBLE_CASES } from './reproducible.ts'
import { SAVED } from './saved.ts'
import { SOURCE_CASES } from './sources.ts'

/** Every conformance case, in groups. A new file of cases is added here and nowhere else. */
export const CONFORMANCE: Readonly<Record<string, readonly ConformanceCase[]>> = {
  'heads equal PyTorch': HEADS_EQUAL_PYTORCH,
  'what heads do': HEAD_BEHAVIOUR,
  models: MODEL_CASES,
  'what is saved': SAVED,
  'the same bits': Object.entries(REPRODUCIBLE_CASES).map(([name, options]) => ({
    name,
    run: async () => same(await outputHash(options), GOLDEN_HASH, 'hash of the outputs'),
  })),
  sources: SOURCE_CASES,
}
