// Vectors with ids and metadata, and the nearest of them to a query: exact, whatever they are held in.
import { BertletError, checkOptions, expected, show, Words } from '../errors.ts'
import { isObject, type JsonObject } from '../json.ts'
import type { Target } from '../models/save.ts'
import { checkSourceOptions, type ModelSource } from '../models/source.ts'
import { Bits } from './bits.ts'
import { bad, ENTRIES, openIndex, unwritable, writeIndex, type Entry, type OpenIndex } from './files.ts'
import { compileFilter, type Filter } from './filter.ts'
import {
  checkSettings,
  settingsOf,
  type EmbeddingIndexOptions,
  type Hit,
  type IndexSearchOptions,
  type LoadIndexOptions,
  type Settings,
} from './options.ts'
import { Panels } from './panels.ts'
import { rowsOf, toUnit, type Rows, type Vectors } from './rows.ts'
import { Streamed } from './streamed.ts'
import { readVectors, tensorsOf } from './stored.ts'
import { best, Top, type Scored } from './top.ts'

type Id = string | number

/** Bytes of vectors that load() holds unless said: a quarter of the memory that wasm has. */
const MAX_MEMORY = 1 << 30

/**
 *     const index = new EmbeddingIndex()
 *     await index.add(['a', 'b'], await embed(texts, { pooling: 'mean' }), [{ lang: 'en' }, { lang: 'de' }])
 *     await index.search(query, { top_k: 5, filter: { lang: 'en' } }) // [{ id, score, metadata }, ...]
 */
export class EmbeddingIndex<M = JsonObject> {
  private readonly settings: Settings
  /** Numbers of a vector; known with the first. */
  private width: number | undefined
  /** By row; undefined: removed. */
  private ids: (Id | undefined)[] = []
  private metadata: (M | undefined)[] = []
  private readonly rows = new Map<Id, number>()
  private vectors: Panels | Streamed | undefined
  private bits: Bits | undefined
  private turn: Promise<unknown> = Promise.resolve()
  private disposed = false

  constructor(options: EmbeddingIndexOptions = {}) {
    this.settings = checkSettings(options)
  }

  /** Entries in it. */
  get size(): number {
    return this.rows.size
  }

  /** Numbers of its vectors; undefined before the first. */
  get dimensions(): number | undefined {
    return this.width
  }

  /** Whether its vectors stay in their file. */
  get streamed(): boolean {
    return this.vectors instanceof Streamed
  }

  has(id: Id): boolean {
    return this.rows.has(id)
  }

  get(id: Id): M | undefined {
    const row = this.rows.get(id)
    return row === undefined ? undefined : this.metadata[row]
  }

  /** In the order in which they were added. */
  *entries(): Generator<[Id, M | undefined]> {
    for (const [id, row] of this.rows) yield [id, this.metadata[row]]
  }

  /** Adds vectors under new ids; all or none. */
  add(ids: readonly Id[], vectors: Vectors, metadata?: readonly (M | undefined)[]): Promise<void> {
    return this.exclusively(async () => {
      this.assertWritable()
      const given = this.checked(ids, vectors, metadata)
      if (given === undefined) return
      this.width ??= given.width
      if (this.settings.metric === 'cosine') toUnit(given)
      const first = this.ids.length
      const { precision, rescore, threads } = this.settings
      const held = precision === 'binary' ? rescore : precision
      if (held !== false) {
        this.vectors ??= await Panels.create(this.width, held, threads)
        ;(this.vectors as Panels).write(first, given.data)
      }
      if (precision === 'binary') (this.bits ??= new Bits(this.width)).append(given.data)
      ids.forEach((id, i) => {
        this.rows.set(id, first + i)
        this.ids.push(id)
        this.metadata.push(metadata?.[i])
      })
    })
  }

  private checked(ids: readonly Id[], vectors: Vectors, metadata: readonly unknown[] | undefined): Rows | undefined {
    if (!Array.isArray(ids)) throw expected('ids', 'an array of texts or numbers', ids)
    if (ids.length === 0) return undefined
    const given = rowsOf('vectors', vectors, this.width)
    if (given.rows !== ids.length) throw expected('vectors', `${ids.length}, one for each id`, given.rows)
    if (metadata !== undefined && (!Array.isArray(metadata) || metadata.length !== ids.length))
      throw expected('metadata', `${ids.length} objects, one for each id`, metadata)
    const seen = new Set<Id>()
    for (const [i, id] of (ids as Id[]).entries()) {
      if (typeof id !== 'string' && !Number.isFinite(id)) throw expected(`ids[${i}]`, 'a text or a number', id)
      if (this.rows.has(id) || seen.has(id)) throw expected(`ids[${i}]`, 'an id that is not in the index', id, 'Remove the old entry first')
      seen.add(id)
      const own: unknown = metadata?.[i]
      if (own === undefined) continue
      if (!isObject(own)) throw expected(`metadata[${i}]`, 'an object', own)
      const wrong = unwritable(own)
      if (wrong !== undefined) throw expected(`metadata[${i}]`, 'an object that JSON can hold, for save()', new Words(wrong))
    }
    return given
  }

  /** Removes entries; how many there were. */
  remove(ids: Id | readonly Id[]): Promise<number> {
    return this.exclusively(async () => {
      this.assertWritable()
      let removed = 0
      for (const id of Array.isArray(ids) ? (ids as readonly Id[]) : [ids as Id]) {
        const row = this.rows.get(id)
        if (row === undefined) continue
        this.rows.delete(id)
        this.ids[row] = this.metadata[row] = undefined
        removed++
      }
      if (this.ids.length > 1024 && this.rows.size < this.ids.length / 2) await this.compact()
      return removed
    })
  }

  /** Gives back the room of removed entries: a new index of those that are left. */
  private async compact(): Promise<void> {
    const { vectors, bits } = this
    const live = [...this.rows.values()]
    if (vectors instanceof Panels) {
      const held = await Panels.create(vectors.width, vectors.held, this.settings.threads)
      live.forEach((row, i) =>
        vectors.held === 'int8' ? held.writeInt8(i, vectors.readInt8(row, 1)) : held.write(i, vectors.read(row, 1)),
      )
      await vectors.dispose()
      this.vectors = held
    }
    if (bits) {
      const held = new Bits(bits.width)
      for (const row of live) held.appendBytes(bits.bytes(row, 1))
      this.bits = held
    }
    this.metadata = live.map((row) => this.metadata[row])
    this.ids = live.map((row) => this.ids[row])
    this.ids.forEach((id, i) => this.rows.set(id!, i))
  }

  /** The nearest entries to one vector, or to each of several, best first; of equal scores the one that was added first. */
  search(query: Float32Array | readonly number[], options?: IndexSearchOptions<M>): Promise<Hit<M>[]>
  search(queries: Exclude<Vectors, Float32Array | readonly number[]>, options?: IndexSearchOptions<M>): Promise<Hit<M>[][]>
  search(queries: Vectors, options: IndexSearchOptions<M> = {}): Promise<Hit<M>[] | Hit<M>[][]> {
    return this.exclusively(async () => {
      checkOptions('search', options, ['top_k', 'filter', 'signal'])
      const { top_k = 10, filter, signal } = options
      if (!Number.isInteger(top_k) || top_k < 1) throw expected('top_k', 'a whole number of 1 or more', top_k)
      signal?.throwIfAborted()
      const given = rowsOf('query', queries, this.width)
      if (this.settings.metric === 'cosine') toUnit(given)
      const lists = await this.nearest(given, top_k, this.allowed(filter), signal)
      const hits = lists.map((list) => list.map(({ row, score }): Hit<M> => ({ id: this.ids[row]!, score, metadata: this.metadata[row] })))
      return given.one ? hits[0]! : hits
    })
  }

  private async nearest(queries: Rows, top_k: number, allowed: Uint8Array | undefined, signal?: AbortSignal): Promise<Scored[][]> {
    const { precision, rescore, rescore_multiplier } = this.settings
    const again = precision === 'int8' || (precision === 'binary' && rescore !== false)
    const most = Math.min(this.ids.length, again ? Math.ceil(top_k * rescore_multiplier) : top_k)
    const tops = Array.from({ length: queries.rows }, () => new Top(most))
    const visit = (query: number, first: number, scores: Float32Array): void => tops[query]!.offer(first, scores, allowed)
    if (precision === 'binary') this.bits?.scores(queries.data, visit)
    else await this.vectors?.scores(queries.data, visit, signal)
    const found: Scored[][] = []
    for (const [q, top] of tops.entries()) {
      const list = top.sorted()
      found.push(again ? (await this.rescored(queries, q, list)).slice(0, top_k) : list)
    }
    return found
  }

  /** Candidates by what is held of them, in double. */
  private async rescored({ data, width }: Rows, query: number, candidates: readonly Scored[]): Promise<Scored[]> {
    const scored: Scored[] = []
    for (const { row } of candidates) {
      const vector = await this.vectors!.read(row, 1)
      let sum = 0
      for (let k = 0; k < width; k++) sum += data[query * width + k]! * vector[k]!
      scored.push({ row, score: Math.fround(sum) })
    }
    return best(scored)
  }

  /** 1 for each row that counts; undefined when all do. */
  private allowed(filter: Filter<M> | undefined): Uint8Array | undefined {
    const test = filter === undefined ? undefined : compileFilter(filter)
    if (test === undefined && this.rows.size === this.ids.length) return undefined
    return Uint8Array.from(this.ids, (id, row) =>
      Number(id !== undefined && (test?.((this.metadata[row] ?? {}) as JsonObject, id) ?? true)),
    )
  }

  /** Writes index.safetensors and index.jsonl to a folder, or to whatever takes files. */
  save(to: Target): Promise<void> {
    return this.exclusively(async () => {
      this.assertWritable()
      const sink = (await import('../models/seldom.ts')).openSink(to, 'save')
      const live = [...this.rows.values()]
      const entries = live.map((row): Entry => {
        const own = this.metadata[row] as JsonObject | undefined
        return { id: this.ids[row]!, ...(own !== undefined && { metadata: own }) }
      })
      const { precision, rescore, rescore_multiplier, metric, model } = this.settings
      const fields = { precision, rescore: String(rescore), rescore_multiplier: String(rescore_multiplier), metric }
      await writeIndex(sink, entries, tensorsOf(this.vectors as Panels | undefined, this.bits, live), {
        ...fields,
        width: String(this.width ?? 0),
        ...(model !== undefined && { model }),
      })
    })
  }

  /** Reads what save() wrote: from a folder, files by name, or any other source. */
  static async load<M = JsonObject>(from: ModelSource, options: LoadIndexOptions = {}): Promise<EmbeddingIndex<M>> {
    checkOptions('EmbeddingIndex.load', options, ['max_memory', 'model', 'threads', 'signal'])
    const { max_memory = MAX_MEMORY, model, threads, signal } = options
    if (!(max_memory >= 0)) throw expected('max_memory', 'bytes, 0 or more', max_memory)
    if (signal !== undefined) checkSourceOptions({ signal })
    const opened = await openIndex(from, signal)
    let kept = false
    try {
      const index = new EmbeddingIndex<M>({ ...settingsOf(opened), ...(threads !== undefined && { threads }) })
      if (model !== undefined && index.settings.model !== model)
        throw expected(
          'model',
          `${show(index.settings.model)}, which the index was made with`,
          model,
          'Embed queries with that one, or make the index again',
        )
      kept = await index.fill(opened, max_memory, signal)
      return index
    } finally {
      if (!kept) await opened.reader.close()
    }
  }

  /** Whether the file is still needed. */
  private async fill(opened: OpenIndex, max_memory: number, signal: AbortSignal | undefined): Promise<boolean> {
    const { entries, header, file } = opened
    for (const [row, { id, metadata }] of entries.entries()) {
      if (this.rows.has(id)) throw bad(`${file.replace(/[^/]*$/, '')}${ENTRIES}:${row + 1}`, 'every id once', id)
      this.rows.set(id, row)
      this.ids.push(id)
      this.metadata.push(metadata as M | undefined)
    }
    if (entries.length === 0) return false
    this.width = Number(header.metadata.width)
    const found = await readVectors(opened, this.width, this.settings, max_memory, signal)
    ;({ vectors: this.vectors, bits: this.bits } = found)
    return found.vectors instanceof Streamed
  }

  private assertWritable(): void {
    if (!this.streamed) return
    throw new BertletError(
      'unsupported',
      'this index is streamed from its file, and cannot be changed or saved',
      'Load it with more max_memory',
    )
  }

  /** One after the other: a search sees an index that does not change. */
  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(() => {
      if (this.disposed) throw new BertletError('disposed', 'this index has been disposed of', 'Make or load another')
      return work()
    })
    this.turn = result.catch(() => undefined)
    return result
  }

  /** Gives its memory back, and closes its file. */
  async dispose(): Promise<void> {
    await this.turn
    if (this.disposed) return
    this.disposed = true
    await this.vectors?.dispose()
    this.vectors = this.bits = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}
