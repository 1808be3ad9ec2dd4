// The peer's side of test/transformers-js.test.ts, in a process of its own: node peer.mjs FOLDER. Reads FOLDER/cases.json, { models: { name: head }, cases:
// [{ task, model, inputs, options }] }, writes the ONNX file of each checkpoint FOLDER/name, and prints a line of JSON for each case: { value } or { error }.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readCheckpoint } from '../../bench/peers/checkpoint.mjs'
import { assertWasm, onWasm } from '../../bench/peers/on-wasm.mjs'
import { bertOnnx } from '../../bench/peers/onnx.mjs'

const folder = path.resolve(process.argv[2])
const { models, cases } = JSON.parse(await readFile(path.join(folder, 'cases.json'), 'utf8'))
for (const [name, head] of Object.entries(models)) {
  const place = path.join(folder, name)
  const { config, weights } = await readCheckpoint(place)
  await mkdir(path.join(place, 'onnx'), { recursive: true })
  await writeFile(path.join(place, 'onnx/model.onnx'), bertOnnx(config, weights, { head }))
}
const { AutoModelForSequenceClassification, AutoTokenizer, env, pipeline } = onWasm(1, import.meta.dirname)
env.localModelPath = `${folder}${path.sep}`
const options = { dtype: 'fp32', device: 'cpu' }

/** What has no pipeline there: pairs, by the tokenizer and the model, as the cards of cross-encoders call them. [pairs, labels] */
async function logitsOfPairs(name) {
  const tokenizer = await AutoTokenizer.from_pretrained(name)
  const model = await AutoModelForSequenceClassification.from_pretrained(name, options)
  return async (texts, text_pair) => (await model(tokenizer(texts, { text_pair, padding: true, truncation: true }))).logits
}

const opened = new Map()
const open = (task, name) => {
  const key = `${task} ${name}`
  if (!opened.has(key)) opened.set(key, task === 'logits of pairs' ? logitsOfPairs(name) : pipeline(task, name, options))
  return opened.get(key)
}

/** Tensors as { dims, data }, and no numbers that JSON has not. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object' || value === null) return value
  if ('dims' in value) return { dims: value.dims, data: Array.from(value.data, Number) }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

for (const { task, model, inputs, options: how } of cases) {
  let line
  try {
    line = { value: plain(await (await open(task, model))(...inputs, ...(task === 'logits of pairs' ? [] : [how]))) }
  } catch (error) {
    line = { error: String(error) }
  }
  process.stdout.write(`#${JSON.stringify(line)}\n`)
}
assertWasm()
process.stdout.write('', () => process.exit(0))
