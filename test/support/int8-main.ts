// What int8 does on the engine that runs this, as one object: int8.test.ts runs it on others too.
import { readFileSync } from 'node:fs'
import { BertModel } from '../../src/index.node.ts'
import { relaxedBuild } from '../../src/engine/build.ts'
import { emptyMemory, instantiate } from '../../src/engine/module.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint } from './models.ts'

export interface Int8Report {
  readonly build: { readonly name: string; readonly why: string }
  /** What the self-test says of the build as it is, and with its byte products made another instruction. */
  readonly selfTest: number | undefined
  readonly spoiled: number | undefined
  readonly refused: string
}

export async function int8Report(file: string): Promise<Int8Report> {
  const model = await BertModel.fromPretrained(memorySource(checkpoint(), 'int8'), { threads: 0, dtype: 'int8' })
  const { build } = model.info()
  await model.dispose()
  const bytes = new Uint8Array(readFileSync(file))
  const refused = relaxedBuild('dot', undefined as never, undefined as never, 2)
  return {
    build,
    selfTest: await selfTest(bytes),
    spoiled: await selfTest(spoil(bytes)),
    refused: typeof refused === 'string' ? refused : '',
  }
}

async function selfTest(bytes: Uint8Array<ArrayBuffer>): Promise<number | undefined> {
  if (!WebAssembly.validate(bytes)) return undefined
  return (await instantiate(await WebAssembly.compile(bytes), emptyMemory(bytes))).selfTest()
}

/** i32x4.relaxed_dot_i8x16_i7x16_add_s (fd 93 02) made f32x4.relaxed_madd (fd 85 02): an engine that computes something else. */
function spoil(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const other = bytes.slice()
  for (let i = 0; i + 2 < other.length; i++) if (other[i] === 0xfd && other[i + 1] === 0x93 && other[i + 2] === 0x02) other[i + 1] = 0x85
  return other
}
