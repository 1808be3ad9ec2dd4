// Makes a classifier of a few texts, or trains an adapter, off the page's thread. A message is a task; answers are messages too.
import { BertForSequenceClassification, Tokenizer } from './bertlet/index.web.js'
import { fewShot, Trainer } from './bertlet/training.js'

const MODEL = new URL('model', location.href)
let classifier
let tokenizer
let stop

const tasks = {
  /** A logistic head, solved over the sentence embeddings. */
  async 'few-shot'({ texts, labels }) {
    const made = await fewShot(texts, labels, { model: MODEL, signal: stop.signal })
    await use(made.model, made.tokenizer)
    return { type: 'done', files: await filesOf((to) => made.saveAdapter(to)) }
  },

  /** A low-rank adapter and a head, trained with the base frozen. */
  async train({ texts, labels, ...args }) {
    const names = [...new Set(labels)]
    const base = await BertForSequenceClassification.fromPretrained(MODEL, { initialize_missing: true, id2label: { ...names } })
    await use(await base.withAdapter({ r: 8, lora_alpha: 16 }), await Tokenizer.fromPretrained(MODEL))
    await base.dispose()
    const rows = texts.map((text, i) => ({
      input_ids: tokenizer(text, { truncation: true, max_length: 128 }).input_ids[0],
      label: names.indexOf(labels[i]),
    }))
    const trainer = new Trainer({
      model: classifier,
      args: { num_train_epochs: 3, per_device_train_batch_size: 8, learning_rate: 1e-3, ...args },
      train_dataset: rows,
      callbacks: [
        {
          on_step_end: (_, { global_step, max_steps }, __, { step }) =>
            postMessage({ type: 'step', step: global_step, steps: max_steps, loss: step.loss }),
        },
      ],
    })
    await trainer.train({ signal: stop.signal })
    return { type: 'done', files: await filesOf((to) => classifier.savePretrained(to)) }
  },

  /** Scores of every class, for texts. */
  async classify({ texts }) {
    if (classifier === undefined) throw new Error('Train first')
    const { logits } = await classifier(tokenizer(texts, { padding: true, truncation: true, max_length: 128 }))
    return { type: 'classified', scores: logits.tolist(), labels: Object.values(classifier.config.id2label) }
  },
}

addEventListener('message', async ({ data: { task, ...input } }) => {
  // A step that is under way ends unfinished; the adapter is as the last whole one left it.
  if (task === 'stop') return stop?.abort()
  if (task !== 'classify') stop = new AbortController()
  try {
    postMessage(await tasks[task](input))
  } catch (error) {
    postMessage(stop?.signal.aborted ? { type: 'stopped' } : { type: 'failed', message: error.message })
  }
})

async function use(model, its) {
  await classifier?.dispose()
  classifier = model
  tokenizer = its
}

/** What is saved, as Blobs by name. */
async function filesOf(save) {
  const files = {}
  await save({
    async write(name, pieces) {
      const parts = []
      for await (const piece of pieces) parts.push(piece)
      files[name] = new Blob(parts)
    },
  })
  return files
}
