import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { erf } from './support/reference.ts'

const root = path.join(import.meta.dirname, '..')
const COUNT = 1 << 20
let memory: WebAssembly.Memory
let exports: Record<string, (x: number, y: number, n: number) => void>

beforeAll(async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-math-'))
  try {
    const file = path.join(folder, 'math.wasm')
    const asc = path.join(root, 'node_modules/assemblyscript/bin/asc.js')
    const options = ['--config', 'none', '-O3', '--runtime', 'stub', '--enable', 'simd', '--initialMemory', '200', '-o', file]
    await promisify(execFile)(process.execPath, [asc, 'test/support/math-entry.ts', ...options], { cwd: root })
    const { instance } = await WebAssembly.instantiate(await readFile(file), { env: { abort: () => {} } })
    exports = instance.exports as unknown as typeof exports
    memory = instance.exports.memory as WebAssembly.Memory
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/** Results of a function over `x`. */
function run(name: string, x: Float32Array): Float32Array {
  const [from, to] = [65536, 65536 + COUNT * 4]
  new Float32Array(memory.buffer, from, x.length).set(x)
  exports[name]!(from, to, x.length)
  return new Float32Array(memory.buffer, to, x.length).slice()
}

/** The distance of two neighbouring floats at y. */
function ulp(y: number): number {
  const [a, bits] = [new Float32Array(1), new Int32Array(1)]
  a[0] = Math.max(Math.abs(y), 2 ** -126)
  bits[0] = new Int32Array(a.buffer)[0]! + 1
  return new Float32Array(bits.buffer)[0]! - a[0]
}

/** The largest error in ULP over a dense grid of low..high. */
function worst(name: string, reference: (x: number) => number, low: number, high: number): number {
  const x = Float32Array.from({ length: COUNT }, (_, i) => low + ((high - low) * i) / (COUNT - 1))
  return run(name, x).reduce((most, y, i) => {
    const want = reference(x[i]!)
    return Math.max(most, Math.abs(y - want) / ulp(want))
  }, 0)
}

// The bounds stand above the functions in assembly/math.ts.
describe('error bounds in ULP', () => {
  it('exp: 2', () => {
    expect(worst('expAll', Math.exp, -87.3, 88.3)).toBeLessThanOrEqual(2)
    expect(worst('expAll', Math.exp, -1, 1)).toBeLessThanOrEqual(2)
  })
  it('log: 2', () => {
    expect(worst('logAll', Math.log, 1e-3, 4)).toBeLessThanOrEqual(2)
    expect(worst('logAll', Math.log, 1, 1e6)).toBeLessThanOrEqual(2)
  })
  it('tanh: 4', () => {
    expect(worst('tanhAll', Math.tanh, -10, 10)).toBeLessThanOrEqual(4)
    expect(worst('tanhAll', Math.tanh, -0.7, 0.7)).toBeLessThanOrEqual(4)
  })
  it('sigmoid: 4', () => {
    expect(worst('sigmoidAll', (x) => 1 / (1 + Math.exp(-x)), -80, 20)).toBeLessThanOrEqual(4)
  })
  it('a bound can fail: exp is not exact', () => {
    expect(worst('expAll', Math.exp, -80, 80)).toBeGreaterThan(0.5)
  })
})

describe('gelu, x times the normal distribution of x', () => {
  /** The largest error of the distribution over a dense grid, told by its product with x, whose own rounding is taken off. */
  function off(low: number, high: number): number {
    const x = Float32Array.from({ length: 1 << 16 }, (_, i) => low + ((high - low) * i) / 65535)
    return run('geluAll', x).reduce((most, y, i) => {
      const want = (x[i]! / 2) * (1 + erf(x[i]! / Math.SQRT2))
      return Math.max(most, (Math.abs(y - want) - ulp(want) / 2) / Math.abs(x[i]!))
    }, 0)
  }
  it('within 2^-22, and 2^-24 below -2', () => {
    expect(off(-9, 9)).toBeLessThanOrEqual(2 ** -22)
    expect(off(-9, -2)).toBeLessThanOrEqual(2 ** -24)
    expect(off(-9, 9)).toBeGreaterThan(2 ** -26)
  })
  it('nothing is left of a large negative number, all of a large one', () => {
    const [low, high, nan] = run('geluAll', Float32Array.of(-1e30, 1e30, NaN)) as unknown as [number, number, number]
    expect(Math.abs(low)).toBe(0)
    expect(high).toBe(Math.fround(1e30))
    expect(nan).toBeNaN()
  })
})

it('what has no value stays none, and the ends are finite', () => {
  const [nan, low, high, zero] = run('expAll', Float32Array.of(NaN, -Infinity, Infinity, 0)) as unknown as [number, number, number, number]
  expect(nan).toBeNaN()
  expect([low, high, zero].every(Number.isFinite)).toBe(true)
  expect(low).toBeLessThan(1.3e-38)
  expect(zero).toBe(1)
})
