// npm run measure:pretraining -- FOLDER [--output FOLDER] : a BERT of 4 layers and 256 columns from raw text, three seeds, against knowing no
// context. FOLDER holds .txt files as corpus.mjs reads them; every tenth document is held out, of the vocabulary too.
import { appendFile, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { BertForPreTraining } from '../../dist/index.node.js'
import { createPretrainingData, trainWordPiece } from '../../dist/training.js'
import { documentsOf, READING, split } from './corpus.mjs'
import { readOptions } from './options.mjs'
import { allInstances, baselines, errorsAboveChance, pretrain, sample } from './pretrain.mjs'
import { meanAndRange } from './table.mjs'

const { folder, values, numbers } = readOptions('measure:pretraining', {
  output: 'pretraining-results',
  seeds: '1,2,3',
  steps: '5000',
  batch: '16',
  length: '64',
  rate: '1e-3',
  vocabulary: '4000',
  every: '250',
})
const print = (text) => process.stdout.write(`${text}\n`)

const documents = await documentsOf(folder)
const { train, heldOut } = split(documents)
const tokenizer = await trainWordPiece(train, { vocab_size: numbers.vocabulary })
const options = { ...READING, max_seq_length: numbers.length, masking: 'dynamic', seed: 1 }
const data = await createPretrainingData(train, tokenizer, options)
const everyHeld = await createPretrainingData(heldOut, tokenizer, options)
const held = await allInstances(everyHeld)
/** For the points of the curve before the last. */
const some = await sample(everyHeld, 320)
const base = baselines(await allInstances(data), held, tokenizer.total_size)
print(
  `${documents.length} documents, every tenth held out; ${data.tokens} tokens of ${tokenizer.total_size} to train on, ${data.length} pairs an epoch`,
)
print(
  `held out: ${held.length} pairs, ${base.targets} masked words; entropy ${base.entropy.toFixed(3)} nats, unigram ${base.unigram.toFixed(3)}`,
)

await mkdir(values.output, { recursive: true })
const ends = []
for (const seed of values.seeds.split(',').map(Number)) {
  const log = path.join(values.output, `seed-${seed}.jsonl`)
  await rm(log, { force: true })
  const config = {
    vocab_size: tokenizer.total_size,
    hidden_size: 256,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    intermediate_size: 1024,
    max_position_embeddings: 128,
    // Five passes over a small text, masked anew in each.
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
  }
  const model = new BertForPreTraining(config, { seed, ...(values.threads && { threads: Number(values.threads) }) })
  const series = await createPretrainingData(train, tokenizer, { ...options, seed })
  for await (const line of pretrain(model, series, held, { ...numbers, learning_rate: numbers.rate, seed, some })) {
    await appendFile(log, `${JSON.stringify({ seed, ...base, ...line })}\n`)
    process.stderr.write(`seed ${seed}: ${JSON.stringify(line)}\n`)
    ends[seed] = line
  }
  await model.savePretrained(path.join(values.output, `seed-${seed}`), { tokenizer })
  await model.dispose()
  const { mlm_loss, nsp_accuracy, tokens, seconds } = ends[seed]
  print(
    `seed ${seed}: masked words ${mlm_loss.toFixed(3)}, ${(base.entropy - mlm_loss).toFixed(3)} below the entropy; next sentence ` +
      `${(100 * nsp_accuracy).toFixed(1)} %, ${errorsAboveChance(nsp_accuracy, held.length).toFixed(1)} standard errors above chance; ` +
      `${numbers.steps} steps, ${tokens} tokens, ${(seconds / 60).toFixed(1)} min`,
  )
}
const told = ends.filter(Boolean)
print(
  `masked words: ${meanAndRange(
    told.map(({ mlm_loss }) => mlm_loss),
    3,
  )} nats against ${base.entropy.toFixed(3)}`,
)
print(
  `next sentence: ${meanAndRange(
    told.map(({ nsp_accuracy }) => 100 * nsp_accuracy),
    1,
  )} %`,
)
