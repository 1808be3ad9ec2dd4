// npm run measure:retrieval -- FOLDER [--run FILE]: how well abstracts of Cranfield are found by vectors, by words and by both.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { pipeline } from '../../dist/index.node.js'
import { meanAveragePrecision, ndcg, recall, TextIndex } from '../../dist/retrieval.js'
import { readCranfield } from './cranfield.mjs'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { run: { type: 'string' }, model: { type: 'string' }, dtype: { type: 'string' } },
})
const [folder] = positionals
if (folder === undefined) throw new Error('expected the folder of cran.all.1400, cran.qry and cranqrel')
const { documents, queries, qrels } = await readCranfield(folder)
const embed = await pipeline('feature-extraction', values.model, values.dtype && { dtype: values.dtype })

/** The same vectors for every index. */
const kept = new Map()
const once = async (texts, options) => {
  const key = texts.join()
  if (!kept.has(key)) kept.set(key, await embed(texts, options))
  return kept.get(key)
}

const ROWS = [
  ['dense', 'float32', { mode: 'dense' }],
  ['dense', 'int8', { mode: 'dense' }],
  ['dense', 'binary', { mode: 'dense' }],
  ['BM25', 'float32', { mode: 'bm25' }],
  ['hybrid', 'float32', { mode: 'hybrid' }],
  ['hybrid, weighted', 'float32', { mode: 'hybrid', fusion: 'weighted' }],
]
const [indexes, runs] = [{}, {}]
const { model, dtype } = embed.model.info()
console.log(`${documents.length} abstracts, ${queries.length} queries, ${model} ${dtype.name}\n`)
console.log('| by | vectors | nDCG@10 | MAP | recall@100 |\n|---|---|---|---|---|')
for (const [name, precision, options] of ROWS) {
  if (indexes[precision] === undefined) await (indexes[precision] = new TextIndex(once, { precision })).add(documents)
  // Candidates are a few for each result: every measure asks for what it looks at.
  const found = async (top_k) => {
    const run = {}
    for (const { id, text } of queries)
      run[id] = (await indexes[precision].search(text, { ...options, top_k, candidates: Math.max(top_k, 1000) })).map((hit) => hit.id)
    return run
  }
  const run = (runs[`${name} ${precision}`] = await found(1000))
  const figures = [ndcg(await found(10), qrels, 10), meanAveragePrecision(run, qrels), recall(await found(100), qrels, 100)]
  console.log(`| ${name} | ${options.mode === 'bm25' ? '' : precision} | ${figures.map((figure) => figure.toFixed(4)).join(' | ')} |`)
}
if (values.run) await writeFile(values.run, JSON.stringify({ runs, qrels }))
await embed.dispose()
