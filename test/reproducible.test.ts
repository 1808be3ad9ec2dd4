import { describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import { GOLDEN_HASH, outputHash, REPRODUCIBLE_CASES } from './conformance/reproducible.ts'
import { TRAINED_CASES, TRAINED_HASH } from './conformance/trained.ts'
import { ensureNodes } from './support/node-versions.ts'
import { runUnder, testFile } from './support/other-node.ts'

describe('the same bits', () => {
  // The cases themselves are conformance cases: conformance.test.ts runs them here.
  it('the hash tells results apart', async () => {
    expect(await outputHash({ threads: 1, seed: 2 })).not.toBe(GOLDEN_HASH)
  })
})

describe('the same bits under other Node versions', async () => {
  for (const node of await ensureNodes()) {
    it(`${node.name} (${node.version})`, async () => {
      const text = `import ${testFile('../src/index.node.ts')}
import { outputHash, REPRODUCIBLE_CASES } from ${testFile('conformance/reproducible.ts')}
import { TRAINED_CASES, trainedHash } from ${testFile('conformance/trained.ts')}
const [hashes, trained] = [[], []]
for (const options of Object.values(REPRODUCIBLE_CASES)) hashes.push(await outputHash(options))
for (const options of Object.values(TRAINED_CASES)) trained.push(await trainedHash(options))
console.log(JSON.stringify({ hashes, trained }))`
      expect(await runUnder(node, text)).toEqual({
        hashes: Object.values(REPRODUCIBLE_CASES).map(() => GOLDEN_HASH),
        trained: Object.values(TRAINED_CASES).map(() => TRAINED_HASH),
      })
    })
  }
})
