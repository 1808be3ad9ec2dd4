// The machine's wasm in-register peak: the best of several loops, since engines allocate registers badly in some of them. A GEMM above it
// means that the peak is wrong. `fused` needs an engine with relaxed SIMD.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const LOOPS = { constant8: 8, constant12: 12, loaded8: 8 }

export async function peak({ fused = false } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bertlet-peak-'))
  const file = path.join(folder, 'peak.wasm')
  const root = path.join(import.meta.dirname, '../..')
  const asc = path.join(root, 'node_modules/assemblyscript/bin/asc.js')
  const options = [
    'bench/peak/peak.ts',
    '--config',
    'none',
    '-O3',
    '--noAssert',
    '--runtime',
    'stub',
    '--enable',
    'simd',
    '--initialMemory',
    '1',
    '-o',
    file,
  ]
  execFileSync(process.execPath, [asc, ...options, ...(fused ? ['--enable', 'relaxed-simd', '-u', 'FAST=1'] : [])], { cwd: root })
  const { instance } = await WebAssembly.instantiate(readFileSync(file), { env: { abort() {} } })
  rmSync(folder, { recursive: true })
  const { memory, ...loops } = instance.exports
  new Float32Array(memory.buffer).fill(1e-3)
  const rounds = 200_000
  // Entered often enough to be tiered up.
  for (let i = 0; i < 300; i++) for (const name of Object.keys(LOOPS)) loops[name](64, 500)
  return {
    /** GFLOP/s of every loop in one go, 2 a lane and multiply-add. */
    measure() {
      let best = 0
      for (const [name, accumulators] of Object.entries(LOOPS)) {
        const start = performance.now()
        loops[name](64, rounds)
        best = Math.max(best, (rounds * accumulators * 8) / (performance.now() - start) / 1e6)
      }
      return best
    },
  }
}
