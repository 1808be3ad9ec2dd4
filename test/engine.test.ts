import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Store } from '../src/engine/store.ts'
import { BertModel } from '../src/index.node.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from './support/models.ts'

// Every worker that is started, so that tests can end one.
const workers: Worker[] = []
vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>()
  return {
    ...real,
    Worker: class extends real.Worker {
      constructor(...args: ConstructorParameters<typeof real.Worker>) {
        super(...args)
        workers.push(this)
      }
    },
  }
})

const load = (options = {}, config = {}): Promise<BertModel> =>
  BertModel.fromPretrained(memorySource(checkpoint(config), 'tiny'), { threads: 2, ...options })

const large = { hidden_size: 384, num_hidden_layers: 6, num_attention_heads: 12, intermediate_size: 1536 }
const long = rectangle(Array.from({ length: 8 }, () => Array.from({ length: 512 }, (_, i) => i % 120)))
const short = rectangle(sequences(3))
const living = (): Worker[] => workers.filter((worker) => worker.threadId !== -1)

describe('the pool', () => {
  let model: BertModel
  let expected: Float32Array

  beforeAll(async () => {
    model = await load({}, large)
    expected = (await model(short)).last_hidden_state.data
  })
  afterAll(() => model.dispose())

  it('is one for all models', async () => {
    const before = living().length
    const other = await load()
    await other(short)
    expect(living()).toHaveLength(before)
    await other.dispose()
  })

  it('starts its workers while weights are read, before any call', async () => {
    const before = workers.length
    const other = await load({ threads: 3 })
    expect(workers.length).toBeGreaterThan(before)
    // A call needs no more of them.
    const after = workers.length
    await other(short)
    expect(workers).toHaveLength(after)
    await other.dispose()
  })

  it('queues concurrent calls, each with its own result', async () => {
    const batches = Array.from({ length: 6 }, (_, i) => rectangle(sequences(2, { seed: i + 1 })))
    const together = await Promise.all(batches.map((batch) => model(batch)))
    for (const [i, batch] of batches.entries()) {
      expect(together[i]!.last_hidden_state.data).toEqual((await model(batch)).last_hidden_state.data)
    }
  })

  it("leaves the caller's thread free while 8x512 runs", async () => {
    await model(short)
    const delay = monitorEventLoopDelay({ resolution: 1 })
    const call = model(long)
    // Packing the call and copying its outputs are the caller's; what is between must not be.
    await new Promise((resolve) => setTimeout(resolve, 100))
    delay.enable()
    let running = true
    void call.finally(() => (running = false))
    await new Promise((resolve) => setTimeout(resolve, 250))
    delay.disable()
    expect(running, 'the call was over too soon to tell').toBe(true)
    await call
    expect(delay.max / 1e6).toBeLessThan(20)
  })

  it('aborts within a record, and the next call works', async () => {
    const controller = new AbortController()
    const call = model({ ...long, signal: controller.signal })
    await new Promise((resolve) => setTimeout(resolve, 50))
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(call).rejects.toBe(reason)
    expect((await model(short)).last_hidden_state.data).toEqual(expected)
  })

  it('aborts a call that still waits, and one that never started', async () => {
    const controller = new AbortController()
    const first = model(long)
    const second = model({ ...short, signal: controller.signal })
    controller.abort()
    await expect(second).rejects.toThrow(/abort/i)
    await expect(model({ ...short, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i)
    await first
  })

  for (const rank of [0, 1]) {
    it(`rejects the call whose worker ${rank} is terminated, and the next call works`, async () => {
      await model(short)
      const victim = living()[rank]!
      const call = model(long)
      await new Promise((resolve) => setTimeout(resolve, 60))
      await Promise.all([expect(call).rejects.toMatchObject({ code: 'worker_failed' }), victim.terminate()])
      expect((await model(short)).last_hidden_state.data).toEqual(expected)
    })
  }

  it('uses no CPU when idle', async () => {
    await model(short)
    await new Promise((resolve) => setTimeout(resolve, 100))
    const start = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 500))
    const { user, system } = process.cpuUsage(start)
    expect((user + system) / 500_000).toBeLessThan(0.1)
  })
})

describe('memory', () => {
  it('of a weight is zero, in a place that was used before too, and panels are as their rows were written', async () => {
    const store = await Store.create()
    const spec = { name: 'w', shape: [16, 12], layout: 'panel' } as const
    const values = Float32Array.from({ length: 16 * 12 }, (_, i) => i + 1)
    store.hold(spec)
    expect(store.read('w')).toEqual(new Float32Array(values.length))
    store.write('w', values)
    const { address } = store.get('w')
    store.drop('w')
    expect(store.hold(spec).address).toBe(address)
    expect(store.read('w')).toEqual(new Float32Array(values.length))
    // Rows that were read to where they belong are turned around there.
    store.view(Float32Array, address, values.length).set(values)
    const spare = store.allocate(8 * 12 * 4, 'eight rows')
    store.packInPlace(store.get('w'), 0, 16, spare)
    expect(store.read('w')).toEqual(values)
  })

  it('is told beforehand by estimate()', async () => {
    const estimate = await BertModel.estimate(memorySource(checkpoint(large), 'large'), { threads: 2 })
    const model = await load({}, large)
    await model(rectangle([long.input_ids[0]!, long.input_ids[1]!]))
    const { bytes } = model.info()
    expect(bytes.weights).toBe(estimate.weights)
    expect(bytes.arena).toBe(estimate.arena)
    // The rest is the window that weights were loaded through.
    expect(bytes.memory - estimate.total).toBeGreaterThanOrEqual(0)
    expect(bytes.memory - estimate.total).toBeLessThan(3 << 20)
    await model.dispose()
  })

  it('does not grow with the call', async () => {
    const model = await load()
    await model(rectangle(sequences(40, { longest: 100 })))
    const { memory } = model.info().bytes
    await model(rectangle(sequences(400, { longest: 100 })))
    expect(model.info().bytes.memory).toBe(memory)
    await model.dispose()
  })

  it('goes back on dispose()', async () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const settle = async (): Promise<number> => {
      for (let i = 0; i < 10; i++) {
        gc()
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return process.memoryUsage().rss
    }
    const files = memorySource(checkpoint({ ...large, vocab_size: 20_000 }), 'large')
    const once = async (): Promise<number> => {
      const model = await BertModel.fromPretrained(files, { threads: 2 })
      await model(short)
      const { memory } = model.info().bytes
      await model.dispose()
      return memory
    }
    const memory = await once()
    const before = await settle()
    for (let i = 0; i < 4; i++) await once()
    // Were memory kept, four more models would be four times that; one may still be on its way.
    expect((await settle()) - before).toBeLessThan(memory)
  })

  it('refuses use after dispose, and a second dispose does nothing', async () => {
    const model = await load()
    await model.dispose()
    await expect(model(short)).rejects.toMatchObject({ code: 'disposed' })
    expect(() => model.info()).toThrow(/disposed/)
    await model.dispose()
  })
})

describe('threads: 0', () => {
  it('gives the same bits on the calling thread, in slices, and can be aborted', async () => {
    const here = await load({ threads: 0 }, large)
    const there = await load({ threads: 2 }, large)
    expect((await here(short)).last_hidden_state.data).toEqual((await there(short)).last_hidden_state.data)
    const controller = new AbortController()
    let turns = 0
    const ticks = setInterval(() => turns++ > 3 && controller.abort(), 1)
    await expect(here({ ...long, signal: controller.signal })).rejects.toThrow(/abort/i)
    clearInterval(ticks)
    expect(turns).toBeGreaterThan(3)
    await Promise.all([here.dispose(), there.dispose()])
  })
})
