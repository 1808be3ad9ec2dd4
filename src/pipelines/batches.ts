// One item, many, or a stream of them, through a model in batches of about as many tokens each.
import { currentRuntime } from '../engine/engine.ts'
import type { BatchInputs } from '../models/batch.ts'

/** A row of tokens as the model reads it. */
export interface Row {
  readonly ids: readonly number[]
  readonly types: readonly number[]
}

/** An item made ready: its rows, and whatever its result needs. */
export interface Job {
  readonly rows: readonly Row[]
}

/** How a call turns items into results. */
export interface Work<Item, J extends Job, Output, Result> {
  /** Checks and tokenizes an item; `place` is for messages. */
  job(item: Item, place: string): J
  /** What the model says of all rows. */
  compute(inputs: BatchInputs, jobs: readonly J[]): Promise<Output>
  /** The result of a job whose first row is `row` of the batch. */
  result(job: J, output: Output, row: number): Result
}

/** How far a call is, in the shape of what is told while a model loads. */
export interface CallProgress {
  readonly status: 'progress'
  readonly task: string
  /** Texts that are done. */
  readonly loaded: number
  /** Of so many, and percent; not known of a stream. */
  readonly total?: number
  readonly progress?: number
}

export interface BatchOptions {
  readonly signal?: AbortSignal | undefined
  readonly tell?: ((loaded: number) => void) | undefined
}

/** Places of a batch's rectangle. The model cuts it by its own budget; this bounds what is held at a time. */
const PLACES = 8192

/** Results in the order of the items. */
export async function* inBatches<Item, J extends Job, Output, Result>(
  items: readonly Item[] | AsyncIterable<Item>,
  task: string,
  begin: () => Work<Item, J, Output, Result>,
  { signal, tell }: BatchOptions,
): AsyncGenerator<Result, void, undefined> {
  const work = begin()
  let [read, done] = [0, 0]
  const place = (): string => (Array.isArray(items) && items.length === 1 ? task : `${task}[${read++}]`)
  for await (const jobs of gathered(items, (item) => work.job(item, place()))) {
    signal?.throwIfAborted()
    const output = await work.compute(rectangle(jobs.flatMap(({ rows }) => rows)), jobs)
    tell?.((done += jobs.length))
    let row = 0
    for (const job of jobs) {
      yield work.result(job, output, row)
      row += job.rows.length
    }
  }
}

/**
 * Jobs that fill a rectangle. A stream that has nothing at hand is not waited for: what has come is computed, for its sender may be waiting
 * for the answer. What came before an item that fails is computed too.
 */
async function* gathered<Item, J extends Job>(
  items: readonly Item[] | AsyncIterable<Item>,
  job: (item: Item) => J,
): AsyncGenerator<J[], void, undefined> {
  const stream = Symbol.asyncIterator in items
  const iterator = stream ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let [jobs, rows, longest]: [J[], number, number] = [[], 0, 0]
  const full = (): J[] => {
    const batch = jobs
    ;[jobs, rows, longest] = [[], 0, 0]
    return batch
  }
  let ended = false
  try {
    for (;;) {
      const next = Promise.resolve(iterator.next())
      if (stream && jobs.length > 0 && (await isSlow(next))) yield full()
      const item = await next
      if ((ended = item.done === true)) break
      const made = job(item.value)
      const width = made.rows.reduce((most, { ids }) => Math.max(most, ids.length), 0)
      if (jobs.length > 0 && Math.max(longest, width) * (rows + made.rows.length) > PLACES) yield full()
      jobs.push(made)
      rows += made.rows.length
      longest = Math.max(longest, width)
    }
  } catch (error) {
    if (jobs.length > 0) yield full()
    throw error
  } finally {
    // It may be at work on the next item: that is not waited for.
    if (!ended) void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
  if (jobs.length > 0) yield full()
}

async function isSlow(next: Promise<unknown>): Promise<boolean> {
  const came = next.then(
    () => false,
    () => false,
  )
  const turn = currentRuntime().turn()
  return Promise.race([came, turn.then(() => true)])
}

/** Rows side by side, padded on the right: no result depends on it. */
function rectangle(rows: readonly Row[]): BatchInputs {
  const columns = rows.reduce((most, row) => Math.max(most, row.ids.length), 0)
  const dims = [rows.length, columns]
  const [ids, types, mask] = [0, 1, 2].map(() => new Int32Array(rows.length * columns)) as [Int32Array, Int32Array, Int32Array]
  rows.forEach((row, i) => {
    ids.set(row.ids, i * columns)
    types.set(row.types, i * columns)
    mask.fill(1, i * columns, i * columns + row.ids.length)
  })
  return { input_ids: { data: ids, dims }, token_type_ids: { data: types, dims }, attention_mask: { data: mask, dims } }
}
