// Commands of tasks: the built command in child processes, its output against the library's.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TASK_COMMANDS } from '../src/cli/tasks.ts'
import { pipeline } from '../src/index.node.ts'
import { open, readGolden, tinySource } from './conformance/pipelines.ts'
import { BIN, bertlet, build, jsonl, ROOT } from './support/command.ts'

const FILES = ['config.json', 'vocab.txt', 'tokenizer_config.json', 'model.safetensors.index.json', 'trunk.safetensors', 'head.safetensors']
const run = promisify(execFile)
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
  ['ask', 'question-answering', 'qa', ['who?'], TEXTS, ['--lines'], [['who?', 'who?'], TEXTS]],
  [
    'next-sentence',
    'next-sentence-prediction',
    'nsp',
    ['Ada lived.'],
    TEXTS,
    [],
    [TEXTS.map((text_pair) => ({ text: 'Ada lived.', text_pair }))],
  ],
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

  it('are all tasks of the library', async () => {
    const known = await pipeline('no task' as never).catch((error: Error) => error.message)
    expect(TASK_COMMANDS.map(({ task }) => task).sort()).toEqual(
      [...new Set(/one of (.*), got/.exec(String(known))![1]!.split(', '))]
        .filter((name) => !['embeddings', 'sentiment-analysis', 'ner'].includes(name))
        .sort(),
    )
  })

  it('choose takes all texts as one call', async () => {
    const place = await model('choice')
    const pipe = await open('multiple-choice', place, { threads: 1 })
    const want = await pipe({ text: 'where', choices: TEXTS })
    await pipe.dispose()
    expect(jsonl((await bertlet(['choose', 'where', '--model', place], TEXTS.join('\n'))).stdout)).toEqual([
      { text: 'where', result: want },
    ])
  })

  it('ask takes a file as one text', async () => {
    const [place, file] = [await model('qa'), path.join(folder, 'article.txt')]
    const article = 'Ada lived in London.\n\nShe had a film.\r\n'
    await writeFile(file, article)
    const one = await bertlet(['ask', 'who?', article.trim(), '--model', place])
    expect(jsonl(one.stdout)).toHaveLength(1)
    expect(await bertlet(['ask', 'who?', '--file', file, '--model', place])).toEqual(one)
    expect(await bertlet(['ask', 'who?', '--model', place], article)).toEqual(one)
    const lines = await bertlet(['ask', 'who?', '--lines', '--file', file, '--model', place])
    expect(lines).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^bertlet: .*article\.txt, line 2 is left out: .*context: expected a text that is not empty.*\n$/,
      ) as string,
    })
    expect(jsonl<{ text: string }>(lines.stdout).map(({ text }) => text)).toEqual(['Ada lived in London.', 'She had a film.'])
  })

  it('answer the texts that they can, and name the others', async () => {
    const place = await model('mlm')
    const input = Array.from({ length: 70 }, (_, i) => (i % 30 === 7 ? 'no mask' : `the [MASK] ${i}`))
    const { code, stdout, stderr } = await bertlet(['fill-mask', '--model', place], input.join('\n'))
    expect(code).toBe(1)
    expect(stderr.match(/standard input, line \d+ is left out: .*\[MASK\]/g)!.map((line) => /\d+/.exec(line)![0])).toEqual([
      '8',
      '38',
      '68',
    ])
    expect(jsonl<{ text: string }>(stdout).map(({ text }) => text)).toEqual(input.filter((text) => text !== 'no mask'))
    // What no text has an answer to is not for the texts.
    expect(await bertlet(['fill-mask', 'no', 'mask', '--model', place])).toMatchObject({ code: 2, stdout: '' })
    expect((await bertlet(['fill-mask', ...MASKED, '--max-length', '9999', '--model', place])).stderr).toMatch(/^bertlet: max_length/)
  })

  it('refuse a file that is no text', async () => {
    const place = await model('sentiment')
    const told = await bertlet(['classify', '--file', path.join(ROOT, 'dist/simd.wasm'), '--model', place])
    expect(told).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/simd\.wasm, line 1: expected/) as string })
  })

  it('print a table on a terminal', async ({ skip }) => {
    const script = await run('script', ['--version']).catch(() => undefined)
    if (script === undefined || !script.stdout.includes('util-linux'))
      return skip('NOT TESTED HERE: a table on a real terminal needs the command `script` of util-linux')
    const place = await model('sentiment')
    const command = `'${process.execPath}' '${BIN}' classify 'Ada lived' 'a film' --top-k 2 --model '${place}' 2> '${path.join(folder, 'bars')}'`
    const { stdout } = await run('script', ['-qec', command, '/dev/null'])
    const [head, ...rows] = stdout.trimEnd().split(/\r?\n/)
    expect(head).toMatch(/^text +label +score$/)
    expect(rows).toHaveLength(4)
    expect(rows[0]).toMatch(/^Ada lived {2,}\S+ +0\.\d{4}$/)
    expect(rows[1]).toMatch(/^ {40,}\S+ +0\.\d{4}$/)
    expect(rows[2]).toMatch(/^a film {2,}/)
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
