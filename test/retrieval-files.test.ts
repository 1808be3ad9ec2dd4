// An index of bertlet/retrieval in files: the same from memory and streamed, what is damaged, what is large.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import { EmbeddingIndex } from '../src/retrieval.ts'
import { checksum } from '../src/training/checksums.ts'
import type { Sink } from '../src/weights/sink.ts'
import { writeSafetensors } from '../src/weights/write-safetensors.ts'
import { memorySource, type ByteReader } from '../src/weights/source.ts'
import { WIDTH, ids, indexOf, memory, numbers, tensor, vectors } from './support/vectors.ts'

/** Ways to hold vectors, and to score them again. */
const KINDS = [
  ['float32', {}],
  ['int8', {}],
  ['binary', {}],
  ['binary', { rescore: 'int8' }],
  ['binary', { rescore: false }],
] as const

describe('an index in files', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'bertlet-index-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each(KINDS)('%s with %o gives the same results, from memory and streamed', async (precision, more) => {
    const place = path.join(folder, `${precision}${JSON.stringify(more).length}`)
    const data = vectors(900)
    const index = new EmbeddingIndex({ precision, threads: 1, model: 'm', ...more })
    await index.add(
      numbers(900).map(String),
      tensor(data),
      numbers(900).map((i) => (i % 2 ? { i, text: 'ü😀\n' } : undefined)),
    )
    await index.remove(['7', '8'])
    const asked = tensor(vectors(35))
    const want = await index.search(asked, { top_k: 9 })
    await index.save(place)
    const loaded = await EmbeddingIndex.load(place, { threads: 2, model: 'm' })
    expect(loaded.streamed).toBe(false)
    expect(await loaded.search(asked, { top_k: 9 })).toEqual(want)
    const streamed = await EmbeddingIndex.load(place, { threads: 1, max_memory: 1000 })
    expect(streamed.streamed).toBe(!('rescore' in more) || more.rescore !== false)
    expect(await streamed.search(asked, { top_k: 9 })).toEqual(want)
    expect(ids(await streamed.search(asked.data.slice(0, WIDTH), { filter: { i: { $lt: 20 } } })).every((id) => Number(id) < 20)).toBe(true)
    if (streamed.streamed) await expect(streamed.add(['x'], [vectors(1)])).rejects.toThrow(/streamed.*max_memory/)
    // What was loaded goes on, and is saved to the same bytes as one made at once.
    await loaded.remove('3')
    await index.remove('3')
    const [a, b] = [memory(), memory()]
    await loaded.save(a.sink)
    await index.save(b.sink)
    expect(a.files).toEqual(b.files)
    for (const each of [index, loaded, streamed]) await each.dispose()
  })

  it('streams blocks of any number', async () => {
    // 16 MiB a block: more than two of them.
    const [width, rows] = [1024, 9000]
    const data = vectors(rows, width)
    const index = new EmbeddingIndex({ threads: 2 })
    await index.add(numbers(rows), tensor(data, width))
    const query = vectors(1, width)
    const want = await index.search(query)
    await index.save(path.join(folder, 'large'))
    await index.dispose()
    const streamed = await EmbeddingIndex.load(path.join(folder, 'large'), { threads: 2, max_memory: 0 })
    expect(await streamed.search(query)).toEqual(want)
    const stop = new AbortController()
    const stopped = streamed.search(query, { signal: stop.signal })
    stop.abort()
    await expect(stopped).rejects.toThrow(/abort/i)
    expect(await streamed.search(query)).toEqual(want)
    await streamed.dispose()
  })

  it('refuses what is no whole index, by file and what', async () => {
    const { sink, files } = memory()
    const index = await indexOf(vectors(5))
    await index.save(sink)
    const [V, E] = ['index.safetensors', 'index.jsonl']
    const broken = (name: string, change: (bytes: Uint8Array) => Uint8Array): Promise<unknown> =>
      EmbeddingIndex.load({ ...files, [name]: change(files[name]!) })
    // Lengths must stay: bytes before and after.
    const text = (change: (text: string) => string) => (bytes: Uint8Array) =>
      new Uint8Array(Buffer.from(change(Buffer.from(bytes).toString('latin1')), 'latin1'))
    await expect(EmbeddingIndex.load({ [E]: files[E]! })).rejects.toThrow(/no index\.safetensors/)
    await expect(EmbeddingIndex.load({ [V]: files[V]! })).rejects.toThrow(/index\.jsonl: expected .* no such file/)
    await expect(broken(V, (bytes) => bytes.slice(0, -3))).rejects.toThrow(/index\.safetensors/)
    await expect(broken(V, () => new Uint8Array(300))).rejects.toThrow(/index\.safetensors: expected a header/)
    const foreign = Buffer.concat([...writeSafetensors([{ name: 'w', dtype: 'U8', shape: [1], data: new Uint8Array(1) }])])
    await expect(broken(V, () => new Uint8Array(foreign))).rejects.toThrow(/an index of bertlet, got another safetensors file.*"w"/)
    await expect(
      broken(
        V,
        text((s) => s.replace('"bertlet_index":"1"', '"bertlet_index":"9"')),
      ),
    ).rejects.toThrow(/version 1, got "9"/)
    await expect(
      broken(
        V,
        text((s) => s.replace('"precision":"float32"', '"precision":"floatXX"')),
      ),
    ).rejects.toThrow(/precision.*floatXX/)
    await expect(
      broken(
        E,
        text((s) => s.replace('{"id":3}', '{"id":{}}')),
      ),
    ).rejects.toThrow(/index\.jsonl:4: expected an id/)
    await expect(
      broken(
        E,
        text((s) => s.replace('{"id":3}\n', '')),
      ),
    ).rejects.toThrow(/index\.jsonl: expected 5 lines.*got 4/)
    await expect(
      broken(
        E,
        text((s) => s.replace('{"id":3}', '{"id":9}')),
      ),
    ).rejects.toThrow(/index\.jsonl: expected the file that was saved/)
    await expect(
      broken(
        E,
        text((s) => `${s}{`),
      ),
    ).rejects.toThrow(/index\.jsonl:6: expected JSON/)
    await expect(EmbeddingIndex.load({ ...files }, { model: 'other' })).rejects.toThrow(/model: expected undefined.*got "other"/)
    expect((await EmbeddingIndex.load(files)).size).toBe(5)
    await expect(EmbeddingIndex.load('./nowhere')).rejects.toThrow(/index "\.\/nowhere".*An index is a folder of index\.safetensors/)
  })

  it.each(KINDS)('%s with %o: one flipped bit anywhere is told, from memory and streamed', async (precision, more) => {
    const { sink, files } = memory()
    const data = vectors(40)
    const index = await indexOf(data, { precision, threads: 0, ...more })
    await index.save(sink)
    const whole = files['index.safetensors']!
    const start = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true))
    for (let at = start + 5; at < whole.length; at += 1201) {
      const bytes = whole.slice()
      bytes[at]! ^= 1 << (at % 8)
      const damaged = { ...files, 'index.safetensors': bytes }
      const told = /index\.safetensors: tensor "(embeddings|bits)": expected row \d+ as it was saved.*--rebuild/
      await expect(EmbeddingIndex.load(damaged)).rejects.toThrow(told)
      const search = async (): Promise<unknown> => {
        await using streamed = await EmbeddingIndex.load(damaged, { max_memory: 0, threads: 0 })
        return streamed.search(data.slice(0, WIDTH), { top_k: 40 })
      }
      await expect(search()).rejects.toThrow(told)
    }
  })

  it('of a version without checksums loads, and finds numbers that are none', async () => {
    const { sink, files } = memory()
    const index = await indexOf(vectors(40), { threads: 0 })
    const query = vectors(1)
    const want = await index.search(query)
    await index.save(sink)
    const whole = files['index.safetensors']!
    const start = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true))
    const header = JSON.parse(Buffer.from(whole.subarray(8, start)).toString()) as { __metadata__: Record<string, string> }
    const old = (data: Uint8Array): Record<string, Uint8Array> => {
      const tensors = [{ name: 'embeddings', dtype: 'F32', shape: [40, WIDTH], data }] as const
      return { ...files, 'index.safetensors': new Uint8Array(Buffer.concat([...writeSafetensors(tensors, header.__metadata__)])) }
    }
    const data = whole.slice(start, start + 40 * WIDTH * 4)
    for (const max_memory of [0, Infinity]) {
      await using loaded = await EmbeddingIndex.load(old(data), { max_memory, threads: 0 })
      expect(await loaded.search(query)).toEqual(want)
    }
    const nan = data.slice().fill(255, 4, 8)
    await expect(EmbeddingIndex.load(old(nan))).rejects.toThrow(/"embeddings": expected finite numbers/)
    await using streamed = await EmbeddingIndex.load(old(nan), { max_memory: 0, threads: 0 })
    await expect(streamed.search(query)).rejects.toThrow(/"embeddings": expected finite numbers/)
  })

  it('is streamed by default when its vectors take more than 1 GiB', async () => {
    const { sink, files } = memory()
    await new EmbeddingIndex({ threads: 0 }).save(sink)
    const text = '{"id":0}\n'
    const load = async (width: number): Promise<boolean> => {
      const fields = { bertlet_index: '1', entries: '1', entries_checksum: String(checksum(Buffer.from(text))), precision: 'float32' }
      const more = { rescore: 'false', rescore_multiplier: '4', metric: 'dot', width: String(width) }
      const tensors = [{ name: 'embeddings', dtype: 'F32', shape: [1, width], data: new Uint8Array(0) }] as const
      const head = writeSafetensors(tensors, { ...fields, ...more }).next().value as Uint8Array
      // A file of which only the head is ever made.
      const open = async (name: string): Promise<ByteReader> => ({
        size: name.endsWith('jsonl') ? text.length : head.length + 4 * width,
        read: async (from, to) => (name.endsWith('jsonl') ? Buffer.from(text) : head).subarray(from, to),
        close: async () => undefined,
      })
      await using index = await EmbeddingIndex.load({ name: 'large', text: async () => undefined, open }, { threads: 0 })
      return index.streamed
    }
    expect(Object.keys(files)).toHaveLength(2)
    expect(await load(2 ** 28 + 8)).toBe(true)
  })

  it('makes and reads its texts in pieces: all could be more than an engine puts into one', async () => {
    const index = new EmbeddingIndex({ threads: 0 })
    // Characters lie over the ends of pieces.
    const odd = numbers(5).map((i) => ({ text: `${'ä😀'.repeat(300_000)}${i}` }))
    await index.add(numbers(5), tensor(vectors(5, 4), 4), odd)
    const { sink, files } = memory()
    const sizes: number[] = []
    const write: Sink['write'] = async (name, pieces) => {
      const list = [...(pieces as Iterable<Uint8Array>)]
      sizes.push(...list.map(({ length }) => length))
      await sink.write(name, list)
    }
    await index.save({ write })
    const source = memorySource(files)
    const open = async (name: string): Promise<ByteReader> => {
      const reader = (await source.open(name))!
      const read: ByteReader['read'] = (from, to, into) => {
        sizes.push(to - from)
        return reader.read(from, to, into)
      }
      return { ...reader, read }
    }
    const loaded = await EmbeddingIndex.load({ ...source, open })
    expect([...loaded.entries()]).toEqual(odd.map((own, i) => [i, own]))
    expect(files['index.jsonl']!.length).toBeGreaterThan(8 << 20)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1 << 20)
  })
})
