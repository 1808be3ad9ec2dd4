// The command line among other programs: pipes that close, endless input, ctrl-C, and what a terminal sees.
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BIN, bertlet, build, ended, jsonl, start } from './support/command.ts'
import { checkpoint, vocabulary } from './support/models.ts'

const run = promisify(execFile)
let folder: string
let model: string
beforeAll(async () => {
  await build()
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-streams-'))
  model = path.join(folder, 'model')
  await mkdir(model)
  for (const [name, bytes] of Object.entries({ ...checkpoint(), 'vocab.txt': vocabulary() })) await writeFile(path.join(model, name), bytes)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** `count` short lines, made as they are asked for. */
function* texts(count: number): Generator<string> {
  for (let i = 0; i < count; i += 1000) yield Array.from({ length: Math.min(1000, count - i) }, (_, k) => `the cat ${i + k}\n`).join('')
}

describe('standard input', () => {
  it.each([
    ['tokenize', 200_000],
    ['embed', 40_000],
  ])('goes through %s in %i lines, and a heap that cannot hold them', async (command, count) => {
    const env = { NODE_OPTIONS: '--max-old-space-size=24 --max-semi-space-size=2' }
    const child = start([command, '--model', model], { env })
    Readable.from(texts(count)).pipe(child.stdin)
    let [found, bytes] = [0, 0]
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      for (const byte of chunk) if (byte === 10) found++
    })
    const [code] = (await once(child, 'close')) as [number]
    expect({ code, found }).toEqual({ code: 0, found: count })
    // What it wrote is more than it may keep.
    expect(bytes).toBeGreaterThan(24 << 20)
  })

  it('is not read faster than standard output is', async () => {
    const child = start(['tokenize', '--model', model])
    // Far more than all pipes and buffers between hold.
    const count = 300_000
    let asked = 0
    const counted = function* (): Generator<string> {
      for (const text of texts(count)) {
        asked += 1000
        yield text
      }
    }
    Readable.from(counted()).pipe(child.stdin)
    // Until nothing moves any more.
    for (let [still, before] = [0, 0]; still < 8; await setTimeout(100)) {
      still = asked === before ? still + 1 : 0
      before = asked
    }
    expect(asked).toBeLessThan(count / 2)
    expect(child.exitCode).toBeNull()
    child.stdout.destroy()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  it('that pauses gets its answers before it goes on', async () => {
    const child = start(['embed', '--model', model])
    for (const text of ['one', 'two', 'three']) {
      child.stdin.write(`${text}\n`)
      const [bytes] = (await once(child.stdout, 'data')) as [Buffer]
      expect(jsonl<{ text: string }>(bytes.toString()).map((row) => row.text)).toEqual([text])
    }
    child.stdin.end()
    expect(await ended(child)).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })
})

describe('a reader that goes away', () => {
  it.each(['embed', 'tokenize'])('ends %s quietly', async (command) => {
    const child = start([command, '--model', model])
    Readable.from(texts(Infinity)).pipe(child.stdin)
    await once(child.stdout, 'data')
    child.stdout.destroy()
    let complaint = ''
    child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString()))
    const [code, signal] = (await once(child, 'exit')) as [number, null]
    expect({ code, signal, complaint }).toEqual({ code: 0, signal: null, complaint: '' })
  })
})

describe('a reader that was never there', () => {
  it.each(['--help', 'embed --help', 'info', 'similarity one two', 'embed one'])('ends %s quietly', async (command) => {
    const args = command.includes('--help') ? command.split(' ') : [...command.split(' '), '--model', model]
    const child = start(args)
    child.stdout.destroy()
    expect(await ended(child)).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
  })
})

describe('a full disk', () => {
  it.for(['embed one', 'info'])('makes %s fail and say so', async (command, { skip }) => {
    const full = await open('/dev/full', 'w').catch(() => undefined)
    if (full === undefined) {
      return skip('NOT TESTED HERE: what a command says when standard output cannot be written needs /dev/full, which Linux has')
    }
    const args = [BIN, ...command.split(' '), '--model', model]
    const child = spawn(process.execPath, args, { stdio: ['ignore', full.fd, 'pipe'] })
    let complaint = ''
    child.stderr!.on('data', (bytes: Buffer) => (complaint += bytes.toString()))
    const [code] = (await once(child, 'close')) as [number]
    await full.close()
    expect({ code, complaint }).toEqual({ code: 1, complaint: 'bertlet: ENOSPC: no space left on device, write\n' })
  })
})

describe('ctrl-C', () => {
  it.each(['embed --threads 2', 'embed --threads 0', 'tokenize'])('ends %s with 130 and leaves no half of a file', async (command) => {
    const args = command.split(' ')
    const output = path.join(folder, `${args.join('')}.jsonl`)
    const child = start([...args, '--model', model, '--output', output])
    Readable.from(texts(Infinity)).pipe(child.stdin)
    while (!(existsSync(`${output}.part`) && (await readFile(`${output}.part`)).length > 0)) await setTimeout(20)
    child.kill('SIGINT')
    expect(await ended(child)).toEqual({ code: 130, signal: null, stdout: '', stderr: '' })
    expect((await readdir(folder)).filter((file) => file.includes('.jsonl'))).toEqual([])
  })

  it('ends a command that waits for input', async () => {
    const child = start(['embed', '--model', model])
    child.stdin.write('one\n')
    await once(child.stdout, 'data')
    child.kill('SIGINT')
    expect(await ended(child)).toMatchObject({ code: 130, stderr: '' })
  })
})

describe('progress', () => {
  const lines = [...texts(2000)].join('')
  /** Escape sequences or returns: what draws a bar. */
  // eslint-disable-next-line no-control-regex
  const DRAWN = /[\u001b\r]/

  it('is silent when standard error is no terminal', async () => {
    const { stdout, stderr } = await bertlet(['embed', '--model', model], lines)
    expect(stderr).toBe('')
    expect(stdout).not.toMatch(DRAWN)
  })

  it('goes to standard error, and only there, when that says that it is a terminal', async () => {
    const preload = path.join(folder, 'terminal.mjs')
    await writeFile(preload, 'process.stderr.isTTY = true')
    const env = { NODE_OPTIONS: `--import=${pathToFileURL(preload).href}` }
    const { code, stdout, stderr } = await bertlet(['embed', '--model', model], lines, { env })
    expect(code).toBe(0)
    expect(stderr).toMatch(/texts \d+/)
    expect(stderr).toMatch(DRAWN)
    expect(stdout).not.toMatch(DRAWN)
    expect(jsonl(stdout)).toHaveLength(2000)
  })

  it('and rows stay apart on a real terminal', async ({ skip }) => {
    const script = await run('script', ['--version']).catch(() => undefined)
    if (script === undefined || !script.stdout.includes('util-linux')) {
      return skip('NOT TESTED HERE: progress on a real terminal needs the command `script` of util-linux')
    }
    const [input, output] = [path.join(folder, 'lines.txt'), path.join(folder, 'rows.txt')]
    await writeFile(input, lines)
    const command = `'${process.execPath}' '${BIN}' embed --model '${model}' --file '${input}'`
    const terminal = async (redirect: string): Promise<string> =>
      (await run('script', ['-qec', `${command} ${redirect}`, '/dev/null'])).stdout
    // Only standard error is the terminal.
    const seen = await terminal(`> '${output}'`)
    expect(seen).toMatch(/texts \d+/)
    expect(jsonl(await readFile(output, 'utf8'))).toHaveLength(2000)
    // Only standard output is: a table, and no bar.
    const table = await terminal(`2> '${output}'`)
    expect(await readFile(output, 'utf8')).toBe('')
    expect(table).toMatch(/^text +embedding/)
    expect(table.split('\n').filter((line) => line.startsWith('the cat '))).toHaveLength(2000)
    // Both are: the rows are the progress.
    expect(await terminal('')).not.toMatch(/texts \d+/)
  })
})
