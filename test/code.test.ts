import { readFileSync } from 'node:fs'
import path from 'node:path'
import { instantiateSync } from '@assemblyscript/loader'
import { describe, expect, it } from 'vitest'
import { changesOf, textOf } from '../scripts/code.mjs'
import { bytesOf, changed } from '../src/engine/code.ts'
import { joined, parted } from '../src/engine/parts.ts'
import { compileNow, emptyMemory, instantiateNow } from '../src/engine/module.ts'
import { random } from './support/random.ts'

const built = (name: string): Buffer => readFileSync(path.join(import.meta.dirname, `../build/${name}.wasm`))

describe('kernels in the bundle', () => {
  it('are the bytes that were built', async () => {
    const bundled = {
      inference: import('../build/inference.wasm'),
      'inference-dot': import('../src/engine/dot.ts'),
      'inference-fast': import('../src/engine/fast.ts'),
      simd: import('../src/engine/training.ts'),
      fast: import('../src/engine/training-fast.ts'),
    }
    for (const [name, module] of Object.entries(bundled)) {
      const { default: code } = await module
      expect(code).toBeInstanceOf(Uint8Array)
      expect(Buffer.compare(Buffer.from(code as Uint8Array), built(name))).toBe(0)
    }
  })

  it.each(['inference', 'inference-dot', 'inference-fast', 'simd', 'dot', 'fast', 'debug'])('come back from their parts: %s', (name) => {
    const parts = parted(built(name))
    expect(Buffer.compare(parts.subarray(-built(name).length), built(name))).not.toBe(0)
    expect(Buffer.compare(joined(parts), built(name))).toBe(0)
  })

  it.each(['inference', 'simd', 'debug'])('leave to the host what is behind their tables: %s', async (name) => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
    const instance = await WebAssembly.instantiate(await WebAssembly.compile(Uint8Array.from(built(name))), {
      env: { memory, abort: () => undefined },
    })
    const { BASE } = instance.exports as { BASE: WebAssembly.Global }
    const bytes = new Uint8Array(memory.buffer)
    expect(BASE.value).toBe(2048)
    expect(bytes.subarray(0, 2048).some((byte) => byte !== 0)).toBe(true)
    expect(bytes.subarray(2048).some((byte) => byte !== 0)).toBe(false)
  })

  // The loader is AssemblyScript's own; what it would add for strings, arrays and classes, the kernels have no use for.
  it("are instantiated as AssemblyScript's loader does it", () => {
    const code = Uint8Array.from(built('simd'))
    const module = compileNow(code)
    const memory = emptyMemory(code)
    const { base, tile, ...functions } = instantiateNow(module, memory)
    const { exports } = instantiateSync<Record<string, unknown>>(module, { env: { memory } })
    for (const [name, each] of Object.entries(functions)) expect(typeof exports[name], name).toBe(typeof each)
    const constants = { base: 'BASE', mr: 'MR', high: 'HIGH', mc: 'MC', kc: 'KC', nr: 'NR', gemmScratch: 'GEMM_SCRATCH' }
    for (const [name, value] of Object.entries({ base, ...tile })) {
      expect((exports[constants[name as keyof typeof constants]] as WebAssembly.Global).value, name).toBe(value)
    }
  })

  it('are text that no quotes and no bundler escape', () => {
    const every = Uint8Array.from({ length: 256 }, (_, i) => i)
    const text = textOf(every)
    expect([...bytesOf(text)]).toEqual([...every])
    expect(text).toMatch(/^[ -~]+$/)
    expect(text).not.toMatch(/["'`$\\]/)
  })
})

describe('changes', () => {
  it.each([
    ['nothing', [], []],
    ['something of nothing', [], [1, 2, 3]],
    ['nothing of something', [1, 2, 3], []],
    ['the same', [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]],
    ['a longer end', [1, 2, 3, 4], [1, 2, 3, 4, 9, 9]],
    ['the end before the start', [...Array(300).keys()], [...[...Array(300).keys()].slice(150), ...[...Array(150).keys()]]],
  ])('make %s', (_, base, wanted) => {
    const changes = changesOf(Buffer.from(base), Buffer.from(wanted))
    expect([...changed([Buffer.from(base)], changes)]).toEqual([...Buffer.from(wanted)])
  })

  it('make whatever is wanted, of parts moved, repeated, dropped and new', () => {
    const next = random(7)
    const below = (n: number): number => Math.floor(next() * n)
    for (let round = 0; round < 200; round++) {
      const base = Buffer.from(Array.from({ length: below(600) }, () => below(round % 2 ? 256 : 3)))
      const parts = Array.from({ length: below(8) }, () => {
        const from = below(base.length + 1)
        return below(3) === 0 ? Buffer.from(Array.from({ length: below(20) }, () => below(256))) : base.subarray(from, from + below(200))
      })
      const wanted = Buffer.concat(parts)
      expect(Buffer.compare(Buffer.from(changed([base.subarray(0, 99), base.subarray(99)], changesOf(base, wanted))), wanted)).toBe(0)
    }
  })
})
