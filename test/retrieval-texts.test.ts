// Words and texts of bertlet/retrieval: BM25 and measures against golden ones (test/golden/retrieval), an index of texts, lists made one.
import { describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import {
  BM25Index,
  meanAveragePrecision,
  ndcg,
  recall,
  reciprocalRankFusion,
  TextIndex,
  weightedFusion,
  wordsOf,
  type Embed,
} from '../src/retrieval.ts'
import { golden, indexOf, memory, tensor, vectors } from './support/vectors.ts'

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
