// npm run bench:tokenizer -- FOLDER [--rounds 7] : every line of the .txt files in FOLDER, with bert-base-uncased, one thread: bertlet, the
// pure-JavaScript @huggingface/tokenizers, and the official library's native binding take turns in one process. The ids of every line are
// compared first. Then the time from the text of tokenizer.json to the first answer, each in fresh processes.
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { SIDES } from './sides.mjs'

const run = promisify(execFile)
const here = import.meta.dirname
const { values, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '7' } } })
const [folder] = positionals
if (folder === undefined) {
  process.stderr.write('usage: npm run bench:tokenizer -- FOLDER [--rounds N]\n  FOLDER: with .txt files, each line a text\n')
  process.exit(2)
}
const rounds = Number(values.rounds)
const time = async (file) => (await stat(file).catch(() => ({ mtimeMs: 0 }))).mtimeMs
const sorted = (list) => list.toSorted((a, b) => a - b)
const median = (list) => {
  const all = sorted(list)
  return (all[(all.length - 1) >> 1] + all[all.length >> 1]) / 2
}

if ((await time(path.join(here, 'node_modules/.package-lock.json'))) < (await time(path.join(here, 'package-lock.json')))) {
  process.stderr.write('installing the peers (once)\n')
  await run('npm', ['ci', '--prefix', here, '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here })
}

/** The vocabulary as tokenizer.json, made by bertlet and compared byte by byte with what the library writes in the tests. */
const { Tokenizer } = await import('../../dist/index.node.js')
const vocab = await readFile(path.join(here, '../../test/golden/vocab/uncased.txt'), 'utf8')
const json = Tokenizer.fromFiles({ 'vocab.txt': vocab }).files()['tokenizer.json']
const cache = path.join(here, '.cache')
await mkdir(cache, { recursive: true })
await writeFile(path.join(cache, 'tokenizer.json'), json)

const files = (await readdir(folder)).filter((file) => file.endsWith('.txt')).sort()
const texts = (await Promise.all(files.map((file) => readFile(path.join(folder, file), 'utf8')))).flatMap((text) =>
  text.split('\n').filter((line) => line.trim() !== ''),
)
const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)

const sides = []
for (const [name, { load, version }] of Object.entries(SIDES)) sides.push({ name, version, all: await load(json), times: [] })
const reference = await sides[0].all(texts)
const tokens = reference.reduce((sum, ids) => sum + ids.length, 0)
for (const { name, all } of sides.slice(1)) {
  const rows = await all(texts)
  const odd = rows.findIndex((ids, i) => ids.length !== reference[i].length || ids.some((id, k) => id !== reference[i][k]))
  if (odd >= 0 || rows.length !== reference.length) throw new Error(`${name}: other ids for ${JSON.stringify(texts[odd])}`)
}
for (let round = 0; round < rounds; round++) {
  for (const { all, times } of sides) {
    const start = performance.now()
    await all(texts)
    times.push(performance.now() - start)
  }
}
const write = (text) => process.stdout.write(`${text}\n`)
write(`${cpus()[0].model}, Node ${process.version}, one thread, ${rounds} rounds`)
write(
  `${files.length} files, ${texts.length} lines, ${(bytes / 1e6).toFixed(2)} MB, ${tokens} tokens: the ids of every line are the same on all sides`,
)
const ours = median(sides[0].times)
for (const { name, version, times } of sides) {
  const ms = median(times)
  const rate = `${(bytes / ms / 1000).toFixed(1).padStart(6)} MB/s`
  const spread = `${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)} ms`
  const ratio = name === 'bertlet' ? '' : `  bertlet is ${(ms / ours).toFixed(1)} times as fast`
  write(`${`${name} ${version}`.padEnd(38)} ${ms.toFixed(0).padStart(6)} ms (${spread}) ${rate}${ratio}`)
}

write('from the text of tokenizer.json to the first answer, fresh processes:')
const cold = Object.fromEntries(sides.map(({ name }) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const { name } of sides) {
    const { stdout } = await run(process.execPath, [path.join(here, 'cold.mjs'), name, path.join(cache, 'tokenizer.json')])
    cold[name].push(Number(stdout))
  }
}
for (const [name, times] of Object.entries(cold))
  write(
    `${name.padEnd(26)} ${median(times).toFixed(1).padStart(6)} ms (${Math.min(...times).toFixed(1)} to ${Math.max(...times).toFixed(1)})`,
  )
