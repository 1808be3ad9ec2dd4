// Every pipeline gives what Hugging Face's own give; see test/golden/generate_pipelines.py.
import { pipeline, Tensor, type Source, type Task } from '../../src/index.ts'
import { memorySource } from '../../src/weights/source.ts'
import { readSafetensors } from '../support/safetensors.ts'
import { ConformanceError, same, type ConformanceCase, type Files } from './case.ts'
import { HERE } from './heads.ts'

interface GoldenCase {
  readonly task: Task
  readonly head: string
  readonly config: object
  readonly inputs: readonly unknown[]
  readonly options: object
  readonly want: unknown
}

export interface GoldenPipelines {
  readonly heads: Readonly<Record<string, object>>
  readonly cases: readonly GoldenCase[]
}

export interface AnyPipeline {
  (...args: unknown[]): Promise<unknown>
  dispose(): Promise<void>
}
export const open = pipeline as unknown as (task: string, model: unknown, options?: object) => Promise<AnyPipeline>

const FOLDER = 'pipelines'

export async function readGolden(files: Files, file = 'golden.json'): Promise<GoldenPipelines> {
  return JSON.parse(new TextDecoder().decode(await files.read(`${FOLDER}/${file}`))) as GoldenPipelines
}

/** The trunk with a head, and files beside them. */
export async function tinySource(
  files: Files,
  head: string,
  config: object,
  more: Record<string, string | Uint8Array> = {},
): Promise<Source> {
  const [trunk, own] = await Promise.all(['trunk', head].map((name) => files.read(`${FOLDER}/${name}.safetensors`)))
  const [base, vocab, tokenizer] = await Promise.all(
    ['config.json', 'vocab.txt', 'tokenizer_config.json'].map(async (name) =>
      new TextDecoder().decode(await files.read(`${FOLDER}/${name}`)),
    ),
  )
  const shards = { 'trunk.safetensors': trunk!, 'head.safetensors': own! }
  const weight_map = Object.fromEntries(
    Object.entries(shards).flatMap(([file, bytes]) => [...readSafetensors(bytes).keys()].map((name) => [name, file])),
  )
  return memorySource(
    {
      'config.json': JSON.stringify({ ...(JSON.parse(base!) as object), ...config }),
      'vocab.txt': vocab!,
      'tokenizer_config.json': tokenizer!,
      'model.safetensors.index.json': JSON.stringify({ metadata: {}, weight_map }),
      ...shards,
      ...more,
    },
    head,
  )
}

/** Equal, but for numbers that a float32 softmax may have off in its last digits. */
export function alike(got: unknown, want: unknown, what: string, eps = 2e-5): void {
  if (typeof want === 'number' && !Number.isInteger(want)) {
    if (!(Math.abs((got as number) - want) <= eps * Math.max(1, Math.abs(want))))
      throw new ConformanceError(`${what}: expected ${want}, got ${String(got)}`)
  } else if (Array.isArray(want)) {
    same([Array.isArray(got), (got as unknown[])?.length], [true, want.length], `${what}: length of ${JSON.stringify(got)}`)
    want.forEach((item, i) => alike((got as unknown[])[i], item, `${what}[${i}]`, eps))
  } else if (typeof want === 'object' && want !== null) {
    same(Object.keys(got as object).sort(), Object.keys(want).sort(), `${what}: keys`)
    for (const [key, item] of Object.entries(want)) alike((got as Record<string, unknown>)[key], item, `${what}.${key}`, eps)
  } else same(got, want, what)
}

/** Tensors as the golden files have them. */
export const plain = (value: unknown): unknown => (value instanceof Tensor ? { dims: value.dims, data: [...value.data] } : value)

function parity(task: Task, file = 'golden.json'): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const { heads } = await readGolden(files)
    const cases = (await readGolden(files, file)).cases.filter((made) => made.task === task)
    same(cases.length > 0, true, `${task}: cases`)
    for (const head of new Set(cases.map((made) => made.head))) {
      for (const config of new Set(cases.filter((made) => made.head === head).map((made) => JSON.stringify(made.config)))) {
        const own = { ...heads[head], ...(JSON.parse(config) as object) }
        const pipe = await open(task, await tinySource(files, head, own), HERE)
        try {
          for (const { inputs, options, want } of cases.filter((made) => made.head === head && JSON.stringify(made.config) === config))
            alike(plain(await pipe(...inputs, options)), want, `${head} ${JSON.stringify([...inputs, options]).slice(0, 160)}`)
        } finally {
          await pipe.dispose()
        }
      }
    }
  }
  return { name: `${task} equals Hugging Face's, ${file}`, run }
}

export const PIPELINE_CASES: readonly ConformanceCase[] = [
  parity('token-classification'),
  parity('fill-mask'),
  parity('text-classification'),
  parity('token-classification', 'windows.json'),
  parity('question-answering', 'windows.json'),
  parity('zero-shot-classification'),
  parity('feature-extraction'),
  parity('sentence-similarity'),
  parity('text-ranking'),
  parity('next-sentence-prediction'),
  parity('multiple-choice'),
]
