// bertlet's side of the training bench: node bertlet.mjs CHECKPOINT RECIPE THREADS PRECISION. Commands come as one JSON object a line, and so
// do the answers: { do: 'losses', examples, count } or { do: 'step' | 'head' | 'forward', batches }. An example is [ids, label].
import { createInterface } from 'node:readline'
import { BertForSequenceClassification } from '../../dist/index.node.js'
import { HeadTraining } from '../../dist/training.js'

const [folder, recipe, threads, precision] = process.argv.slice(2)
const { learning_rate, weight_decay, max_grad_norm, gradient_checkpointing = false } = JSON.parse(recipe)
const model = await BertForSequenceClassification.fromPretrained(folder, { threads: Number(threads), precision })
/** One at a time: `{ what, training }`. */
let current
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const { build } = model.info()
say({ runs: `bertlet, Node ${process.versions.node}, ${threads} threads, build ${build.name}: ${build.why}` })

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  say(command.do === 'losses' ? await losses(command) : await run(command.do, command.batches))
}

async function losses({ examples, count }) {
  const training = new HeadTraining(model, { weight_decay, max_grad_norm, dropout: false })
  const result = []
  while (result.length < count) result.push((await training.step(labelled(examples), learning_rate)).loss)
  await training.dispose()
  return result
}

/** Milliseconds of each batch. */
async function run(what, batches) {
  const training = what === 'forward' ? undefined : await trainingFor(what)
  const times = []
  for (const examples of batches) {
    const start = performance.now()
    const { labels, ...inputs } = labelled(examples)
    await (training?.step({ ...inputs, labels }, learning_rate) ?? model(inputs))
    times.push(performance.now() - start)
  }
  return times
}

async function trainingFor(what) {
  if (current?.what === what) return current.training
  await current?.training.dispose()
  const trainable = what === 'head' ? { trainable: (name) => name.startsWith('classifier') } : {}
  current = { what, training: new HeadTraining(model, { weight_decay, max_grad_norm, gradient_checkpointing, ...trainable }) }
  return current.training
}

function labelled(examples) {
  const longest = Math.max(...examples.map(([ids]) => ids.length))
  const row = (value) => examples.map(([ids]) => Array.from({ length: longest }, (_, i) => (i < ids.length ? value(ids[i]) : 0)))
  return { input_ids: row((id) => id), attention_mask: row(() => 1), labels: examples.map(([, label]) => label) }
}
