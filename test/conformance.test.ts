import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, it } from 'vitest'
import '../src/index.node.ts'
import type { Files } from './conformance/case.ts'
import { CONFORMANCE } from './conformance/index.ts'

const files: Files = {
  read: async (file) => new Uint8Array(await readFile(path.join(import.meta.dirname, 'golden', file))),
}

for (const [group, cases] of Object.entries(CONFORMANCE)) {
  describe(group, () => {
    for (const { name, run } of cases) it(name, () => run(files))
  })
}
