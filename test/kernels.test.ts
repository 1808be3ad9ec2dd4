import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Op } from '../assembly/abi.ts'
import { RECORDS } from '../src/graph/records.ts'
import { KernelRunner } from './support/kernel-runner.ts'
import { describeNodes } from './support/runtimes/conforms.ts'
import { opCases, type OpCase } from './support/op-cases.ts'

const cases = opCases()
const groups = new Map<Op, OpCase[]>()
for (const test of cases) groups.set(test.op, [...(groups.get(test.op) ?? []), test])
const wasm = (target: string): string => path.join(import.meta.dirname, `../build/${target}.wasm`)

it('every op of the ABI has cases', () => {
  expect([...groups.keys()].sort((a, b) => a - b).map(String)).toEqual(Object.keys(RECORDS))
})

it('operands and dims of the cases are those that the verifier expects', () => {
  for (const test of cases) {
    const dims = [...test.dims, 0, 0, 0, 0, 0, 0].slice(0, 6)
    const extents = RECORDS[test.op]!.extents(dims, test.mode)
    test.operands.forEach((operand, i) => operand && expect(operand.initial.length, `${test.name}, operand ${i}`).toBe(extents[i]))
  }
})

for (const target of ['simd', 'debug']) {
  describe(`${target} equals the float64 reference and stays within its operands`, () => {
    let runner: KernelRunner
    beforeAll(async () => void (runner = await KernelRunner.create(wasm(target))))
    for (const [op, tests] of groups) {
      it(`${RECORDS[op]!.name}: ${tests.length} cases`, async () => {
        const errors: string[] = []
        for (const test of tests) errors.push(...(await runner.run(test)).errors.map((error) => `${test.name}: ${error}`))
        expect(errors).toEqual([])
      })
    }
  })
}

it('debug asserts what simd assumes: an id beyond its table stops it', async () => {
  const embedding = groups.get(Op.Embedding)![0]!
  const bad = { ...embedding, operands: [{ initial: embedding.operands[0]!.initial.map(() => 29) }, ...embedding.operands.slice(1)] }
  const runner = await KernelRunner.create(wasm('debug'))
  await expect(runner.run(bad)).rejects.toThrow(/assertion of the kernels failed/)
})

describe('simd on threads', () => {
  let runner: KernelRunner
  beforeAll(async () => void (runner = await KernelRunner.create(wasm('simd'))))
  afterAll(() => runner.close())
  for (const [op, tests] of groups) {
    it(`${RECORDS[op]!.name}: the same bits on 1, 2, 3 and 4 threads`, async () => {
      for (const test of tests) {
        const one = await runner.run(test)
        for (const ranks of [2, 3, 4]) {
          const many = await runner.run(test, ranks)
          expect(many.errors, test.name).toEqual([])
          expect(many.operands, test.name).toEqual(one.operands)
        }
      }
    })
  }
})

describe('simd in pieces', () => {
  let runner: KernelRunner
  beforeAll(async () => void (runner = await KernelRunner.create(wasm('simd'))))
  for (const [op, tests] of groups) {
    it(`${RECORDS[op]!.name}: the same bits by 1 and by 3 units at a time`, async () => {
      let most = 0
      for (const test of tests) {
        const whole = await runner.run(test)
        for (const units of [1, 3]) {
          const cut = await runner.run(test, 1, units)
          most = Math.max(most, runner.pieces)
          expect(cut.errors, test.name).toEqual([])
          expect(cut.operands, test.name).toEqual(whole.operands)
        }
      }
      // A sum is one unit: its terms are added in their order.
      expect(most).toBeGreaterThan(op === Op.Sum ? 0 : 1)
    })
  }
})

await describeNodes('builds with relaxed SIMD, under Node 24', (nodes) => {
  const node = nodes.find(({ name }) => name === 'node24')!
  for (const target of ['dot', 'fast', 'simd']) {
    it(`${target}: all ${cases.length} cases`, async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
      try {
        const outfile = path.join(folder, 'main.mjs')
        const entry = path.join(import.meta.dirname, 'support/kernel-parity-main.ts')
        await build({ entryPoints: [entry], outfile, bundle: true, format: 'esm', platform: 'node', logLevel: 'warning' })
        const { stdout } = await promisify(execFile)(node.path, [outfile, wasm(target)])
        expect(JSON.parse(stdout)).toEqual({ cases: cases.length, failed: [] })
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
  }
})
