// `bertlet index` and `bertlet search`: the built command over folders of its own, and what it makes of files.
import { mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { decode, extract, formatOf, type Format } from '../src/cli/extract.ts'
import { index as indexHere } from '../src/cli/index.ts'
import { EmbeddingIndex } from '../src/retrieval.ts'
import type { Folder } from '../src/weights/folder.ts'
import { bertlet, build, jsonl, start, ended } from './support/command.ts'
import { checkpoint, vocabulary } from './support/models.ts'

/** Whether a new index cannot be put in its place, in this process. */
const faulty = vi.hoisted(() => ({ rename: false }))
vi.mock('../src/runtimes/node-folder.ts', async (original) => {
  const { directoryFolder } = await original<typeof import('../src/runtimes/node-folder.ts')>()
  const faultyFolder = (name: string): Folder => {
    const folder = directoryFolder(name)
    const rename: Folder['rename'] = async (from, to) => {
      if (faulty.rename && from.endsWith('.incomplete')) throw new Error('no rename')
      await folder.rename(from, to)
    }
    return { ...folder, rename }
  }
  return { directoryFolder: faultyFolder }
})

interface Line {
  file: string
  line: number
  end_line: number
  match_line: number
  start: number
  end: number
  score: number
  text: string
  highlights: [number, number][]
}

let root: string
let model: string
beforeAll(async () => {
  await build()
  root = await mkdtemp(path.join(tmpdir(), 'bertlet-search-'))
  model = path.join(root, 'model')
  await mkdir(model)
  for (const [name, bytes] of Object.entries({ ...checkpoint(), 'vocab.txt': vocabulary() })) await writeFile(path.join(model, name), bytes)
}, 120_000)
afterAll(() => rm(root, { recursive: true, force: true }))

const PLAIN = 'The first line.\nA cat sat on the mat.\n\nAnother paragraph, about a slipstream.\n'
const MARKDOWN =
  '# The *title*\n\nSome text with a [link](http://nowhere/slipstream) and `code`.\n\n- one &amp; two\n- caf\\_e\n\n```js\nlet zebra = 1\n```\n'
const HTML =
  '<html><head><title>A page</title><style>.hidden{}</style></head>\n<body><h1>Head</h1><p>First&nbsp;of <b>all</b> &amp; none,\nthe gi<i>raf</i>fe.</p><script>var secret</script><p>Second.</p></body></html>'

async function folderOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await mkdtemp(path.join(root, 'files-'))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
    await writeFile(path.join(folder, name), content)
  }
  return folder
}
const common = (): string[] => ['--model', model, '--threads', '1']
const index = async (folder: string, ...more: string[]): Promise<Record<string, unknown>> => {
  const { code, stdout, stderr } = await bertlet(['index', folder, '--json', ...common(), ...more])
  expect({ code, stderr: stderr.replace(/.*: all is read again\n/, '') }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>
}
const find = async (query: string, folder: string, ...more: string[]): Promise<Line[]> => {
  const { code, stdout, stderr } = await bertlet(['search', query, folder, '--json', ...more])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return jsonl<Line>(stdout)
}

describe('the text of files', () => {
  it.each<[Format, string, string]>([
    ['text', PLAIN, PLAIN],
    ['markdown', MARKDOWN, 'The title\n\nSome text with a link and code.\n\none & two\n\ncaf_e\n\nlet zebra = 1'],
    ['html', HTML, 'A page\n\nHead\n\nFirst of all & none, the giraffe.\n\nSecond.'],
    ['html', 'no tags < at all', 'no tags < at all'],
    ['html', '<p>unclosed <b>x', 'unclosed x'],
    ['markdown', '', ''],
    ['markdown', 'a\r\nb  \r\nc', 'a b c'],
  ])('%s: %j', (format, source, want) => {
    const { text, place } = bound(extract(format, source))
    expect(text).toBe(want)
    // Every word stands where it is said to; what is escaped or ends within tags at least begins there.
    for (const { 0: word, index: at } of text.matchAll(/[a-z]{4,}/gi)) {
      if (word === 'giraffe') expect(source.slice(place(at), place(at) + 2)).toBe('gi')
      else expect(source.slice(place(at), place(at) + word.length)).toBe(word)
    }
  })
  const bound = (extracted: ReturnType<typeof extract>): { text: string; place: (at: number) => number } => ({
    text: extracted.text,
    place: (at) => extracted.place(at),
  })

  it('is found in UTF-8 and UTF-16, and in nothing else', () => {
    const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list)
    expect(decode(bytes(0xef, 0xbb, 0xbf, 0x61))).toBe('a')
    expect(decode(bytes(0xff, 0xfe, 0x61, 0))).toBe('a')
    expect(decode(bytes(0xfe, 0xff, 0, 0x61))).toBe('a')
    expect(() => decode(bytes(0x61, 0))).toThrow('expected text, got a NUL byte')
    expect(() => decode(bytes(0x61, 0xe9))).toThrow('expected text, got bytes that are no UTF-8')
    expect([formatOf('a.HTM'), formatOf('b.md'), formatOf('c.html.txt'), formatOf('d')]).toEqual(['html', 'markdown', 'text', 'text'])
  })
})

describe('bertlet index and search', () => {
  it('find passages by file and line, in text, Markdown and HTML', async () => {
    const folder = await folderOf({ 'plain.txt': PLAIN, 'docs/read.md': MARKDOWN, 'page.html': HTML })
    expect(await index(folder)).toMatchObject({ files: 3, added: 3, skipped: [] })
    const [cat] = await find('CAT', folder, '--bm25')
    // The passage begins on line 1, what is looked for is on line 2.
    expect(cat).toMatchObject({ file: 'plain.txt', line: 1, match_line: 2 })
    expect(PLAIN.slice(cat!.start, cat!.end)).toBe(cat!.text)
    expect(cat!.highlights.map(([from, to]) => cat!.text.slice(from, to))).toEqual(['cat'])
    expect((await find('zebra', folder, '--bm25'))[0]).toMatchObject({ file: 'docs/read.md', line: 1, end_line: 9, match_line: 9 })
    expect((await find('giraffe', folder, '--bm25'))[0]).toMatchObject({ file: 'page.html', line: 1, match_line: 3 })
    expect((await find('code first zebra link', folder, '--bm25')).find(({ file }) => file === 'docs/read.md')).toMatchObject({
      match_line: 3,
    })
    // An address is no text, nor is a script.
    expect((await find('slipstream', folder, '--bm25')).map(({ file }) => file)).toEqual(['plain.txt'])
    expect(await find('secret', folder, '--bm25')).toEqual([])
    // By meaning every passage has a place.
    const dense = await find('a cat', folder, '--dense', ...common())
    const both = await find('a cat', folder, ...common(), '--top-k', '2')
    expect(new Set(dense.map(({ file }) => file)).size).toBe(3)
    expect(both).toHaveLength(2)
    expect(dense.every(({ score }, i) => i === 0 || score <= dense[i - 1]!.score)).toBe(true)
    const person = await bertlet(['search', 'cat', folder, '--bm25'])
    expect(person.stdout).toMatch(/^1 {2}.*plain\.txt:2 {2}\d\.\d{4}\n {3}The first line\. A cat sat/)
  })

  it('read again only what has changed', async () => {
    const folder = await folderOf({ 'a.txt': 'one cat', 'b.txt': 'two dogs', 'c.txt': 'three birds' })
    expect(await index(folder)).toMatchObject({ files: 3, passages: 3, added: 3 })
    const whole = await readFile(path.join(folder, '.bertlet-index/index.safetensors'))
    expect(await index(folder)).toMatchObject({ added: 0, changed: 0, unchanged: 3, removed: 0 })
    // A new time and the same bytes is no change.
    await utimes(path.join(folder, 'a.txt'), 1, 1)
    expect(await index(folder)).toMatchObject({ changed: 0, unchanged: 3 })
    expect(await readFile(path.join(folder, '.bertlet-index/index.safetensors'))).toEqual(whole)
    await writeFile(path.join(folder, 'b.txt'), 'two wolves')
    await rm(path.join(folder, 'c.txt'))
    await writeFile(path.join(folder, 'd.txt'), 'four fish')
    expect(await index(folder)).toMatchObject({ files: 3, passages: 3, added: 1, changed: 1, unchanged: 1, removed: 1 })
    expect(await find('dogs birds', folder, '--bm25')).toEqual([])
    expect((await find('wolves fish', folder, '--bm25')).map(({ file }) => file).sort()).toEqual(['b.txt', 'd.txt'])
    // Incremental or at once: the same vectors, in another order.
    const dense = (await find('cat', folder, '--dense', ...common())).map(({ file, score }) => [file, score])
    expect(await index(folder, '--rebuild')).toMatchObject({ added: 3 })
    expect((await find('cat', folder, '--dense', ...common())).map(({ file, score }) => [file, score])).toEqual(dense)
    // Other settings make another index.
    expect(await index(folder, '--precision', 'int8', '--max-tokens', '5', '--overlap', '0')).toMatchObject({ added: 3 })
    expect(await readdir(folder)).toEqual(['.bertlet-index', 'a.txt', 'b.txt', 'd.txt'])
  })

  it('name files that are no text, and index the others', async () => {
    const folder = await folderOf({
      ...{ 'a.txt': 'a cat', 'film.mp4': Uint8Array.from({ length: 9000 }, (_, i) => i % 7), 'latin.txt': Uint8Array.of(0x61, 0xe9, 0x61) },
      ...{
        'late.txt': `${'a '.repeat(5000)}\0`,
        '.hidden': 'no',
        'node_modules/x.txt': 'no',
        'empty.txt': '',
        'word.txt': 'x'.repeat(20_000),
      },
    })
    const { skipped, files } = (await index(folder)) as { skipped: { file: string; why: string }[]; files: number }
    expect(skipped).toEqual([
      { file: 'film.mp4', why: 'expected text, got a NUL byte' },
      { file: 'late.txt', why: 'expected text, got a NUL byte' },
      { file: 'latin.txt', why: 'expected text, got bytes that are no UTF-8' },
    ])
    expect(files).toBe(3)
    const { stderr } = await bertlet(['index', folder, ...common()])
    expect(stderr).toMatch(/film\.mp4 is skipped: expected text/)
    expect(await find('cat', folder, '--bm25')).toHaveLength(1)
  })

  it('refuse what cannot be, and say what can', async () => {
    const empty = await folderOf({})
    const folder = await folderOf({ 'a.txt': 'a cat' })
    await index(folder)
    const refused = async (args: string[], code: number, message: RegExp): Promise<void> => {
      const { code: got, stderr } = await bertlet(args)
      expect(stderr).toMatch(message)
      expect(got).toBe(code)
    }
    await refused(['index', empty, ...common()], 1, /expected files to index, got an empty folder/)
    await refused(['index', path.join(folder, 'a.txt'), ...common()], 2, /expected a folder/)
    await refused(['search', 'cat', empty], 1, /expected an index.*bertlet index/)
    await refused(['search', ' ', folder], 2, /query: expected a text that is not empty/)
    await refused(['search', 'cat', folder, '--bm25', '--dense'], 2, /one of --hybrid, --dense, --bm25, got "--dense --bm25"/)
    await refused(['search', 'cat', folder, '--top-k', '0'], 2, /--top-k/)
    expect((await bertlet(['search', '\ud800 cat', folder, '--bm25'])).code).toBe(0)
    // An index of another model, a damaged one, and one that is none.
    const other = path.join(root, 'other')
    await mkdir(other, { recursive: true })
    for (const [name, bytes] of Object.entries({ ...checkpoint({ hidden_size: 24 }), 'vocab.txt': vocabulary() }))
      await writeFile(path.join(other, name), bytes)
    await refused(['search', 'cat', folder, '--model', other], 2, /model: expected .*which the index was made with/)
    const file = path.join(folder, '.bertlet-index/index.safetensors')
    const bytes = await readFile(file)
    await writeFile(file, bytes.subarray(0, 300))
    await refused(['search', 'cat', folder, ...common()], 1, /index\.safetensors.*bytes/)
    await writeFile(file, bytes)
    await writeFile(path.join(folder, '.bertlet-index/files.json'), '{')
    await refused(['search', 'cat', folder, '--bm25'], 1, /files\.json: expected what bertlet index wrote.*--rebuild/)
    expect(await index(folder, '--rebuild')).toMatchObject({ files: 1 })
    expect(await find('cat', folder, '--bm25')).toHaveLength(1)
  })

  it('keep what was there, and what was done, when interrupted', async () => {
    const folder = await folderOf(
      Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`${String(i).padStart(3, '0')}.txt`, `cat ${'the text. '.repeat(400)}`])),
    )
    const child = start(['index', folder, ...common()])
    setTimeout(() => child.kill('SIGINT'), 1500)
    const { code } = await ended(child)
    expect(code).toBe(130)
    const done = (await index(folder)) as { added: number; unchanged: number; files: number }
    expect(done.files).toBe(400)
    expect((await readdir(folder)).filter((name) => /incomplete|old/.test(name))).toEqual([])
  }, 120_000)

  it('go on after a cut within a file, and keep what was whole', async () => {
    const small = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`a${String(i).padStart(2, '0')}.txt`, `cat ${i}`]))
    const folder = await folderOf({ ...small, 'b.txt': 'the text. '.repeat(700) })
    const settings = { model, threads: 1, maxTokens: 4, overlap: 0, precision: 'float32', json: true } as const
    const asked = ['--max-tokens', '4', '--overlap', '0']
    // The first piece is of the small files; passages of b.txt are stored 256 at a time.
    const ctrlC = new AbortController()
    const add = EmbeddingIndex.prototype.add
    let pieces = 0
    const spy = vi.spyOn(EmbeddingIndex.prototype, 'add').mockImplementation(async function (this: EmbeddingIndex, ...args) {
      await add.apply(this, args)
      if (++pieces === 3) ctrlC.abort()
    })
    await expect(indexHere(folder, settings, ctrlC.signal)).rejects.toThrow(/abort/i)
    spy.mockRestore()
    expect(await find('text', folder, '--bm25')).toEqual([])
    expect(await find('cat', folder, '--bm25', '--top-k', '100')).not.toEqual([])
    // What a cut left before this was so: passages of a file that files.json does not know, and a file without its passages.
    const listed = path.join(folder, '.bertlet-index/files.json')
    const state = JSON.parse(await readFile(listed, 'utf8')) as { files: Record<string, unknown> }
    const { 'a00.txt': known, ...others } = state.files
    await writeFile(listed, JSON.stringify({ ...state, files: { ...others, 'gone.txt': known } }))
    const done = await index(folder, ...asked)
    expect(done).toMatchObject({ files: 71, changed: 0, removed: 1 })
    expect(done.unchanged).toBeGreaterThanOrEqual(63)
    expect((done.added as number) + (done.unchanged as number)).toBe(71)
    expect(await index(folder, ...asked)).toMatchObject({ files: 71, passages: done.passages, unchanged: 71 })
    expect(await find('text', folder, '--bm25', '--top-k', '1000')).toHaveLength((done.passages as number) - 70)
  })

  it('find an index that was killed between its two renames', async () => {
    const folder = await folderOf({ 'a.txt': 'one cat' })
    await index(folder, '--index', path.join(folder, 'place'))
    await rename(path.join(folder, 'place'), path.join(folder, 'place.0123abcd.old'))
    expect(await find('cat', folder, '--bm25', '--index', path.join(folder, 'place'))).toHaveLength(1)
    expect(await index(folder, '--index', path.join(folder, 'place'))).toMatchObject({ files: 1, unchanged: 1 })
    await writeFile(path.join(folder, 'b.txt'), 'two cats')
    expect(await index(folder, '--index', path.join(folder, 'place'))).toMatchObject({ files: 2, unchanged: 1 })
    expect(await readdir(folder)).toEqual(['a.txt', 'b.txt', 'place'])
  })

  it('leave the old index where it was when the new one cannot be put there', async () => {
    const folder = await folderOf({ 'a.txt': 'one cat' })
    await index(folder)
    await writeFile(path.join(folder, 'b.txt'), 'two cats')
    faulty.rename = true
    const settings = { model, threads: 1, maxTokens: 200, overlap: 40, precision: 'float32', json: true } as const
    await expect(indexHere(folder, settings, new AbortController().signal)).rejects.toThrow('no rename')
    faulty.rename = false
    expect(await readdir(folder)).toEqual(['.bertlet-index', 'a.txt', 'b.txt'])
    expect(await find('cat', folder, '--bm25')).toHaveLength(1)
  })

  it('know a model by its place, from every working directory', async () => {
    const folder = await folderOf({ 'a.txt': 'one cat' })
    const at = async (cwd: string, ...args: string[]): Promise<unknown> => {
      const { code, stdout, stderr } = await ended(start([...args, '--json', '--threads', '1'], { cwd }))
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      return JSON.parse(stdout)
    }
    expect(await at(root, 'index', folder, '--model', 'model')).toMatchObject({ added: 1 })
    expect(await at(folder, 'search', 'cat', '--dense')).toMatchObject({ file: 'a.txt' })
    expect(await at(folder, 'search', 'cat', '--dense', '--model', model)).toMatchObject({ file: 'a.txt' })
    expect(await at(folder, 'search', 'cat', '--dense', '--model', pathToFileURL(model).href)).toMatchObject({ file: 'a.txt' })
    expect(await at(folder, 'index', '.', '--model', path.relative(folder, model))).toMatchObject({ unchanged: 1 })
  })
})
