// Vectors of bertlet/retrieval: rankings against golden ones (test/golden/retrieval), scores against float64, what is held in fewer bits, bad input.
import { describe, expect, it } from 'vitest'
import '../src/index.node.ts'
import {
  BM25Index,
  EmbeddingIndex,
  paraphraseMining,
  paraphraseMiningEmbeddings,
  reciprocalRankFusion,
  semanticSearch,
} from '../src/retrieval.ts'
import { Tensor } from '../src/models/tensor.ts'
import { WIDTH, golden, ids, indexOf, near, nearest, numbers, tensor, vectors } from './support/vectors.ts'

const { corpus, queries } = golden

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
