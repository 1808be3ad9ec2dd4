import { describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import { GOLDEN_HASH, outputHash } from './conformance/reproducible.ts'

describe('the same bits', () => {
  // The cases themselves are conformance cases: conformance.test.ts runs them here, runtimes-*.test.ts in every other runtime.
  it('the hash tells results apart', async () => {
    expect(await outputHash({ threads: 1, seed: 2 })).not.toBe(GOLDEN_HASH)
  })
})
