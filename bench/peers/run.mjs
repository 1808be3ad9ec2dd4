// bertlet beside onnxruntime-web: MiniLM-shaped f32, one thread, this Node. The two take turns in fresh processes, so that a slow minute of the
// machine meets both; their outputs are compared before a time is believed. usage: node bench/peers/run.mjs [--rounds 2]
import { execFile } from 'node:child_process'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import path from 'node:path'
import { promisify, parseArgs } from 'node:util'
import { CONFIG, randomWeights, writeCheckpoint } from './checkpoint.mjs'
import { bertOnnx } from './onnx.mjs'

const SIDES = ['bertlet', 'ort-web']
const CELLS = [
  { batch: 1, length: 128 },
  { batch: 8, length: 128 },
]
/** Each side may be off by 2e-5 on outputs of unit scale. */
const TOLERANCE = 4e-5

const run = promisify(execFile)
const here = import.meta.dirname
const cache = path.join(here, '.cache')
const folder = path.join(cache, 'minilm')
const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '2' } } })
const time = async (file) => (await stat(file).catch(() => ({ mtimeMs: 0 }))).mtimeMs
const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}
const sentence = (text) => process.stderr.write(`${text}\n`)

async function install() {
  if ((await time(path.join(here, 'node_modules/.package-lock.json'))) >= (await time(path.join(here, 'package-lock.json')))) return
  sentence('installing onnxruntime-web (once)')
  await run('npm', ['ci', '--prefix', here, '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here })
}

async function generate() {
  const sources = await Promise.all(['checkpoint.mjs', 'onnx.mjs'].map((file) => time(path.join(here, file))))
  if ((await time(path.join(folder, 'model.onnx'))) > Math.max(...sources)) return
  sentence('writing the model (once)')
  const weights = randomWeights(CONFIG)
  await writeCheckpoint(folder, CONFIG, weights)
  await writeFile(path.join(folder, 'model.onnx'), bertOnnx(CONFIG, weights))
}

const outputFile = (side, { batch, length }) => path.join(cache, `${side}-${batch}x${length}.f32`)

async function measure(side, cell) {
  const { stdout } = await run(
    process.execPath,
    [path.join(here, `${side}.mjs`), folder, cell.batch, cell.length, outputFile(side, cell)].map(String),
  )
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

/** The largest difference between the sides' outputs. */
async function difference(cell) {
  const [a, b] = await Promise.all(
    SIDES.map(async (side) => new Float32Array(new Uint8Array(await readFile(outputFile(side, cell))).buffer)),
  )
  if (a.length !== b.length || a.length !== cell.batch * cell.length * CONFIG.hidden_size)
    throw new Error(`outputs of ${a.length} and ${b.length} numbers`)
  // Not Math.max: a NaN must fail.
  const worst = a.reduce((most, x, i) => (Math.abs(x - b[i]) <= most ? most : Math.abs(x - b[i])), 0)
  if (!(worst <= TOLERANCE))
    throw new Error(`outputs differ by ${worst}, expected at most ${TOLERANCE}: the times would compare different things`)
  return worst
}

await mkdir(cache, { recursive: true })
await install()
await generate()

const { version } = JSON.parse(await readFile(path.join(here, 'node_modules/onnxruntime-web/package.json'), 'utf8'))
const results = []
for (const cell of CELLS) {
  const runs = { bertlet: [], 'ort-web': [] }
  let differs
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const side of SIDES) runs[side].push(await measure(side, cell))
    differs ??= await difference(cell)
  }
  const ratios = runs.bertlet.map(({ median }, round) => median / runs['ort-web'][round].median)
  results.push({ ...cell, difference: differs, ratio: median(ratios), ratios, runs })
}

const ms = (value) => value.toFixed(1).padStart(7)
console.log(
  `\nMiniLM shape, f32, 1 thread, Node ${process.versions.node}, onnxruntime-web ${version}, ${cpus()[0].model}; ms by round: median (p25 to p75)`,
)
for (const { batch, length, difference, ratio, ratios, runs } of results) {
  console.log(
    `\n${batch}x${length}: bertlet takes ${ratio.toFixed(3)} of its time (${ratios.map((r) => r.toFixed(3)).join(', ')}); outputs differ by ${difference.toExponential(1)}`,
  )
  for (const side of SIDES)
    for (const { median, p25, p75, others } of runs[side])
      console.log(
        `  ${side.padEnd(8)} ${ms(median)} (${ms(p25)} to${ms(p75)})${others > 0.1 ? `  disturbed: others used ${others.toFixed(1)} cores` : ''}`,
      )
}
const report = { date: new Date().toISOString(), node: process.versions.node, cpu: cpus()[0].model, ort: version, results }
await writeFile(path.join(cache, 'results.json'), JSON.stringify(report, null, 2))
console.log(`\n${JSON.stringify(report)}`)
