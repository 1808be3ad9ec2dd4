// npm run bench: what each figure of the README is printed by. `npm run bench -- kernels` or `-- scaling` for one part; bench:peers compares with others.
import { parseArgs } from 'node:util'
import { printKernels } from './kernels.mjs'
import { printScaling } from './scaling.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: 'string' }, build: { type: 'string' }, dtype: { type: 'string' }, help: { type: 'boolean' } },
})
if (values.help) {
  console.log(
    [
      'usage: npm run bench [-- kernels|scaling] [--threads N] [--dtype f32|int8] [--build simd|dot|fast]',
      '  without options: f32 on one thread beside the peak, on two beside one, then int8 on one',
      '  --build dot (for int8) and fast need relaxed SIMD: Node 22 and later',
    ].join('\n'),
  )
  process.exit(0)
}
const [part = 'kernels'] = positionals
if (part !== 'kernels' && part !== 'scaling') {
  console.error(`bench: expected "kernels" or "scaling", got ${JSON.stringify(part)}`)
  process.exit(2)
}
if (part === 'scaling') await printScaling(values.threads === undefined ? {} : { threads: Number(values.threads) })
else if (values.threads ?? values.build ?? values.dtype)
  await printKernels({ threads: Number(values.threads ?? 1), build: values.build, dtype: values.dtype })
else for (const options of [{}, { threads: 2 }, { dtype: 'int8' }]) await printKernels(options)
