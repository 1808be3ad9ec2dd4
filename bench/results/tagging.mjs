// npm run measure:tagging -- FILE [--fresh] [--torch] : names found in lower-cased text. FILE is WikiText; names.mjs tells how tags are derived from its
// capitals. Every fourth article is measured on, the others are trained on. A word list, which says what a word most often was, stands beside.
import { readFile } from 'node:fs/promises'
import { BertForTokenClassification, Tensor } from '../../dist/index.node.js'
import { entityMetrics, tagComputeMetrics, TagFeatures } from '../../dist/data.js'
import { namedSentences } from './names.mjs'
import { commandLine, loadTokenizer, measure } from './tokens.mjs'

/** The paper's for CoNLL-2003. */
const RECIPE = { epochs: 4, batch: 16, learning_rate: 5e-5, warmup_ratio: 0.1, weight_decay: 0.01, max_grad_norm: 1 }
const NAMES = ['O', 'B-NAME', 'I-NAME']
const options = commandLine('tagging', 'text of WikiText-2, articles under ` = Title = ` lines', RECIPE)

const tokenizer = await loadTokenizer()
const articles = namedSentences(await readFile(options.file, 'utf8'))
const part = (held) =>
  articles.flatMap((sentences, i) => ((i % 4 === 3) === held ? sentences : [])).map((each, i) => ({ place: `sentence ${i}`, ...each }))
const [train, dev] = [part(false), part(true)].map(
  (sentences) => new TagFeatures(sentences.slice(0, options.limit), tokenizer, { names: NAMES, max_length: 128 }),
)
const words = (of) => of.sentences.reduce((sum, each) => sum + each.words.length, 0)
process.stderr.write(
  `${train.sentences.length} sentences (${words(train)} words) to train on, ${dev.sentences.length} (${words(dev)}) to measure on\n`,
)

const gold = dev.sentences.map(({ tags }) => tags)
const { precision, recall, f1 } = entityMetrics(gold, byWordList(train.sentences, dev.sentences))
process.stdout.write(
  `word list    precision ${(100 * precision).toFixed(2)}, recall ${(100 * recall).toFixed(2)}, f1 ${(100 * f1).toFixed(2)}\n`,
)

await measure(
  {
    name: 'tags',
    type: BertForTokenClassification,
    labels: { id2label: { ...NAMES }, label2id: Object.fromEntries(NAMES.map((name, i) => [name, i])) },
    outputs: NAMES.length,
    train,
    dev,
    compute_metrics: tagComputeMetrics(dev),
    logits: (rows) => oneHot(rows),
    told: [
      ['f1', 100],
      ['accuracy', 100],
    ],
  },
  options,
)

/** What each word most often was in training; O for those that were not there. */
function byWordList(known, asked) {
  const counts = new Map()
  for (const { words: list, tags } of known)
    list.forEach((word, i) => {
      const of = counts.get(word) ?? [0, 0]
      of[tags[i] === 'O' ? 0 : 1]++
      counts.set(word, of)
    })
  return asked.map(({ words: list }) => {
    const names = list.map((word) => counts.has(word) && counts.get(word)[1] > counts.get(word)[0])
    return names.map((name, i) => (name ? (names[i - 1] ? 'I-NAME' : 'B-NAME') : 'O'))
  })
}

/** Classes of tokens as logits. */
function oneHot(rows) {
  const [width, classes] = [Math.max(...rows.map((row) => row.length)), NAMES.length]
  const data = new Float32Array(rows.length * width * classes)
  rows.forEach((row, i) => row.forEach((label, t) => (data[(i * width + t) * classes + label] = 1)))
  return new Tensor(data, [rows.length, width, classes])
}
