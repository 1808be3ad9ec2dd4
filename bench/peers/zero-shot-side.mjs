// One side of one row of zero-shot.mjs, in a process of its own: node zero-shot-side.mjs JSON; prints JSON. Loading and warming up are not timed.
import path from 'node:path'
import { readCranfield } from '../retrieval/cranfield.mjs'
import { assertWasm, folderFor, onWasm } from './on-wasm.mjs'

const cell = JSON.parse(process.argv[2])
const LABELS =
  `aerodynamics heat pressure structures shells buckling turbulence propellers shock wings bodies tunnels boundary layers flutter fuel
  gases plates cones jets`.split(/\s+/)
const WARM = 2

const sides = {
  async bertlet({ folder, int8, threads }) {
    const { pipeline } = await import('../../dist/index.node.js')
    return pipeline('zero-shot-classification', folder, { threads, ...(int8 && { dtype: 'int8' }) })
  },
  async transformers({ folder, model, int8, threads }) {
    const { env, pipeline } = onWasm(threads)
    await folderFor('peer', { folder, model, onnx: int8 ? 'model_int8.onnx' : 'model.onnx' })
    env.localModelPath = `${folder}${path.sep}`
    return pipeline('zero-shot-classification', 'peer', { dtype: int8 ? 'int8' : 'fp32', device: 'cpu' })
  },
}

const labels = LABELS.slice(0, cell.labels)
const texts = (await readCranfield(cell.data)).queries.map(({ text }) => text).slice(0, cell.texts)
if (labels.length !== cell.labels || texts.length !== cell.texts) throw new Error(`expected at most ${LABELS.length} labels and 225 texts`)
const classify = await sides[cell.side](cell)
await classify(texts.slice(0, WARM), labels)
const [start, before] = [performance.now(), process.cpuUsage()]
const results = await classify(texts, labels)
const ms = performance.now() - start
const { user, system } = process.cpuUsage(before)
if (cell.side === 'transformers') assertWasm()
// In the order of the labels: ranks of equal ones may differ.
const scores = results.flatMap((result) => labels.map((label) => result.scores[result.labels.indexOf(label)]))
process.stdout.write(`${JSON.stringify({ ms, cpu: (user + system) / 1000, scores })}\n`, () => process.exit(0))
