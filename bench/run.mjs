// npm run bench: what each figure of the README is printed by. `npm run bench -- kernels` or `-- scaling` for one part; bench:peers compares with others.
import { parseArgs } from 'node:util'
import { printKernels } from './kernels.mjs'
import { printScaling } from './scaling.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: 'string' }, build: { type: 'string' }, help: { type: 'boolean' } },
})
if (values.help) {
  console.log(
    'usage: npm run bench [-- kernels|scaling] [--threads N] [--build simd|dot|fast]\n  without --threads: one thread beside the peak, then two threads beside one',
  )
  process.exit(0)
}
const [part = 'kernels'] = positionals
if (part !== 'kernels' && part !== 'scaling') {
  console.error(`bench: expected "kernels" or "scaling", got ${JSON.stringify(part)}`)
  process.exit(2)
}
const build = values.build ?? 'simd'
if (part === 'scaling') await printScaling(values.threads === undefined ? {} : { threads: Number(values.threads) })
else for (const threads of values.threads === undefined ? [1, 2] : [Number(values.threads)]) await printKernels({ threads, build })
