// npm run measure:xquad -- FILE [--fresh] [--torch] : question answering on XQuAD English, whose FILE has SQuAD v1.1's layout. Every fourth paragraph is
// measured on, the others are trained on: no context is in both. Small data: about 450 questions to learn from.
import { readFile } from 'node:fs/promises'
import { BertForQuestionAnswering } from '../../dist/index.node.js'
import { readSquad, squadComputeMetrics, SquadFeatures } from '../../dist/data.js'
import { commandLine, loadTokenizer, measure, stacked } from './tokens.mjs'

/** The paper's for SQuAD, but for a smaller batch and more epochs, as there is little to learn from. */
const RECIPE = { epochs: 10, batch: 8, learning_rate: 1e-4, warmup_ratio: 0.1, weight_decay: 0.01, max_grad_norm: 1 }
const options = commandLine('xquad', 'xquad.en.json, or a part of it', RECIPE)

const tokenizer = await loadTokenizer()
const questions = await readSquad(await readFile(options.file), options.file)
const contexts = [...new Set(questions.map(({ context }) => context))]
const held = new Set(contexts.filter((_, i) => i % 4 === 3))
const features = (list) => new SquadFeatures(list.slice(0, options.limit), tokenizer, { max_length: 384, doc_stride: 128 })
const [train, dev] = [
  features(questions.filter(({ context }) => !held.has(context))),
  features(questions.filter(({ context }) => held.has(context))),
]
process.stderr.write(
  `${train.questions.length} questions (${train.length} windows) to train on, ${dev.questions.length} (${dev.length}) to measure on\n`,
)

await measure(
  {
    name: 'qa',
    type: BertForQuestionAnswering,
    outputs: 2,
    train,
    dev,
    compute_metrics: squadComputeMetrics(dev),
    logits: (rows) => ({ start_logits: stacked(rows.map(([start]) => start)), end_logits: stacked(rows.map(([, end]) => end)) }),
    told: [
      ['exact_match', 1],
      ['f1', 1],
    ],
  },
  options,
)
