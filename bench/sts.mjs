// npm run measure:sts -- FILE [--threads N] [--model MODEL] [--dtype int8] : Spearman of cosine similarity on a STS-B file (tab-separated, score and sentences in columns 5..7).
import { parseArgs } from 'node:util'
import { pipeline } from '../dist/index.node.js'
import { readPairs, spearman } from './sts-pairs.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: 'string' }, model: { type: 'string' }, dtype: { type: 'string' } },
})
const [file] = positionals
if (file === undefined) {
  process.stderr.write(
    'usage: npm run measure:sts -- FILE [--threads N] [--model MODEL] [--dtype int8]\n  FILE: STS benchmark, tab-separated; column 5 the score, 6 and 7 the sentences\n',
  )
  process.exit(2)
}

const rows = await readPairs(file)
const embed = await pipeline('feature-extraction', values.model, {
  ...(values.threads !== undefined && { threads: Number(values.threads) }),
  ...(values.dtype !== undefined && { dtype: values.dtype }),
})

const start = performance.now()
const cosines = []
const step = 64
for (let i = 0; i < rows.length; i += step) {
  const part = rows.slice(i, i + step)
  const { data, dims } = await embed(
    part.flatMap(({ a, b }) => [a, b]),
    { pooling: 'mean', normalize: true, max_length: 256 },
  )
  const vector = (k) => data.subarray(k * dims[1], (k + 1) * dims[1])
  part.forEach((_, k) => cosines.push(vector(2 * k).reduce((sum, x, j) => sum + x * vector(2 * k + 1)[j], 0)))
  if (process.stderr.isTTY) process.stderr.write(`\r${i + part.length}/${rows.length} pairs`)
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
const seconds = (performance.now() - start) / 1000
const { model, threads, build, dtype } = embed.model.info()
process.stdout.write(
  `Spearman ${spearman(
    rows.map((row) => row.score),
    cosines,
  ).toFixed(6)}  ${rows.length} pairs  ${seconds.toFixed(1)} s\n`,
)
process.stdout.write(`${model}  ${dtype.name}  build ${build.name}  ${threads.count} threads\n`)
await embed.dispose()
