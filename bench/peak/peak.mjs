// The machine's wasm in-register peaks: the best of several loops, since engines allocate registers badly in some of them. A kernel above its
// peak means that the peak is wrong. `relaxed` needs an engine with relaxed SIMD.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Operations of one round, 2 a multiply-add. */
const LOOPS = { constant8: 64, constant12: 96, loaded8: 64, loaded12: 96 }
const dots = (relaxed) => ({ dots8: relaxed ? 256 : 128, dots12: relaxed ? 384 : 192 })

export async function peak({ relaxed = false } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bertlet-peak-'))
  const file = path.join(folder, 'peak.wasm')
  const root = path.join(import.meta.dirname, '../..')
  const asc = path.join(root, 'node_modules/assemblyscript/bin/asc.js')
  const options = 'bench/peak/peak.ts --config none -O3 --noAssert --runtime stub --enable simd --initialMemory 1 -o'.split(' ')
  execFileSync(process.execPath, [asc, ...options, file, ...(relaxed ? ['--enable', 'relaxed-simd', '-u', 'FAST=1'] : [])], { cwd: root })
  const { instance } = await WebAssembly.instantiate(readFileSync(file), { env: { abort() {} } })
  rmSync(folder, { recursive: true })
  const { memory, ...loops } = instance.exports
  // Small bytes too: what is summed as integers must not depend on how an engine treats large ones.
  new Float32Array(memory.buffer).fill(1e-3)
  const rounds = 1_000_000
  // Entered often enough to be tiered up.
  for (let i = 0; i < 300; i++) for (const loop of Object.values(loops)) if (typeof loop === 'function') loop(64, 500)
  const best = (names) =>
    Object.entries(names).reduce((most, [name, operations]) => {
      const start = performance.now()
      loops[name](64, rounds)
      return Math.max(most, (rounds * operations) / (performance.now() - start) / 1e6)
    }, 0)
  return {
    /** GFLOP/s of the best loop of multiply-adds, now. */
    measure: () => best(LOOPS),
    /** GOP/s of the best loop of integer dot products: relaxed ones, or those of 16-bit numbers. */
    measureDots: () => best(dots(relaxed)),
  }
}
