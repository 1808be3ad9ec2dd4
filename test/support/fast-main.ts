// What `precision: 'fast'` does on the engine that runs this, as one line of JSON: fast.test.ts runs it on others too.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { BertForSequenceClassification, BertModel, prepare } from '../../src/index.node.ts'
import { HeadTraining } from '../../src/training.ts'
import { relaxedBuild } from '../../src/engine/build.ts'
import { compile, emptyMemory, instantiate } from '../../src/engine/module.ts'
import { FAST_HEADS } from '../conformance/heads.ts'
import { hash, outputHash, REPRODUCIBLE_CASES } from '../conformance/reproducible.ts'
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
  /** Rows of the tile before and after the runs that time them, and the hashes of outputs with either. */
  readonly tiles: readonly string[]
  readonly tileHashes: readonly string[]
  /** Heads that are not within their tolerance of PyTorch, of so many cases. */
  readonly heads: { readonly cases: number; readonly failed: readonly string[] }
  /** Losses of the first steps of training, exact and fast. */
  readonly losses: readonly (readonly number[])[]
}

const CONFIG = { vocab_size: 100, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 128 }

export async function fastReport(file: string, golden: string): Promise<FastReport> {
  let tooEarly = ''
  try {
    await new BertModel(CONFIG, { precision: 'fast' }).dispose()
  } catch (error) {
    tooEarly = (error as Error).message
  }
  await prepare('fast')
  const made = new BertModel(CONFIG, { precision: 'fast', threads: 1 })
  const { name } = made.info().build
  const tiles = [made.info().tile.why]
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
  const model = await BertModel.fromPretrained(source, { precision: 'fast', threads: 2 })
  const tileHashes = []
  for (let run = 0; run < 14; run++) tileHashes.push(hash((await model(inputs)).last_hidden_state.data))
  tiles.push(model.info().tile.why)
  await model.dispose()
  const bytes = new Uint8Array(readFileSync(file))
  const refused = relaxedBuild('fast', undefined as never, undefined as never, 1)
  return {
    tooEarly,
    build,
    made: name,
    hashes,
    difference: exact.reduce((most, x, i) => Math.max(most, Math.abs(x - fast[i]!)), 0),
    largest: exact.reduce((most, x) => Math.max(most, Math.abs(x)), 0),
    selfTest: await selfTest(bytes),
    spoiled: await selfTest(spoil(bytes)),
    tiles,
    tileHashes,
    heads: await heads(golden),
    losses: [await losses('exact'), await losses('fast')],
    refused: typeof refused === 'string' ? refused : '',
  }
}

async function heads(golden: string): Promise<FastReport['heads']> {
  const failed: string[] = []
  const read = async (name: string): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(readFileSync(path.join(golden, name)))
  for (const { name, run } of FAST_HEADS) await run({ read }).catch((error: Error) => failed.push(`${name}: ${error.message}`))
  return { cases: FAST_HEADS.length, failed }
}

async function losses(precision: 'exact' | 'fast'): Promise<number[]> {
  const options = { precision, threads: 2, num_labels: 2, seed: 3, initialize_missing: true } as const
  const model = await BertForSequenceClassification.fromPretrained(memorySource(checkpoint({}, 5), 'losses'), options)
  const training = new HeadTraining(model, { seed: 9 })
  const input_ids = sequences(4, { longest: 30, seed: 8 })
  const made: number[] = []
  for (let step = 0; step < 8; step++) made.push((await training.step({ ...rectangle(input_ids), labels: [0, 1, 1, 0] }, 1e-3)).loss)
  await training.dispose()
  await model.dispose()
  return made
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
