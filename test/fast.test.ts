import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { BertModel } from '../src/index.node.ts'
import { GOLDEN_HASH } from './conformance/reproducible.ts'
import { fastReport, type FastReport } from './support/fast-main.ts'
import { ensureNodes } from './support/runtimes/installed.ts'
import { runUnder, testFile } from './support/other-node.ts'

const wasm = path.join(import.meta.dirname, '../build/fast.wasm')

function check(report: FastReport, relaxed: boolean): void {
  expect(report.tooEarly).toMatch(/Await prepare\('fast'\) first/)
  expect(report.build.name).toBe(relaxed ? 'fast' : 'simd')
  expect(report.made).toBe(report.build.name)
  expect(report.build.why).toMatch(relaxed ? /pass their self-test/ : /no relaxed SIMD/)
  // Whatever runs: threads, batch, order and budget do not show in the bits, for every head.
  expect(new Set(report.hashes).size).toBe(1)
  if (relaxed) expect(report.hashes[0]).not.toBe(GOLDEN_HASH)
  else expect(report.hashes[0]).toBe(GOLDEN_HASH)
  expect(report.largest).toBeGreaterThan(0.5)
  expect(report.difference).toBeLessThanOrEqual(2e-5)
  if (relaxed) expect(report.difference).toBeGreaterThan(0)
  expect(report.selfTest).toBe(relaxed ? 0 : undefined)
  expect(report.spoiled).toBe(relaxed ? 1 : undefined)
  expect(report.refused).toMatch(/relaxed instruction 1 fails its self-test/)
}

it("precision 'fast' on this engine: relaxed multiply-adds, or exact bits and the reason", async () => {
  check(await fastReport(wasm), WebAssembly.validate(readFileSync(wasm)))
})

it('refuses any other precision', async () => {
  await expect(BertModel.fromPretrained('nowhere', { precision: 'fasd' as 'fast' })).rejects.toThrow(
    /precision: expected one of exact, fast.*Did you mean fast/,
  )
})

describe("precision 'fast' where there is relaxed SIMD", async () => {
  for (const node of await ensureNodes()) {
    it(`${node.name} (${node.version})`, async () => {
      const text = `import { fastReport } from ${testFile('support/fast-main.ts')}
console.log(JSON.stringify(await fastReport(process.argv[2])))`
      check((await runUnder(node, text, [wasm])) as FastReport, true)
    })
  }
})
