// Commands of tasks: the built command in child processes, its output against the library's.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import { open, readGolden, tinySource } from './conformance/pipelines.ts'
import { bertlet, build, jsonl, ROOT } from './support/command.ts'

const FILES = ['config.json', 'vocab.txt', 'tokenizer_config.json', 'model.safetensors.index.json', 'trunk.safetensors', 'head.safetensors']
let folder: string

/** A golden head as a folder. */
async function model(head: string): Promise<string> {
  const files = { read: async (file: string) => new Uint8Array(await readFile(path.join(ROOT, 'test/golden', file))) }
  const { heads } = await readGolden(files)
  const source = await tinySource(files, head, heads[head]!)
  const place = path.join(folder, head)
  await mkdir(place, { recursive: true })
  for (const file of FILES) {
    const reader = (await source.open(file))!
    await writeFile(path.join(place, file), await reader.read(0, reader.size))
  }
  return place
}

beforeAll(async () => {
  await build()
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-tasks-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const TEXTS = ['Ada lived in London', 'a good 🙂 film']
const MASKED = ['the [MASK]', 'a [MASK] sat on the [MASK]']

/** Command, task, head, what comes before the texts, texts, options, and the same as the library has them. */
const CASES: readonly [string, string, string, string[], string[], string[], readonly unknown[]][] = [
  ['classify', 'text-classification', 'sentiment', [], TEXTS, ['--top-k', '2'], [TEXTS, { top_k: 2 }]],
  ['ner', 'token-classification', 'ner', [], TEXTS, ['--aggregation-strategy', 'max'], [TEXTS, { aggregation_strategy: 'max' }]],
  ['fill-mask', 'fill-mask', 'mlm', [], MASKED, ['--targets', 'cat,dog'], [MASKED, { targets: ['cat', 'dog'] }]],
  ['ask', 'question-answering', 'qa', ['who?'], TEXTS, [], [['who?', 'who?'], TEXTS]],
  [
    'zero-shot',
    'zero-shot-classification',
    'nli',
    [],
    TEXTS,
    ['--labels', 'cat, dog', '--multi-label'],
    [TEXTS, ['cat', 'dog'], { multi_label: true }],
  ],
]

describe('commands of tasks', () => {
  it.each(CASES)('%s gives what the library gives', async (verb, task, head, first, texts, options, args) => {
    const place = await model(head)
    const pipe = await open(task, place, { threads: 1 })
    const want = (await pipe(...args)) as unknown[]
    await pipe.dispose()
    const common = ['--model', place, '--threads', '1', ...options]
    const given = await bertlet([verb, ...first, ...texts, ...common])
    expect(given).toMatchObject({ code: 0, stderr: '' })
    expect(jsonl(given.stdout)).toEqual(texts.map((text, i) => ({ text, result: JSON.parse(JSON.stringify(want[i])) as unknown })))
    expect((await bertlet([verb, ...first, ...common], texts.join('\n'))).stdout).toBe(given.stdout)
  })

  it('rank takes all texts as one call', async () => {
    const place = await model('single')
    const pipe = await open('text-ranking', place, { threads: 1 })
    const want = await pipe('where', TEXTS, { top_k: 1, return_documents: true })
    await pipe.dispose()
    const { stdout } = await bertlet(['rank', 'where', ...TEXTS, '--model', place, '--top-k', '1'])
    expect(jsonl(stdout)).toEqual([{ text: 'where', result: want }])
  })

  it('say what is missing', async () => {
    expect(await bertlet(['ner', 'a'])).toMatchObject({
      code: expect.any(Number) as number,
      stderr: expect.stringMatching(/BertForTokenClassification/) as string,
    })
    expect((await bertlet(['zero-shot', 'a', '--model', 'x'])).stderr).toMatch(/--labels/)
    const place = await model('qa')
    expect((await bertlet(['classify', 'a', '--model', place])).stderr).toMatch(
      /BertForSequenceClassification, got "BertForQuestionAnswering"/,
    )
  })
})
