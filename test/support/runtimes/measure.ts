// What `npm run measure:runtimes` asks of each runtime: all-MiniLM-L6-v2, from nothing to the first vectors and after that.
import type { Files } from '../../conformance/case.ts'
import { outputHash } from '../../conformance/reproducible.ts'
import { BertModel } from '../../../src/index.ts'
import { fewShot } from '../../../src/training.ts'
import { REVIEWS } from '../reviews.ts'

export interface Measured {
  readonly runtime: string
  readonly build: string
  readonly threads: number
  readonly hash: string
  /** A call of 1x128: median of `RUNS`. */
  readonly ms: number
  /** Reading the model, and the first call of 1x128. */
  readonly cold: number
  /** The longest time between two frames of a page, elsewhere two timers of 0 ms, during a call of 8x128. */
  readonly pause: number
  /** From files and 64 labelled texts to a classifier: fewShot on a frozen trunk. */
  readonly fewShot: number
  /** Bytes of wasm memory. */
  readonly memory: number
}

const RUNS = 25

/** `clock` tells ms: at the edge time stands still while a script computes. */
export async function measure(model: Files, clock: () => number | Promise<number>): Promise<Measured> {
  const input_ids = [Array.from({ length: 128 }, (_, i) => 1000 + i)]
  const started = await clock()
  const names = ['config.json', 'model.fp16.safetensors']
  const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await model.read(name)] as const)))
  const bert = await BertModel.fromPretrained({
    'config.json': files['config.json']!,
    'model.safetensors': files['model.fp16.safetensors']!,
  })
  await bert({ input_ids })
  const cold = (await clock()) - started
  const times: number[] = []
  for (let i = 0; i < RUNS; i++) {
    const before = await clock()
    await bert({ input_ids })
    times.push((await clock()) - before)
  }
  const pause = await longestPause(bert({ input_ids: Array.from({ length: 8 }, () => input_ids[0]!) }))
  const { runtime, build, threads, bytes } = bert.info()
  await bert.dispose()
  const tokenizer = await model.read('tokenizer.json')
  const before = await clock()
  const checkpoint = {
    'config.json': files['config.json']!,
    'model.safetensors': files['model.fp16.safetensors']!,
    'tokenizer.json': tokenizer,
  }
  const few = await fewShot(REVIEWS.map(({ text }) => text), REVIEWS.map(({ label }) => label), { model: checkpoint }) // prettier-ignore
  const made = (await clock()) - before
  await few.model.dispose()
  const hash = await outputHash({ threads: threads.count })
  const ms = times.sort((a, b) => a - b)[RUNS >> 1]!
  return { runtime, build: build.name, threads: threads.count, hash, ms, cold, pause, fewShot: made, memory: bytes.memory }
}

async function longestPause(work: Promise<unknown>): Promise<number> {
  let [going, longest, last] = [true, 0, performance.now()]
  const ended = work.finally(() => (going = false))
  while (going) {
    await new Promise((resolve) => (typeof requestAnimationFrame === 'function' ? requestAnimationFrame(resolve) : setTimeout(resolve, 0)))
    const now = performance.now()
    ;[longest, last] = [Math.max(longest, now - last), now]
  }
  await ended
  return longest
}
