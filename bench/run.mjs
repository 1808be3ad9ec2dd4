// npm run bench: what each figure of the README is printed by. `npm run bench -- kernels` for one part; bench:peers compares with others.
import { parseArgs } from 'node:util'
import { printKernels } from './kernels.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: 'string' }, build: { type: 'string' }, help: { type: 'boolean' } },
})
if (values.help) {
  console.log(
    'usage: npm run bench [-- kernels] [--threads N] [--build simd|dot|fast]\n  without --threads: one thread beside the peak, then two threads beside one',
  )
  process.exit(0)
}
if (positionals.length > 0 && positionals[0] !== 'kernels') {
  console.error(`bench: expected "kernels", got ${JSON.stringify(positionals[0])}`)
  process.exit(2)
}
const build = values.build ?? 'simd'
for (const threads of values.threads === undefined ? [1, 2] : [Number(values.threads)]) await printKernels({ threads, build })
