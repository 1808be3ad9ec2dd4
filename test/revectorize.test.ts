import { expect, it } from 'vitest'
import { GOLDEN_HASH, INT8_HASH } from './conformance/reproducible.ts'
import { runUnder, testFile } from './support/other-node.ts'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { ensureNodes } from './support/runtimes/installed.ts'

// V8 joins two vectors of 128 bits to one of 256 where it is asked to: an experiment of its own, which must not change a bit.
const nodes = await ensureNodes().catch((error: unknown) => String(error))

describeRuntime("the same bits with V8's --experimental-wasm-revectorize", typeof nodes === 'string' ? nodes : undefined, () => {
  it.each(typeof nodes === 'string' ? [] : nodes)('$name ($version)', async (node) => {
    // Before the kernels are compiled, which is when the first model is made; and soon by the optimizing compiler, which alone heeds it.
    const text = `import { setFlagsFromString } from 'node:v8'
import ${testFile('../src/index.node.ts')}
import { outputHash } from ${testFile('conformance/reproducible.ts')}
for (const flag of ['--experimental-wasm-revectorize', '--wasm-tiering-budget=1000']) setFlagsFromString(flag)
const hashes = []
for (const dtype of ['f32', 'int8']) hashes.push(await outputHash({ threads: 0, dtype }))
console.log(JSON.stringify(hashes))`
    expect(await runUnder(node, text)).toEqual([GOLDEN_HASH, INT8_HASH])
  })
})
