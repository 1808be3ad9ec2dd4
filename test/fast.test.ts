import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { BertModel } from '../src/index.node.ts'
import { GOLDEN_HASH } from './conformance/reproducible.ts'
import { fastReport, type FastReport } from './support/fast-main.ts'
import { describeNodes } from './support/runtimes/conforms.ts'
import { runUnder, testFile } from './support/other-node.ts'

const wasm = path.join(import.meta.dirname, '../build/fast.wasm')
const golden = path.join(import.meta.dirname, 'golden')

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
  // The tile is found out by the first runs, in the fast build only, and does not show in the bits.
  expect(report.tiles[0]).toMatch(/what fits the registers/)
  expect(report.tiles[1]).toMatch(relaxed ? /the quicker one here/ : /what fits the registers/)
  expect(report.tileHashes).toHaveLength(14)
  expect(new Set(report.tileHashes).size).toBe(1)
  expect(report.heads.cases).toBeGreaterThan(30)
  expect(report.heads.failed).toEqual([])
  // Eight steps of training with dropout: each changes the loss far more than the roundings do.
  const [exact, fast] = report.losses as [number[], number[]]
  expect(exact).toHaveLength(8)
  expect(exact[7]).toBeLessThan(exact[0]! * 0.9)
  for (const [i, loss] of fast.entries()) expect(Math.abs(loss - exact[i]!)).toBeLessThanOrEqual(1e-4)
  if (relaxed) expect(fast).not.toEqual(exact)
}

it("precision 'fast' on this engine: relaxed multiply-adds, or exact bits and the reason", async () => {
  check(await fastReport(wasm, golden), WebAssembly.validate(readFileSync(wasm)))
})

it('refuses any other precision', async () => {
  await expect(BertModel.fromPretrained('nowhere', { precision: 'fasd' as 'fast' })).rejects.toThrow(
    /precision: expected one of exact, fast.*Did you mean fast/,
  )
})

await describeNodes("precision 'fast' where there is relaxed SIMD", (nodes) => {
  for (const node of nodes) {
    it(`${node.name} (${node.version})`, async () => {
      const text = `import { fastReport } from ${testFile('support/fast-main.ts')}
console.log(JSON.stringify(await fastReport(process.argv[2], process.argv[3])))`
      check((await runUnder(node, text, [wasm, golden])) as FastReport, true)
    })
  }
})
