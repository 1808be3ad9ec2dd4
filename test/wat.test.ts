import { readFileSync } from 'node:fs'
import path from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'
import { describe, expect, it } from 'vitest'

// What the compiler emitted: contracts that a change of source or compiler could break silently.
const file = (name: string): Buffer => readFileSync(path.join(import.meta.dirname, '../build', name))
const wat = (target: string): string => file(`${target}.wat`).toString()
const count = (text: string, what: string): number => text.split(what).length - 1

/** Innermost loops: from the last `loop` before each `br` back. */
function loops(text: string): string[] {
  const lines = text.split('\n')
  const indent = (line: string): number => line.length - line.trimStart().length
  return lines.flatMap((line, i) => {
    if (!line.trimStart().startsWith('loop ')) return []
    const length = lines.slice(i + 1).findIndex((other) => indent(other) <= indent(line) && other.trim() === 'end')
    const body = lines.slice(i + 1, i + 1 + length).join('\n')
    return body.includes('\n loop ') || / loop \$/.test(body) ? [] : [body]
  })
}

describe('the emitted kernels', () => {
  it('call nothing indirectly and grow no memory', () => {
    for (const target of ['simd', 'dot', 'fast']) {
      expect(count(wat(target), 'call_indirect')).toBe(0)
      expect(count(wat(target), 'memory.grow')).toBe(0)
    }
  })

  it('name relaxed instructions only in the builds that are called so', () => {
    expect(count(wat('simd'), 'relaxed')).toBe(0)
    expect(count(wat('dot'), 'relaxed_madd')).toBe(0)
    expect(count(wat('fast'), 'relaxed_madd')).toBeGreaterThan(20)
    expect(count(wat('dot'), 'relaxed_dot')).toBeGreaterThanOrEqual(12)
  })

  // Rows of a tile, and steps of k between two tests of the loop.
  it.each([
    ['simd', "gemm's high tile", 5, 4],
    ['simd', "gemm's low tile", 4, 4],
    ['simd', "attention's products", 4, 1],
    ['fast', "gemm's high tile", 6, 4],
    ['fast', "gemm's low tile", 4, 4],
  ])(
    '%s, %s: per step of k 2 multiply-adds a row, 2 loads of B, a splat of A a row, nothing else from memory',
    (target, _, rows, steps) => {
      const product = target === 'fast' ? 'f32x4.relaxed_madd' : 'f32x4.mul'
      const tiles = loops(wat(target)).filter(
        (body) =>
          count(body, product) === 2 * rows * steps &&
          count(body, 'v128.load32_splat') === rows * steps &&
          count(body, 'v128.store') === 0 &&
          (steps === 4 || count(body, 'v128.load') <= 10),
      )
      expect(tiles.length).toBeGreaterThanOrEqual(1)
      for (const body of tiles) {
        expect(count(body, 'f32x4.add')).toBe(target === 'fast' ? 0 : 2 * rows * steps)
        // 'v128.load' begins the splats too; attention reads four more vectors of its own.
        expect(count(body, 'v128.load')).toBeLessThanOrEqual(steps === 4 ? (rows + 2) * steps : 10)
        expect(count(body, 'call')).toBe(0)
      }
    },
  )

  it.each([
    ['simd', 'i32x4.dot_i16x8_s', 32, 8, 16],
    ['dot', 'i32x4.relaxed_dot_i8x16_i7x16_add_s', 24, 4, 12],
  ])('int8 in %s: %s, with its loads and splats and nothing else from memory', (target, product, products, loadsOfB, splats) => {
    const tiles = loops(wat(target)).filter((body) => count(body, product) === products)
    expect(tiles).toHaveLength(1)
    const [body] = tiles as [string]
    expect(count(body, 'v128.load32_splat')).toBe(splats)
    expect(count(body, 'v128.load')).toBe(splats + loadsOfB)
    expect(count(body, 'v128.store')).toBe(0)
    expect(count(body, 'call')).toBe(0)
  })

  it('take at most 16.6 KiB brotli each, of which int4 is 0.9, and the losses on embeddings 0.6', () => {
    for (const target of ['simd', 'dot', 'fast']) {
      const packed = brotliCompressSync(file(`${target}.wasm`), { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })
      expect(packed.length, target).toBeLessThanOrEqual(16.6 * 1024)
    }
  })
})
