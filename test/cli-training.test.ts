// The commands that train, as programs meet them: the built command in child processes, its files against the library's.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { trainWordPiece } from '../src/training.ts'
import { bertlet, build, jsonl } from './support/command.ts'

let folder: string
beforeAll(async () => {
  await build()
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-cli-training-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('bertlet train-tokenizer', () => {
  it("writes the library's vocabulary, into files that the other commands take", async () => {
    const [a, b, output] = ['a.txt', 'b.txt', 'trained/new'].map((name) => path.join(folder, name)) as [string, string, string]
    const corpus = Array.from({ length: 60 }, (_, i) => `The Cats and texts, number ${i}`)
    await writeFile(a, corpus.slice(0, 20).join('\r\n'))
    await writeFile(b, corpus.slice(20, 40).join('\n'))
    const asked = ['train-tokenizer', a, b]
    const given = ['-', '--output', output, '--vocab-size', '60', '--json']
    const { code, stdout, stderr } = await bertlet([...asked, ...given], corpus.slice(40).join('\n'))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const trained = await trainWordPiece(corpus, { vocab_size: 60 })
    const wanted = trained.files()
    expect(JSON.parse(stdout)).toEqual({ output, vocab_size: 60, files: Object.keys(wanted) })
    for (const [name, text] of Object.entries(wanted)) expect(await readFile(path.join(output, name), 'utf8')).toBe(text)
    expect((await readdir(output)).sort()).toEqual(Object.keys(wanted).sort())
    const rows = jsonl<{ tokens: string[] }>((await bertlet(['tokenize', 'The CATS', '--model', output])).stdout)
    expect(rows[0]!.tokens).toEqual(['[CLS]', ...trained.tokenize('the cats'), '[SEP]'])

    const cased = await bertlet([...asked, '--output', output, '--cased', '--min-frequency', '3', '--limit-alphabet', '9'])
    expect(cased).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+ tokens; .*new has .*vocab\.txt/) as string })
    const again = await trainWordPiece(corpus.slice(0, 40), { lowercase: false, min_frequency: 3, limit_alphabet: 9 })
    expect(await readFile(path.join(output, 'vocab.txt'), 'utf8')).toBe(again.files()['vocab.txt'])
  })

  it('says which size can be reached, and keeps what stood there', async () => {
    const output = path.join(folder, 'kept')
    await mkdir(output)
    await writeFile(path.join(output, 'vocab.txt'), 'old')
    const { code, stderr } = await bertlet(['train-tokenizer', '-', '--output', output, '--vocab-size', '5000'], 'a few words, a few')
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringMatching(/vocab_size: expected at most \d+/) as string })
    expect(await readFile(path.join(output, 'vocab.txt'), 'utf8')).toBe('old')
    expect(await bertlet(['train-tokenizer', 'nowhere.txt', '--output', output])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no such file.*nowhere\.txt/) as string,
    })
  })

  it.each([
    [['x'], /required option '--output <folder>'/],
    [['--output', 'x'], /missing required argument 'files'/],
    [['x', '--output', 'x', '--vocab-size', '0'], /--vocab-size <n>.*'0' is invalid.*whole number/],
  ])('%j is misuse', async (args, message) => {
    expect(await bertlet(['train-tokenizer', ...args])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(message) as string,
    })
  })

  it('tells its help and its exit codes', async () => {
    const { code, stdout } = await bertlet(['train-tokenizer', '--help'])
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/--vocab-size <n>[^]*--json[^]*Exit codes: 0 /) as string,
    })
  })
})
