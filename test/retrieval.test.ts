// bertlet/retrieval: rankings against golden ones (test/golden/retrieval), scores against float64, what is held in fewer bits, files, bad input.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import {
  BM25Index,
  EmbeddingIndex,
  meanAveragePrecision,
  ndcg,
  paraphraseMining,
  paraphraseMiningEmbeddings,
  recall,
  reciprocalRankFusion,
  semanticSearch,
  TextIndex,
  weightedFusion,
  wordsOf,
  type Embed,
  type EmbeddingIndexOptions,
  type Hit,
} from '../src/retrieval.ts'
import { Tensor } from '../src/models/tensor.ts'
import { checksum } from '../src/training/checksums.ts'
import { writeSafetensors } from '../src/weights/write-safetensors.ts'
import type { Sink } from '../src/weights/sink.ts'
import { memorySource, type ByteReader } from '../src/weights/source.ts'
import { random } from './support/random.ts'

interface Golden {
  corpus: number[][]
  queries: number[][]
  cos_sim: [number, number][][]
  dot_score: [number, number][][]
  pairs: [number, number, number][]
  grades: number[][]
  rank: number[][]
  metrics: Record<'ndcg10' | 'ndcg' | 'map' | 'recall20', number>
  texts: string[]
  bm25: { query: string; k1: number; b: number; hits: [number, number][] }[]
}
const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, 'golden/retrieval/golden.json'), 'utf8')) as Golden
const { corpus, queries } = golden
/** Rounding of a sum of so many products below 1, and of the lengths. */
const EPS = 2 ** -24
const near = (width: number): number => 2 * (width + 4) * EPS

/** Files as they are written, in memory. */
function memory(): { sink: Sink; files: Record<string, Uint8Array> } {
  const files: Record<string, Uint8Array> = {}
  const write = async (name: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> => {
    const parts: Uint8Array[] = []
    for await (const piece of pieces) parts.push(piece)
    files[name] = new Uint8Array(Buffer.concat(parts))
  }
  return { sink: { write }, files }
}

const WIDTH = 48
const next = random(3)
const vectors = (count: number, width = WIDTH): Float32Array => Float32Array.from({ length: count * width }, () => next() * 2 - 1)
const tensor = (data: Float32Array, width = WIDTH): Tensor => new Tensor(Float32Array.from(data), [data.length / width, width])

/** The k rows of the largest cosines in float64, by brute force. */
function nearest(data: Float32Array, query: Float32Array, k: number, width = WIDTH): { id: number; score: number }[] {
  const cosine = (row: number): number => {
    let [ab, aa, bb] = [0, 0, 0]
    for (let i = 0; i < width; i++) {
      const [a, b] = [data[row * width + i]!, query[i]!]
      ab += a * b
      aa += a * a
      bb += b * b
    }
    return ab / Math.sqrt(aa * bb)
  }
  return Array.from({ length: data.length / width }, (_, id) => ({ id, score: cosine(id) }))
    .sort((a, b) => b.score - a.score || a.id - b.id)
    .slice(0, k)
}

const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i)
async function indexOf(data: Float32Array, options: EmbeddingIndexOptions = {}): Promise<EmbeddingIndex> {
  const index = new EmbeddingIndex({ threads: 1, ...options })
  await index.add(numbers(data.length / WIDTH), tensor(data))
  return index
}
const ids = (hits: readonly Hit[]): unknown[] => hits.map(({ id }) => id)

describe('semanticSearch', () => {
  it.each(['cos_sim', 'dot_score'] as const)('finds what sentence-transformers finds, by %s', async (score_function) => {
    const whole = await semanticSearch(queries, corpus, { top_k: 8, score_function, threads: 1 })
    const scale = Math.max(...golden[score_function].flat().map(([, score]) => Math.abs(score)))
    whole.forEach((hits, q) => {
      expect(hits.map(({ corpus_id }) => corpus_id)).toEqual(golden[score_function][q]!.map(([id]) => id))
      hits.forEach(({ score }, i) => expect(Math.abs(score - golden[score_function][q]![i]![1])).toBeLessThan(scale * near(20)))
    })
    // Chunks change nothing.
    const chunks = { query_chunk_size: 2, corpus_chunk_size: 9 }
    expect(await semanticSearch(queries, corpus, { top_k: 8, score_function, threads: 0, ...chunks })).toEqual(whole)
  })

  it('takes a function for scores', async () => {
    const manhattan = ({ data: a, dims: [n, h] }: Tensor, { data: b, dims: [m] }: Tensor): Tensor =>
      new Tensor(
        Float32Array.from({ length: n! * m! }, (_, at) => {
          let sum = 0
          for (let k = 0; k < h!; k++) sum -= Math.abs(a[Math.floor(at / m!) * h! + k]! - b[(at % m!) * h! + k]!)
          return sum
        }),
        [n!, m!],
      )
    const [[first]] = (await semanticSearch([corpus[7]!], corpus, { score_function: manhattan, top_k: 1 })) as [[unknown]]
    expect(first).toEqual({ corpus_id: 7, score: 0 })
    await expect(semanticSearch(queries, corpus, { score_function: () => new Tensor(new Float32Array(1), [1]) })).rejects.toThrow(
      /\[7, 60\]/,
    )
  })
})

describe('paraphraseMining', () => {
  it('finds the pairs of sentence-transformers', async () => {
    const found = await paraphraseMiningEmbeddings(corpus, { top_k: 3, max_pairs: 40, threads: 1 })
    expect(found.map(([, i, j]) => [i, j])).toEqual(golden.pairs.map(([, i, j]) => [i, j]))
    found.forEach(([score], p) => expect(Math.abs(score - golden.pairs[p]![0])).toBeLessThan(near(20)))
    expect(found[0]!.slice(1)).toEqual([3, 11])
    expect(await paraphraseMiningEmbeddings(corpus, { top_k: 3, max_pairs: 40, query_chunk_size: 7, threads: 1 })).toEqual(found)
  })

  it('takes a pipeline and sentences', async () => {
    const embed = async (texts: readonly string[]): Promise<Tensor> => tensor(Float32Array.from(texts.flatMap((t) => [t.length, 1])), 2)
    expect((await paraphraseMining(embed, ['aa', 'bbbbbb', 'cc'], { threads: 0 }))[0]).toEqual([expect.closeTo(1, 6), 0, 2])
    expect(await paraphraseMining(embed, [])).toEqual([])
  })
})

describe('EmbeddingIndex', () => {
  it('gives the k largest cosines, whatever is asked together, and the same bits for any threads', async () => {
    const data = vectors(700)
    const asked = vectors(40)
    const index = await indexOf(data)
    const found = await index.search(tensor(asked), { top_k: 12 })
    for (const q of [0, 13, 39]) {
      const query = asked.slice(q * WIDTH, (q + 1) * WIDTH)
      const want = nearest(data, query, 12)
      expect(ids(found[q]!)).toEqual(want.map(({ id }) => id))
      found[q]!.forEach(({ score }, i) => expect(Math.abs(score - want[i]!.score)).toBeLessThan(near(WIDTH)))
      expect(await index.search(query, { top_k: 12 })).toEqual(found[q])
    }
    for (const threads of [0, 2, 3]) {
      const other = await indexOf(data, { threads })
      expect(await other.search(tensor(asked), { top_k: 12 })).toEqual(found)
      await other.dispose()
    }
    expect(await index.search(asked.slice(0, WIDTH), { top_k: 10_000 })).toHaveLength(700)
    await index.dispose()
  })

  it('puts the first added first where scores are equal', async () => {
    const one = vectors(1)
    const data = new Float32Array(600 * WIDTH)
    for (let i = 0; i < 600; i++) data.set(one, i * WIDTH)
    for (const precision of ['float32', 'int8', 'binary'] as const) {
      const index = await indexOf(data, { precision })
      expect(ids(await index.search(one, { top_k: 5 }))).toEqual([0, 1, 2, 3, 4])
      await index.remove([0, 2])
      expect(ids(await index.search(one, { top_k: 3 }))).toEqual([1, 3, 4])
      await index.dispose()
    }
  })

  it('holds dot products too', async () => {
    const index = new EmbeddingIndex({ metric: 'dot', threads: 0 })
    await index.add(
      ['a', 'b'],
      [
        [1, 2],
        [3, -1],
      ],
    )
    expect(await index.search([2, 1])).toEqual([
      { id: 'b', score: 5, metadata: undefined },
      { id: 'a', score: 4, metadata: undefined },
    ])
  })

  it('is what it would be if removed entries had never been there, and grows', async () => {
    const data = vectors(3000)
    for (const precision of ['float32', 'int8', 'binary'] as const) {
      const all = await indexOf(data, { precision })
      expect(await all.remove([...numbers(1700, 100), 99_999])).toBe(1700)
      const rest = new EmbeddingIndex({ precision, threads: 1 })
      await rest.add(numbers(100), tensor(data.slice(0, 100 * WIDTH)))
      await rest.add(numbers(1200, 1800), tensor(data.slice(1800 * WIDTH)))
      expect([all.size, all.has(5), all.has(500)]).toEqual([1300, true, false])
      const query = vectors(1)
      const want = await rest.search(query, { top_k: 40 })
      expect(await all.search(query, { top_k: 40 })).toEqual(want)
      // An id that was removed may come again, as the last.
      await all.add([500], [Array.from(query)])
      expect((await all.search(query, { top_k: 1 }))[0]!.id).toBe(500)
      await all.dispose()
      await rest.dispose()
    }
  })

  it.each([
    ['int8', {}, 0.99],
    ['binary', {}, 0.9],
    ['binary', { rescore: 'int8' }, 0.9],
  ] as const)('%s with %o finds nearly what float32 finds, and scores it nearly so', async (precision, more, share) => {
    const data = vectors(2000)
    const asked = vectors(30)
    const index = await indexOf(data, { precision, rescore_multiplier: 40, ...more })
    let same = 0
    for (const [q, hits] of (await index.search(tensor(asked), { top_k: 10 })).entries()) {
      const want = nearest(data, asked.slice(q * WIDTH, (q + 1) * WIDTH), 10)
      for (const { id, score } of hits) {
        const exact = want.find((each) => each.id === id)
        if (exact === undefined) continue
        same++
        // Half a step of 1/127 of the largest number in each of 48: at most; float32 is as good as itself.
        const error = precision === 'binary' && !('rescore' in more) ? near(WIDTH) : 0.02
        expect(Math.abs(score - exact.score)).toBeLessThan(error)
      }
    }
    expect(same / 300).toBeGreaterThan(share)
    await index.dispose()
  })

  it('without anything to score again binary gives the cosine of signs', async () => {
    const index = new EmbeddingIndex({ precision: 'binary', rescore: false })
    await index.add(['a', 'b'], [Array.from({ length: 40 }, () => 1), Array.from({ length: 40 }, (_, i) => (i < 10 ? -1 : 1))])
    expect(await index.search(Array.from({ length: 40 }, () => 0.5))).toMatchObject([
      { id: 'a', score: 1 },
      { id: 'b', score: 0.5 },
    ])
  })

  it('filters by metadata before the best are taken', async () => {
    const data = vectors(300)
    const index = new EmbeddingIndex<{ year?: number; lang: string; tags?: string[] }>({ threads: 1 })
    const metadata = numbers(300).map((i) => ({
      ...(i % 3 > 0 && { year: 1900 + i }),
      lang: i % 2 ? 'en' : 'de',
      tags: i % 5 ? ['a'] : ['a', 'b'],
    }))
    await index.add(numbers(300), tensor(data), metadata)
    const query = vectors(1)
    const CASES: [Parameters<typeof index.search>[1], (i: number) => boolean][] = [
      [{ filter: { lang: 'en' } }, (i) => i % 2 === 1],
      [{ filter: { lang: ['en', 'fr'], year: { $gte: 1990, $lt: 2100 } } }, (i) => i % 2 === 1 && i % 3 > 0 && i >= 90 && i < 200],
      [{ filter: { tags: 'b' } }, (i) => i % 5 === 0],
      [{ filter: { tags: { $ne: 'b' } } }, (i) => i % 5 !== 0],
      [{ filter: { $or: [{ year: { $in: [1901] } }, { lang: { $nin: ['en'] } }] } }, (i) => i === 1 || i % 2 === 0],
      [{ filter: (own, id) => own.lang === 'de' && Number(id) > 200 }, (i) => i % 2 === 0 && i > 200],
    ]
    for (const [options, test] of CASES) {
      const want = nearest(data, query, 300).filter(({ id }) => test(id))
      expect(ids(await index.search(query, { top_k: 300, ...options }))).toEqual(want.map(({ id }) => id))
    }
    await expect(index.search(query, { filter: { year: { $gtt: 1 } } as never })).rejects.toThrow(/\$gtt.*Did you mean "\$gte?"/)
    await expect(index.search(query, { filter: 'lang' as never })).rejects.toThrow(/filter: expected a function/)
  })
})

describe('an index in files', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'bertlet-index-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each([
    ['float32', {}],
    ['int8', {}],
    ['binary', {}],
    ['binary', { rescore: 'int8' }],
    ['binary', { rescore: false }],
  ] as const)('%s with %o gives the same results, from memory and streamed', async (precision, more) => {
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

  it.each([
    ['float32', {}],
    ['int8', {}],
    ['binary', {}],
    ['binary', { rescore: 'int8' }],
    ['binary', { rescore: false }],
  ] as const)('%s with %o: one flipped bit anywhere is told, from memory and streamed', async (precision, more) => {
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

describe('bad input', () => {
  it('is refused with what was expected, and the index goes on', async () => {
    const index = await indexOf(vectors(20), { model: 'm' })
    const query = vectors(1)
    const want = await index.search(query)
    const corpus48 = tensor(vectors(3))
    const circle: Record<string, unknown> = {}
    circle.self = circle
    const deep = JSON.parse(`${'{"a":'.repeat(64)}0${'}'.repeat(64)}`) as Record<string, unknown>
    const refused: [Promise<unknown>, RegExp][] = [
      [index.add([0], [query]), /ids\[0\]: expected an id that is not in the index, got 0/],
      [index.add(['a', 'a'], tensor(vectors(2))), /ids\[1\]/],
      [index.add(['a'], tensor(vectors(2))), /expected 1, one for each id, got 2/],
      [index.add(['a'], [[1, 2, 3]]), /vectors of 48 numbers, got vectors of 3/],
      [index.add(['a'], [Array.from({ length: 48 }, (_, i) => (i === 7 ? NaN : 1))]), /vectors\[0\]\[7\]: expected a finite number/],
      [index.add(['a'], 'text' as never), /expected a vector/],
      [index.add([{} as never], [query]), /ids\[0\]: expected a text or a number/],
      [index.add(['a'], [query], [3 as never]), /metadata\[0\]: expected an object/],
      [index.add(['a', 'b'], tensor(vectors(2)), [{}, { n: 1n }]), /metadata\[1\]: expected an object that JSON can hold.*BigInt/],
      [index.add(['a'], [query], [circle]), /metadata\[0\]: expected an object that JSON can hold.*circular/],
      [index.add(['a'], [query], [deep]), /metadata\[0\]: expected an object that JSON can hold.*more than 63 levels/],
      [index.search([1, 2, 3]), /vectors of 48 numbers, got vectors of 3\. An index takes vectors of one model/],
      [index.search(new Float32Array(48).fill(Infinity)), /finite/],
      [index.search(query, { top_k: 0 }), /top_k/],
      [index.search(query, { topk: 1 } as never), /Did you mean "top_k"/],
      [index.search(query, { signal: AbortSignal.abort() }), /abort/],
    ]
    for (const [promise, message] of refused) await expect(promise).rejects.toThrow(message)
    expect(await index.search(query)).toEqual(want)
    // Options that are null are none.
    const none = null as never
    for (const call of [
      () => index.search(query, none),
      () => semanticSearch(query, corpus48, none),
      () => paraphraseMiningEmbeddings(corpus48, none),
      async () => reciprocalRankFusion([], none),
      async () => new BM25Index(none),
      async () => new BM25Index().search('a', none),
      async () => new EmbeddingIndex(none),
    ])
      await expect((async () => call())()).rejects.toThrow(/expected an object of options, got null/)
    expect(() => new EmbeddingIndex({ precision: 'int9' as never })).toThrow(/Did you mean int8/)
    expect(() => new EmbeddingIndex({ precision: 'int8', rescore: 'float32' })).toThrow(/rescore/)
    await index.dispose()
    await index.dispose()
    await expect(index.search(query)).rejects.toThrow(/disposed/)
  })

  it('vectors of zeros are near to nothing', async () => {
    const index = new EmbeddingIndex({ precision: 'int8', threads: 0 })
    await index.add(
      ['zero', 'one'],
      [
        [0, 0, 0],
        [1, 0, 0],
      ],
    )
    expect(await index.search([1, 0, 0])).toMatchObject([
      { id: 'one', score: expect.closeTo(1, 6) as number },
      { id: 'zero', score: 0 },
    ])
  })
})

describe('BM25', () => {
  it.each(golden.bm25)('scores as Lucene: $query, $k1, $b', ({ query, k1, b, hits }) => {
    const index = new BM25Index({ k1, b })
    index.add(golden.texts.map((text, id) => ({ id, text })))
    const found = index.search(query)
    expect(found.map(({ id }) => id)).toEqual(hits.map(([id]) => id))
    found.forEach(({ score }, i) => expect(score).toBeCloseTo(hits[i]![1], 12))
  })

  it('is what it would be if removed texts had never been there', () => {
    const [all, rest] = [new BM25Index(), new BM25Index()]
    all.add(golden.texts.map((text, id) => ({ id, text })))
    all.remove([1, 4, 99])
    rest.add(golden.texts.map((text, id) => ({ id, text })).filter(({ id }) => id !== 1 && id !== 4))
    expect(all.size).toBe(4)
    expect(all.search('the flat boundary plate').map(({ id }) => id)).toEqual(rest.search('the flat boundary plate').map(({ id }) => id))
    expect(all.search('plate', { top_k: 1, filter: (id) => id !== 3 })).toHaveLength(1)
  })

  it('takes any text', () => {
    const index = new BM25Index()
    index.add(['', '\0', '\ud800 lone', 'x'.repeat(1e6), '東京都 wo', 'naïve'].map((text, id) => ({ id, text })))
    expect(index.search('')).toEqual([])
    expect(index.search('lone').map(({ id }) => id)).toEqual([2])
    expect(index.search('京').map(({ id }) => id)).toEqual([4])
    expect(index.search('NAIVE').map(({ id }) => id)).toEqual([5])
    expect(wordsOf('a-b_c 1.5')).toEqual(['a', 'b', 'c', '1', '5'])
    expect(() => index.add([{ id: 0, text: 'again' }])).toThrow(/not in the index/)
  })
})

describe('TextIndex', () => {
  // Vectors of letters, so that what is near is plain to see; a prompt is told by its name.
  const asked: string[] = []
  const embed: Embed = Object.assign(
    async (texts: readonly string[], { prompt_name }: { prompt_name?: string }) => {
      asked.push(`${prompt_name}: ${texts.length}`)
      const counts = (text: string): number[] =>
        Array.from({ length: 26 }, (_, i) => text.toLowerCase().split(String.fromCharCode(97 + i)).length - 1)
      return tensor(Float32Array.from(texts.flatMap(counts)), 26)
    },
    { sentence: { prompts: { query: 'q', passage: 'p' } } },
  )
  const entries = [
    { id: 'a', text: 'silent', metadata: { n: 1 } },
    { id: 'b', text: 'inlets and more', metadata: { n: 2 } },
    { id: 'c', text: 'listen here' },
    { id: 'd', text: 'zebra' },
  ]

  it('finds by vectors, by words, and by both', async () => {
    const index = new TextIndex(embed, { threads: 0 })
    let told = 0
    await index.add(entries, { progress_callback: ({ loaded, total }) => (told += loaded / total) })
    expect([told, index.size, asked]).toEqual([1, 4, ['passage: 4']])
    const found = async (mode: 'dense' | 'bm25' | 'hybrid', more = {}): Promise<unknown[]> =>
      (await index.search('listen', { mode, ...more })).map(({ id }) => id)
    expect(await found('dense')).toEqual(['a', 'c', 'b', 'd'])
    expect(asked.at(-1)).toBe('query: 1')
    expect(await found('bm25')).toEqual(['c'])
    // Second of one list and first of the other, against first of one.
    expect(await found('hybrid')).toEqual(['c', 'a', 'b', 'd'])
    expect(await found('hybrid', { weights: [1, 0] })).toEqual(['a', 'c', 'b', 'd'])
    expect(await found('dense', { top_k: 2, filter: { n: { $gte: 1 } } })).toEqual(['a', 'b'])
    expect((await index.search('silent', { top_k: 1 }))[0]).toMatchObject(entries[0]!)
    expect(index.get('c')).toEqual(entries[2])
    await index.remove(['a'])
    expect(await found('hybrid')).toEqual(['c', 'b', 'd'])
    const { sink, files } = memory()
    await index.save(sink)
    const loaded = await TextIndex.load(files, embed)
    expect(await loaded.search('listen')).toEqual(await index.search('listen'))
    for (const each of [index, loaded]) await each.dispose()
  })

  it('refuses what is no text, and goes on', async () => {
    const index = new TextIndex(embed, { threads: 0 })
    await index.add(entries)
    await expect(index.search('')).rejects.toThrow(/query: expected a text that is not empty/)
    await expect(index.search('a', { mode: 'both' as never })).rejects.toThrow(/hybrid, dense, bm25/)
    await expect(index.add([{ id: 'x', text: 3 as never }])).rejects.toThrow(/entries\[0\]/)
    await expect(index.add([{ id: 'x', text: 'x' }], { progres_callback: () => undefined } as never)).rejects.toThrow(
      /Did you mean "progress_callback"/,
    )
    await expect(index.search('zebra', null as never)).rejects.toThrow(/expected an object of options, got null/)
    expect(() => new TextIndex(embed, null as never)).toThrow(/expected an object of options, got null/)
    await expect(index.add([{ id: 'a', text: 'again' }])).rejects.toThrow(/"a"/)
    await expect(index.search('x', { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i)
    expect(() => new TextIndex('model' as never)).toThrow(/a pipeline/)
    expect((await index.search('\ud800 zebra \0'))[0]!.id).toBe('d')
    const { sink, files } = memory()
    const vectorsOnly = await indexOf(vectors(2))
    await vectorsOnly.save(sink)
    await expect(TextIndex.load(files, embed)).rejects.toThrow(/a text among its metadata.*EmbeddingIndex\.load/)
    await index.dispose()
  })
})

describe('fusion', () => {
  const [a, b] = [
    [
      { id: 'x', score: 9 },
      { id: 'y', score: 5 },
      { id: 'z', score: 1 },
    ],
    [
      { id: 'z', score: 0.3 },
      { id: 'w', score: 0.1 },
    ],
  ]
  it('by ranks', () => {
    expect(reciprocalRankFusion([a, b], { k: 1 })).toEqual([
      { id: 'z', score: 1 / 4 + 1 / 2 },
      { id: 'x', score: 1 / 2 },
      { id: 'y', score: 1 / 3 },
      { id: 'w', score: 1 / 3 },
    ])
    expect(reciprocalRankFusion([a, b], { weights: [1, 0], top_k: 1 })).toEqual([{ id: 'x', score: 1 / 61 }])
  })
  it('by scores', () => {
    expect(weightedFusion([a, b], { weights: [1, 2] })).toEqual([
      { id: 'z', score: 2 },
      { id: 'x', score: 1 },
      { id: 'y', score: 0.5 },
      { id: 'w', score: 0 },
    ])
    expect(() => weightedFusion([a, b], { weights: [1] })).toThrow(/2 numbers/)
  })
})

describe('measures', () => {
  const qrels = Object.fromEntries(golden.grades.map((row, q) => [q, Object.fromEntries(row.map((each, id) => [id, each]))]))
  const run = Object.fromEntries(golden.rank.map((row, q) => [q, row]))
  it("are scikit-learn's", () => {
    expect(ndcg(run, qrels, 10)).toBeCloseTo(golden.metrics.ndcg10, 12)
    expect(ndcg(run, qrels, 60)).toBeCloseTo(golden.metrics.ndcg, 12)
    expect(meanAveragePrecision(run, qrels)).toBeCloseTo(golden.metrics.map, 12)
    expect(recall(run, qrels, 20)).toBeCloseTo(golden.metrics.recall20, 12)
  })
  it('count what was not found, and skip queries without judgements', () => {
    const few = { 0: [1, 2], 9: [1] }
    expect([
      ndcg(few, { 0: { 1: 1, 5: 1 }, 9: { 1: 0 } }),
      recall(few, { 0: { 1: 1, 5: 1 } }),
      meanAveragePrecision({}, { 0: { 1: 1 } }),
    ]).toEqual([1 / (1 + 1 / Math.log2(3)), 0.5, 0])
  })
})
