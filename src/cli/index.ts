// `bertlet index FOLDER`: passages of a folder's files to an index; only what has changed is read again.
import { createHash } from 'node:crypto'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { expected, show, Words } from '../errors.ts'
import { pipeline, type FeatureExtractionPipeline } from '../index.node.ts'
import { splitText, TextIndex, type Embed, type IndexPrecision, type TextEntry } from '../retrieval.ts'
import { decode, extract, formatOf } from './extract.ts'
import {
  isLeft,
  keepWhole,
  modelName,
  openIndex,
  PLACE,
  readState,
  saveIndex,
  standing,
  type Known,
  type MadeWith,
} from './index-folder.ts'
import { loadOptions, type ModelOptions } from './options.ts'
import { openProgress, type Progress } from './progress.ts'

export interface IndexOptions extends ModelOptions {
  readonly index?: string
  readonly maxTokens: number
  readonly overlap: number
  readonly precision: IndexPrecision
  readonly rebuild?: boolean
  readonly json?: boolean
}

/** A file that is there. */
interface Found {
  readonly name: string
  readonly size: number
  readonly mtime: number
}

interface Report {
  files: number
  passages: number
  added: number
  changed: number
  unchanged: number
  removed: number
  readonly skipped: { file: string; why: string }[]
}

/** Passages that are embedded together. */
const TOGETHER = 64

export async function index(folder: string, options: IndexOptions, signal: AbortSignal): Promise<void> {
  const place = path.resolve(options.index ?? path.join(folder, PLACE))
  const found = await filesOf(folder, place)
  const progress = await openProgress({ rows: false })
  let embed: FeatureExtractionPipeline | undefined
  let texts: TextIndex | undefined
  try {
    const named = await modelName(options.model)
    embed = await pipeline('feature-extraction', named, { ...loadOptions(options), signal, progress_callback: progress.load })
    const { model, dtype } = embed.model.info()
    const most = Math.min(options.maxTokens, embed.model.config.max_position_embeddings - 2)
    const made_with: MadeWith = {
      ...{ model, dtype: dtype.name, precision: options.precision },
      ...{ max_tokens: most, overlap: Math.min(options.overlap, most - 1) },
    }
    const old = await standing(place)
    const before = options.rebuild ? undefined : await readState(old)
    const same = before !== undefined && JSON.stringify(before.made_with) === JSON.stringify(made_with)
    if (before !== undefined && !same)
      process.stderr.write(`bertlet: the index was made ${differences(before.made_with, made_with)}: all is read again\n`)
    texts = same
      ? await openIndex(old, embed as Embed, { max_memory: Infinity, model, signal })
      : new TextIndex(embed as Embed, { precision: options.precision, model })
    const held = texts.size
    const files = same ? await keepWhole(texts, before.files) : {}
    const run = new Run(folder, embed, texts, { made_with, files }, progress)
    run.dirty = texts.size < held
    try {
      await run.all(found, signal)
    } catch (error) {
      // What was done before ctrl-C need not be done again.
      if (signal.aborted && run.dirty) {
        await keepWhole(texts, run.state.files)
        await saveIndex(place, texts, run.state)
      }
      throw error
    }
    if (run.dirty || !same) await saveIndex(place, texts, run.state)
    progress.stop()
    report({ ...run.report, files: Object.keys(run.state.files).length, passages: texts.size }, place, options.json)
  } finally {
    progress.stop()
    await texts?.dispose()
    await embed?.dispose()
  }
}

class Run {
  readonly report: Report = { files: 0, passages: 0, added: 0, changed: 0, unchanged: 0, removed: 0, skipped: [] }
  dirty = false
  private readonly files: Record<string, Known>
  private waiting: { entries: TextEntry[]; name: string; known: Known }[] = []

  constructor(
    private readonly folder: string,
    private readonly embed: FeatureExtractionPipeline,
    private readonly texts: TextIndex,
    private readonly start: { readonly made_with: MadeWith; readonly files: Readonly<Record<string, Known>> },
    private readonly progress: Progress,
  ) {
    this.files = { ...start.files }
  }

  get state(): { made_with: MadeWith; files: Record<string, Known> } {
    const files = Object.fromEntries(Object.entries(this.files).sort(([a], [b]) => (a < b ? -1 : 1)))
    return { made_with: this.start.made_with, files }
  }

  async all(found: readonly Found[], signal: AbortSignal): Promise<void> {
    const there = new Set(found.map(({ name }) => name))
    for (const name of Object.keys(this.files)) {
      if (there.has(name)) continue
      await this.forget(name)
      this.report.removed++
    }
    for (const [i, file] of found.entries()) {
      signal.throwIfAborted()
      this.progress.count('files', i, found.length)
      await this.one(file, signal)
    }
    await this.flush(signal)
    this.progress.count('files', found.length, found.length)
  }

  private async one({ name, size, mtime }: Found, signal: AbortSignal): Promise<void> {
    const known = this.files[name]
    if (known?.size === size && known.mtime === mtime) {
      this.report.unchanged++
      return
    }
    const read = await this.read(name)
    if (read === undefined) {
      if (known) await this.forget(name)
      return
    }
    if (known?.sha256 === read.sha256) {
      this.files[name] = { ...known, size, mtime }
      this.dirty = true
      this.report.unchanged++
      return
    }
    if (known) await this.forget(name)
    this.report[known ? 'changed' : 'added']++
    const entries = this.passages(name, read.source)
    this.waiting.push({ entries, name, known: { size, mtime, sha256: read.sha256, passages: entries.map(({ id }) => String(id)) } })
    if (this.waiting.reduce((sum, each) => sum + each.entries.length, 0) >= TOGETHER) await this.flush(signal)
  }

  /** The text of a file; undefined, and a reason, when it has none. */
  private async read(name: string): Promise<{ source: string; sha256: string } | undefined> {
    try {
      const file = path.join(this.folder, name)
      const handle = await open(file)
      try {
        // A film need not be read to its end.
        const { bytesRead, buffer } = await handle.read(Buffer.alloc(4096), 0, 4096, 0)
        if (buffer[0]! < 0xfe && buffer.subarray(0, bytesRead).includes(0)) decode(buffer.subarray(0, bytesRead))
      } finally {
        await handle.close()
      }
      const bytes = await readFile(file)
      return { source: decode(bytes), sha256: createHash('sha256').update(bytes).digest('hex') }
    } catch (error) {
      this.report.skipped.push({ file: name, why: (error as Error).message })
      return undefined
    }
  }

  private passages(name: string, source: string): TextEntry[] {
    const { text, place } = bound(extract(formatOf(name), source))
    const lines = lineStarts(source)
    const { max_tokens, overlap } = this.start.made_with
    return splitText(text, this.embed.tokenizer, { max_tokens, overlap }).map((passage, i) => {
      const [start, end] = [place(passage.start), place(passage.end - 1) + 1]
      const [line, end_line] = [lineOf(lines, start), lineOf(lines, end - 1)]
      // Where each further line begins in the passage, whose text may have lost the ends of lines.
      const breaks = lines.slice(line, end_line).map((from) => firstAt(passage.text.length, (at) => place(passage.start + at) >= from))
      return { id: `${name}#${i}`, text: passage.text, metadata: { file: name, start, end, line, end_line, breaks } }
    })
  }

  private async flush(signal: AbortSignal): Promise<void> {
    const { waiting } = this
    await this.texts.add(
      waiting.flatMap(({ entries }) => entries),
      { signal },
    )
    for (const { name, known } of waiting) this.files[name] = known
    this.dirty ||= waiting.length > 0
    this.waiting = []
  }

  private async forget(name: string): Promise<void> {
    await this.texts.remove(this.files[name]!.passages)
    delete this.files[name]
    this.dirty = true
  }
}

const bound = (extracted: ReturnType<typeof extract>): { text: string; place: (at: number) => number } => ({
  text: extracted.text,
  place: (at) => extracted.place(at),
})

/** The files below a folder by name, without hidden ones, packages and the index itself. */
async function filesOf(folder: string, place: string): Promise<Found[]> {
  const known = await stat(folder).catch(() => undefined)
  if (!known?.isDirectory()) throw expected('bertlet index', 'a folder', folder, 'Give the folder that holds your files')
  const found: Found[] = []
  const walk = async (below: string): Promise<void> => {
    const entries = await readdir(path.join(folder, below), { withFileTypes: true })
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.name.startsWith('.') || entry.name === 'node_modules' || isIndex(path.resolve(folder, name), place)) continue
      if (entry.isDirectory()) await walk(name)
      else if (entry.isFile()) {
        const { size, mtimeMs } = await stat(path.join(folder, name))
        found.push({ name, size, mtime: mtimeMs })
      }
    }
  }
  await walk('')
  if (found.length === 0)
    throw expected(folder, 'files to index', new Words('an empty folder'), 'Hidden files and node_modules are left out', 'not_found')
  return found
}

const isIndex = (file: string, place: string): boolean =>
  file === place || (path.dirname(file) === path.dirname(place) && isLeft(path.basename(file), place))

function lineStarts(source: string): number[] {
  const starts = [0]
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

/** Counted from 1. */
const lineOf = (starts: readonly number[], place: number): number =>
  Math.max(
    1,
    firstAt(starts.length, (i) => starts[i]! > place),
  )

/** The first of `count` numbers from which on something holds; `count` where it never does. */
function firstAt(count: number, holds: (i: number) => boolean): number {
  let [low, high] = [0, count]
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}

const differences = (before: MadeWith, now: MadeWith): string =>
  (Object.keys(now) as (keyof MadeWith)[])
    .filter((key) => before[key] !== now[key])
    .map((key) => `with ${key} ${show(before[key])}, and is asked for with ${show(now[key])}`)
    .join(', ')

function report(done: Report, place: string, json: boolean | undefined): void {
  if (json) return void process.stdout.write(`${JSON.stringify({ index: place, ...done })}\n`)
  for (const { file, why } of done.skipped) process.stderr.write(`bertlet: ${file} is skipped: ${why}\n`)
  const { files, passages, added, changed, unchanged, removed } = done
  const counts = `${added} added, ${changed} changed, ${unchanged} unchanged, ${removed} removed`
  process.stdout.write(`${files} files, ${passages} passages in ${place} (${counts})\n`)
}
