// npm run measure:dtypes -- FILE [--model MODEL] [--calibrated MODEL] [--threads N] [--token-classification MODEL] [--question-answering MODEL]
// What each dtype costs and gives, as README's table: a STS-B file (see measure:sts) is embedded in each, beside f32's vectors.
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertForQuestionAnswering, BertForTokenClassification, pipeline } from '../dist/index.node.js'
import { readPairs, spearman } from './sts-pairs.mjs'

const text = { type: 'string' }
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { model: text, calibrated: text, threads: text, 'token-classification': text, 'question-answering': text },
})
const [file] = positionals
if (file === undefined) {
  process.stderr.write(
    'usage: npm run measure:dtypes -- FILE [--model MODEL] [--calibrated MODEL] [--threads N] [--token-classification MODEL] [--question-answering MODEL]\n  FILE: STS benchmark, tab-separated; column 5 the score, 6 and 7 the sentences\n',
  )
  process.exit(2)
}
const DTYPES = ['f32', 'int8', 'int4']
/** The last, if given, is what `bertlet quantize --calibrate` wrote of the model. */
const rows = [
  ...DTYPES.map((dtype) => [dtype, values.model]),
  ...(values.calibrated ? [['int8', values.calibrated, 'int8, calibrated']] : []),
]
const threads = Number(values.threads ?? 1)
const pairs = await readPairs(file)
const texts = pairs.flatMap(({ a, b }) => [a, b])
const say = (line) => process.stdout.write(`${line}\n`)

say('| dtype | file MB | memory MB | 1x128 ms | STS-B Spearman | cosine to f32, mean | worst |')
say('|---|---|---|---|---|---|---|')
let exact
for (const [dtype, model, name = dtype] of rows) {
  const embed = await pipeline('feature-extraction', model, { dtype, threads })
  // Before anything long has grown the memory.
  const ms = await timed(embed.model)
  const memory = embed.model.info().bytes.memory
  const bytes = await fileBytes(embed.model)
  const { data, dims } = await embed(texts, { pooling: 'mean', normalize: true, max_length: 256 })
  await embed.dispose()
  exact ??= data
  const [score, cosines] = compare(data, exact, dims[1])
  const mean = cosines.reduce((sum, x) => sum + x, 0) / cosines.length
  const columns = [
    name,
    megabytes(bytes),
    megabytes(memory),
    ms.toFixed(1),
    score.toFixed(4),
    mean.toFixed(5),
    Math.min(...cosines).toFixed(5),
  ]
  say(`| ${columns.join(' | ')} |`)
}

say('')
say('| logits beside f32: relative error (RMS) | int8 | int4 |')
say('|---|---|---|')
for (const [task, Model] of [
  ['token-classification', BertForTokenClassification],
  ['question-answering', BertForQuestionAnswering],
]) {
  const given = values[task]
  let wanted
  const errors = []
  for (const dtype of DTYPES) {
    const logits = await headLogits(task, Model, given, dtype)
    wanted ??= logits
    if (dtype !== 'f32') errors.push(relative(logits, wanted).toFixed(4))
  }
  say(`| ${task}, ${given ?? 'a random head'} | ${errors.join(' | ')} |`)
}
say('')
say(`${values.model ?? 'all-MiniLM-L6-v2'}, ${threads} threads, Node ${process.versions.node}, ${pairs.length} pairs`)

/** Median time of one text of 128 tokens. */
async function timed(model) {
  const inputs = { input_ids: [Array.from({ length: 128 }, (_, i) => 1000 + i)] }
  const times = []
  for (let i = 0; i < 40; i++) {
    const start = performance.now()
    await model(inputs)
    times.push(performance.now() - start)
  }
  return times.slice(15).sort((a, b) => a - b)[12]
}

/** Bytes of the weights as they are saved. */
async function fileBytes(model) {
  const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-'))
  try {
    await model.savePretrained(folder)
    return (await stat(path.join(folder, 'model.safetensors'))).size
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Spearman of a file's pairs, and the cosine of each vector to f32's. */
function compare(data, exact, width) {
  const vector = (from, i) => from.subarray(i * width, (i + 1) * width)
  const dot = (a, b) => a.reduce((sum, x, j) => sum + x * b[j], 0)
  const found = pairs.map((_, i) => dot(vector(data, 2 * i), vector(data, 2 * i + 1)))
  return [
    spearman(
      pairs.map(({ score }) => score),
      found,
    ),
    texts.map((_, i) => dot(vector(data, i), vector(exact, i))),
  ]
}

/** A head's logits for some of the texts, as ids: the head is the checkpoint's, or of seed 1 on the model's trunk. */
async function headLogits(task, Model, given, dtype) {
  const embed = await pipeline('feature-extraction', given ?? values.model, { dtype, threads })
  const encoded = await embed.tokenizer(texts.slice(0, 256), { padding: true, truncation: true, max_length: 128 })
  const head =
    given === undefined
      ? await embed.model.withHead(Model, null, { ...(task === 'token-classification' && { num_labels: 9 }), seed: 1 })
      : await Model.fromPretrained(given, { dtype, threads })
  const outputs = await head(encoded)
  const parts = outputs.logits ? [outputs.logits] : [outputs.start_logits, outputs.end_logits]
  const mask = encoded.attention_mask.flat()
  const kept = []
  for (const { data, dims } of parts) {
    const each = data.length / (dims[0] * dims[1])
    data.forEach((x, i) => mask[Math.floor(i / each)] === 1 && kept.push(x))
  }
  if (head !== embed.model) await head.dispose()
  await embed.dispose()
  return kept
}

function relative(got, wanted) {
  const norm = (list) => Math.sqrt(list.reduce((sum, x) => sum + x * x, 0))
  return norm(got.map((x, i) => x - wanted[i])) / norm(wanted)
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1)
}
