// One side in a process of its own: milliseconds from the text of tokenizer.json to the ids of a first sentence; modules are loaded before.
import { readFileSync } from 'node:fs'
import { SIDES } from './sides.mjs'

const [name, file] = process.argv.slice(2)
const json = readFileSync(file, 'utf8')
// With nothing in it: the modules are loaded, the vocabulary is not.
await SIDES[name].load('{').catch(() => undefined)
const start = performance.now()
const encode = await SIDES[name].load(json)
const [ids] = await encode(['The first sentence of a process.'])
const time = performance.now() - start
if (ids.join() !== '101,1996,2034,6251,1997,1037,2832,1012,102') throw new Error(`${name}: ${ids}`)
process.stdout.write(String(time))
