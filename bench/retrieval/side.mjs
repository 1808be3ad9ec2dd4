// One side of one row of peers.mjs, in a process of its own: node side.mjs JSON; prints JSON. Loading the model and warming up are not timed.
import path from 'node:path'
import { assertWasm, folderFor, onWasm } from '../peers/on-wasm.mjs'
import { readCranfield } from './cranfield.mjs'

const cell = JSON.parse(process.argv[2])
const WARM = 24
/** Texts that transformers.js is given together, by length, so that it pads little: the quickest of 1, 4 and 16 on the machine of the README is 1. */
const TOGETHER = cell.together

const sides = {
  async bertlet({ int8, threads, package: model }) {
    const { pipeline } = await import('../../dist/index.node.js')
    const { splitText, TextIndex } = await import('../../dist/retrieval.js')
    const embed = await pipeline('feature-extraction', model, { threads, ...(int8 && { dtype: 'int8' }) })
    return async (texts) => {
      const index = new TextIndex(embed, { threads })
      const entries = (await texts()).flatMap(({ id, text }) =>
        splitText(text, embed.tokenizer, { max_tokens: 510 }).map((passage, i) => ({ id: `${id}#${i}`, text: passage.text })),
      )
      await index.add(entries)
      return { passages: index.size, first: [...(await embed([entries[0].text], { pooling: 'mean', normalize: true })).data] }
    }
  },
  async transformers({ folder, int8, threads, package: model }) {
    const { env, pipeline } = onWasm(threads)
    await folderFor('cranfield', { folder, model, onnx: int8 ? 'model_int8.onnx' : 'model.onnx' })
    env.localModelPath = `${folder}${path.sep}`
    const embed = await pipeline('feature-extraction', 'cranfield', { dtype: int8 ? 'int8' : 'fp32', device: 'cpu' })
    return async (texts) => {
      const list = (await texts()).map(({ text }) => text).sort((a, b) => a.length - b.length)
      const vectors = new Float32Array(list.length * 384)
      for (let at = 0; at < list.length; at += TOGETHER)
        vectors.set((await embed(list.slice(at, at + TOGETHER), { pooling: 'mean', normalize: true })).data, at * 384)
      return { passages: list.length, vectors }
    }
  },
}

const run = await sides[cell.side](cell)
const { documents } = await readCranfield(cell.data)
const some = documents.filter((_, i) => i % cell.every === 0)
await run(async () => some.slice(0, WARM))
const [start, before] = [performance.now(), process.cpuUsage()]
const { passages } = await run(async () => {
  // Reading is part of it.
  const again = (await readCranfield(cell.data)).documents
  return again.filter((_, i) => i % cell.every === 0)
})
const ms = performance.now() - start
const { user, system } = process.cpuUsage(before)
if (cell.side === 'transformers') assertWasm()
const { first, vectors } = await run(async () => [some[0]])
process.stdout.write(`${JSON.stringify({ ms, cpu: (user + system) / 1000, passages, vector: vectors ? [...vectors] : first })}\n`, () =>
  process.exit(0),
)
