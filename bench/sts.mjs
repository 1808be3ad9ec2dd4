// npm run measure:sts -- FILE [--threads N] [--model MODEL] [--dtype int8] : Spearman of cosine similarity on a STS-B file (tab-separated, score and sentences in columns 5..7).
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { pipeline } from '../dist/index.node.js'

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

const rows = (await readFile(file, 'utf8'))
  .split('\n')
  .map((line) => line.split('\t'))
  .filter((columns) => columns.length >= 7)
  .map((columns) => ({ score: Number(columns[4]), a: columns[5], b: columns[6].trimEnd() }))
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

function spearman(x, y) {
  const [a, b] = [ranks(x), ranks(y)]
  const mean = (a.length + 1) / 2
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - mean) * (b[i] - mean)
    aa += (a[i] - mean) ** 2
    bb += (b[i] - mean) ** 2
  }
  return ab / Math.sqrt(aa * bb)
}

/** Ranks from 1; ties share their mean rank. */
function ranks(values) {
  const order = values.map((_, i) => i).sort((i, j) => values[i] - values[j])
  const result = new Array(values.length)
  for (let i = 0; i < order.length;) {
    let j = i
    while (j + 1 < order.length && values[order[j + 1]] === values[order[i]]) j++
    for (let k = i; k <= j; k++) result[order[k]] = (i + j) / 2 + 1
    i = j + 1
  }
  return result
}
