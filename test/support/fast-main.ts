// What `precision: 'fast'` does on the engine that runs this, as one line of JSON: fast.test.ts runs it on others too.
import { readFileSync } from 'node:fs'
import { BertModel, prepare } from '../../src/index.node.ts'
import { fastBuild } from '../../src/engine/build.ts'
import { compile, emptyMemory, instantiate } from '../../src/engine/module.ts'
import { outputHash, REPRODUCIBLE_CASES } from '../conformance/reproducible.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from './models.ts'

export interface FastReport {
  /** What a constructor says before prepare(). */
  readonly tooEarly: string
  readonly build: { readonly name: string; readonly why: string }
  readonly made: string
  readonly hashes: readonly string[]
  /** The largest difference to exact, and the largest value. */
  readonly difference: number
  readonly largest: number
  /** What the self-test says of the build as it is, and with each multiply-add made another instruction. */
  readonly selfTest: number | undefined
  readonly spoiled: number | undefined
  readonly refused: string
}

const CONFIG = { vocab_size: 100, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 128 }

export async function fastReport(file: string): Promise<FastReport> {
  let tooEarly = ''
  try {
    await new BertModel(CONFIG, { precision: 'fast' }).dispose()
  } catch (error) {
    tooEarly = (error as Error).message
  }
  await prepare('fast')
  const made = new BertModel(CONFIG, { precision: 'fast', threads: 1 })
  const { name } = made.info().build
  await made.dispose()
  const source = memorySource(checkpoint({ hidden_size: 96, num_attention_heads: 4, intermediate_size: 192 }, 3), 'fast')
  const inputs = rectangle(sequences(6, { longest: 60, seed: 4 }))
  const outputs = []
  let build = { name: '', why: '' }
  for (const precision of ['exact', 'fast'] as const) {
    const model = await BertModel.fromPretrained(source, { precision, threads: 2 })
    outputs.push((await model(inputs)).last_hidden_state.data)
    build = model.info().build
    await model.dispose()
  }
  const [exact, fast] = outputs as [Float32Array, Float32Array]
  const hashes = []
  for (const options of Object.values(REPRODUCIBLE_CASES)) hashes.push(await outputHash({ ...options, precision: 'fast' }))
  const bytes = new Uint8Array(readFileSync(file))
  const refused = fastBuild(undefined as never, undefined as never, 1)
  return {
    tooEarly,
    build,
    made: name,
    hashes,
    difference: exact.reduce((most, x, i) => Math.max(most, Math.abs(x - fast[i]!)), 0),
    largest: exact.reduce((most, x) => Math.max(most, Math.abs(x)), 0),
    selfTest: await selfTest(bytes),
    spoiled: await selfTest(spoil(bytes)),
    refused: typeof refused === 'string' ? refused : '',
  }
}

async function selfTest(bytes: Uint8Array<ArrayBuffer>): Promise<number | undefined> {
  if (!WebAssembly.validate(bytes)) return undefined
  return (await instantiate(await compile(bytes), emptyMemory(bytes))).selfTest()
}

/** f32x4.relaxed_madd (fd 85 02) made f32x4.relaxed_nmadd (fd 86 02): an engine that computes something else. */
function spoil(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const other = bytes.slice()
  for (let i = 0; i + 2 < other.length; i++) if (other[i] === 0xfd && other[i + 1] === 0x85 && other[i + 2] === 0x02) other[i + 1] = 0x86
  return other
}
