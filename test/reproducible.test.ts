import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { inlineAssets } from '../scripts/assets.mjs'
import '../src/index.node.ts'
import { GOLDEN_HASH, INT8_HASH, outputHash, REPRODUCIBLE_CASES } from './conformance/reproducible.ts'
import { TRAINED_CASES, TRAINED_HASH } from './conformance/trained.ts'
import { ensureNodes } from './support/node-versions.ts'

describe('the same bits', () => {
  // The cases themselves are conformance cases: conformance.test.ts runs them here.
  it('the hash tells results apart', async () => {
    expect(await outputHash({ threads: 1, seed: 2 })).not.toBe(GOLDEN_HASH)
  })
})

describe('the same bits under other Node versions', async () => {
  const nodes = await ensureNodes()
  for (const { name, path: node, version } of nodes) {
    it(`${name} (${version})`, async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
      try {
        const outfile = path.join(folder, 'main.mjs')
        const conformance = (file: string): string => JSON.stringify(path.join(import.meta.dirname, 'conformance', file))
        const entry = path.join(folder, 'entry.ts')
        await writeFile(
          entry,
          `import ${JSON.stringify(path.join(import.meta.dirname, '../src/index.node.ts'))}
import { outputHash, REPRODUCIBLE_CASES } from ${conformance('reproducible.ts')}
import { TRAINED_CASES, trainedHash } from ${conformance('trained.ts')}
const [hashes, int8, trained] = [[], [], []]
for (const options of Object.values(REPRODUCIBLE_CASES)) hashes.push(await outputHash(options))
for (const options of Object.values(REPRODUCIBLE_CASES).slice(0, 3)) int8.push(await outputHash({ ...options, dtype: 'int8' }))
for (const options of Object.values(TRAINED_CASES)) trained.push(await trainedHash(options))
console.log(JSON.stringify({ hashes, int8, trained }))`,
        )
        await build({
          entryPoints: [entry],
          outfile,
          bundle: true,
          format: 'esm',
          platform: 'node',
          plugins: [inlineAssets()],
          logLevel: 'warning',
        })
        const { stdout } = await promisify(execFile)(node, [outfile])
        expect(JSON.parse(stdout)).toEqual({
          hashes: Object.values(REPRODUCIBLE_CASES).map(() => GOLDEN_HASH),
          int8: [INT8_HASH, INT8_HASH, INT8_HASH],
          trained: Object.values(TRAINED_CASES).map(() => TRAINED_HASH),
        })
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
  }
})
