import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Op, Slot, Status, Sync } from '../assembly/abi.ts'
import { Engine } from '../src/engine/engine.ts'
import { Graph } from '../src/graph/graph.ts'
import { fuse } from '../src/graph/fuse.ts'
import { lower, type Plan } from '../src/graph/plan.ts'
import type { Dims } from '../src/graph/tensor.ts'
import { COSTS, workOf, worthwhile, type Work } from '../src/graph/work.ts'
import '../src/index.node.ts'
import { chunks, packBatch, roundUp } from '../src/models/batch.ts'
import { bert } from '../src/models/bert.ts'
import { BertConfig } from '../src/models/config.ts'

const [HIDDEN, LAYERS, HEADS, INNER] = [384, 6, 12, 1536]
const configOf = (hidden: number, layers: number, heads: number): BertConfig =>
  new BertConfig({
    model_type: 'bert',
    vocab_size: 50,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: 4 * hidden,
    max_position_embeddings: 1024,
  })
const miniLM = configOf(HIDDEN, LAYERS, HEADS)

/** What packing makes of rows of such lengths in one rectangle. */
function dimsOf(lengths: readonly number[]): Dims {
  const columns = Math.max(...lengths)
  const input_ids = lengths.map(() => new Array<number>(columns).fill(1))
  const attention_mask = lengths.map((length) => Array.from({ length: columns }, (_, i) => (i < length ? 1 : 0)))
  const all = [...chunks(packBatch({ input_ids, attention_mask }, miniLM), Infinity)]
  expect(all).toHaveLength(1)
  return all[0]!.dims
}

const TILE = { mc: 128, kc: 512, nr: 8, gemmScratch: 300_000 }
function planOf(config: BertConfig, dims: Dims, dtype: 'f32' | 'int8' = 'f32', address = (): number => 0, firstOnly = false): Plan {
  const g = new Graph()
  g.output('last', bert(g, config, { wordTable: 'rows', dtype }, { attention: 'sdpa', inference: true, firstOnly }).hidden.at(-1)!)
  fuse(g)
  return lower(g, roundUp(dims), TILE, address)
}

const sum = (work: readonly Work[], op: Op): number => work.reduce((total, each) => total + (each.op === op ? each.operations : 0), 0)
const pairs = (lengths: readonly number[]): number => lengths.reduce((total, length) => total + length * length, 0)

describe('the work of a plan', () => {
  it.each([[[16]], [[5, 100, 31]], [[512, 8, 8, 8]], [Array.from({ length: 64 }, (_, i) => 3 + (i % 40))]])(
    'is that of the tokens, with no padding: %j',
    (lengths) => {
      const dims = dimsOf(lengths)
      const tokens = lengths.reduce((total, length) => total + length, 0)
      for (const dtype of ['f32', 'int8'] as const) {
        const work = workOf(planOf(miniLM, dims, dtype), dims)
        // Query, key, value, output, and the two of the feed-forward network.
        const products = 2 * tokens * LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER)
        expect(sum(work, dtype === 'f32' ? Op.Gemm : Op.GemmInt8)).toBe(products)
        expect(sum(work, Op.Attention)).toBe(LAYERS * 4 * HIDDEN * pairs(lengths))
        // First tokens: one query a sequence, which is computed eight times.
        const few = workOf(planOf(miniLM, dims, dtype, undefined, true), dims)
        expect(sum(few, Op.Attention)).toBe((LAYERS - 1) * 4 * HIDDEN * pairs(lengths) + 8 * 4 * HIDDEN * tokens)
      }
    },
  )

  it('doubles with the tokens, up to 64k of them', () => {
    for (let rows = 8; rows < 512; rows *= 2) {
      const [one, two] = [rows, 2 * rows].map((count) => {
        const dims = dimsOf(new Array<number>(count).fill(128))
        return workOf(planOf(miniLM, dims), dims).reduce((total, { operations }) => total + operations, 0)
      })
      expect(two! / one!).toBe(2)
    }
  })
})

describe('threads', () => {
  const costs = { ...COSTS }
  beforeAll(() => void Object.assign(COSTS, { wake: 100, meeting: 3 }))
  afterAll(() => void Object.assign(COSTS, costs))
  const threads = (config: BertConfig, lengths: readonly number[], most: number): number => {
    const dims = dimsOf(lengths)
    return worthwhile(workOf(planOf(config, dims), dims), most)
  }

  it('are few for little work', () => {
    expect(threads(configOf(32, 2, 2), [8], 4)).toBe(1)
    expect(threads(configOf(128, 2, 2), [8], 2)).toBe(1)
    // Six layers of 384 are worth it even for 8 tokens; for all of 64 threads there are not enough columns.
    expect(threads(miniLM, [8], 2)).toBe(2)
    expect(threads(miniLM, [8], 64)).toBeLessThan(40)
    expect(threads(miniLM, [8], 64)).toBeGreaterThan(4)
  })

  it('are all that there are for much of it, and as many for one long text as for many short ones', () => {
    for (const most of [2, 4, 8]) {
      expect(threads(miniLM, [512], most)).toBe(most)
      expect(threads(miniLM, [512, 8, 8, 8, 8], most)).toBe(most)
      expect(threads(miniLM, new Array<number>(64).fill(8), most)).toBe(most)
    }
  })
})

/**
 * Pieces of each record as the kernels take them: the counter that threads share, read after a run that is poisoned, and so ends before
 * they would meet.
 */
async function taken(dims: Dims, lengths: readonly number[], dtype: 'f32' | 'int8'): Promise<{ work: Work[]; pieces: number[] }> {
  const engine = await Engine.create(0, 'exact', dtype)
  try {
    const { store } = engine
    const parameter = store.allocate(4 * INNER * HIDDEN, 'any parameter')
    const plan = planOf(miniLM, dims, dtype, () => parameter)
    const arena = store.allocate(plan.arenaBytes, 'the arena')
    const scratch = store.allocate(plan.scratchBytes, 'scratch')
    const address = store.allocate(plan.words.byteLength, 'the plan')
    const words = store.view(Int32Array, address, plan.words.length)
    words.set(plan.words)
    words.set([arena, scratch], Slot.Arena)
    words.set([dims.tokens, dims.sequences, dims.longest, dims.squares, 0, dims.sequences + 1], Slot.Tokens)
    let end = 0
    store
      .view(Int32Array, arena + plan.inputs.get('offsets')!.offset, lengths.length + 1)
      .set([0, ...lengths.map((length) => (end += length))])
    const sync = store.view(Int32Array, store.sync, Sync.Words)
    const pieces = Array.from({ length: plan.records }, (_, record) => {
      sync.fill(0)
      sync[Sync.Poison] = 1
      expect(store.kernels.run(address, record, record + 1, store.sync, 0, 2)).toBe(Status.Aborted)
      // It asked once more, in vain.
      return sync[Sync.Counter]! - 1
    })
    return { work: workOf(plan, dims), pieces }
  } finally {
    await engine.dispose()
  }
}

describe('the pieces of a record', () => {
  it.each([[[16]], [[512, 8, 8, 8]], [[40, 7, 128, 65]]])('are at least as many as the plan counts on: %j', async (lengths) => {
    const dims = dimsOf(lengths)
    for (const dtype of ['f32', 'int8'] as const) {
      const { work, pieces } = await taken(dims, lengths, dtype)
      for (const [i, { op, pieces: counted }] of work.entries()) {
        expect(pieces[i], `op ${op}`).toBeGreaterThanOrEqual(counted)
        if (op === Op.Gemm) expect(pieces[i]).toBe(counted)
      }
    }
  })

  it('leave no thread idle beside a text much longer than the rest', async () => {
    const lengths = [512, 8, 8, 8]
    const { work, pieces } = await taken(dimsOf(lengths), lengths, 'f32')
    const attention = pieces.filter((_, i) => work[i]!.op === Op.Attention)
    // Eight blocks of queries of the long one, and one of each other, for each head.
    expect(attention).toEqual(new Array<number>(LAYERS).fill(HEADS * (8 + 3)))
    const products = pieces.filter((_, i) => work[i]!.op === Op.Gemm)
    expect(Math.min(...products)).toBeGreaterThanOrEqual(5 * 12)
  })
})
