import { pipeline, type Task } from '../index.node.ts'
import { FAILURE } from './ending.ts'
import { batches, whole, type Entry } from './lines.ts'
import { adaptedOptions } from './options.ts'
import { openSink, TableWriter, type Sink } from './output.ts'
import { openProgress } from './progress.ts'
import type { TaskCommand, TaskOptions } from './tasks.ts'

interface AnyPipeline {
  (...args: readonly unknown[]): Promise<unknown>
  dispose(): Promise<void>
}
type Item = Readonly<Record<string, unknown>>

/** Texts that are computed together. */
const BATCH = 64

/** `bertlet classify`, `ner`, ...: a task over texts, a line or some rows for each. */
export async function runTask(
  entry: TaskCommand,
  first: string,
  texts: readonly string[],
  options: TaskOptions,
  signal: AbortSignal,
): Promise<void> {
  const sink = await openSink(options.output, signal)
  const table = !options.json && options.output === undefined && process.stdout.isTTY
  const progress = await openProgress({ rows: table })
  const open = pipeline as unknown as (task: Task, model: string | undefined, options: object) => Promise<AnyPipeline>
  let pipe: AnyPipeline | undefined
  try {
    pipe = await open(entry.task, options.model, { ...adaptedOptions(options), signal, progress_callback: progress.load })
    const write = table ? tableOf(entry, sink) : jsonLines(sink)
    let done = 0
    let answered = false
    const all: Entry[] = []
    const ask = (list: readonly Entry[]): Promise<unknown> =>
      call(
        pipe!,
        entry.args(
          list.map(({ text }) => text),
          first,
          options,
        ),
        signal,
      )
    const one = entry.whole && texts.length === 0 && !options.lines && options.field === undefined
    for await (const entries of one ? [[await whole(options.file, signal)]] : batches(texts, options, BATCH, signal)) {
      if (entry.together) {
        all.push(...entries)
        continue
      }
      const results = await each(entries, (list) => ask(list) as Promise<unknown[]>)
      // Where nothing has an answer, it is not for the texts.
      if (!answered && results.every((result) => result instanceof Refused)) throw (results[0] as Refused).why
      answered = true
      for (const [i, { text, record, place }] of entries.entries()) {
        const result = results[i]
        if (result instanceof Refused) leaveOut(place, result)
        else await write(text, record, result)
      }
      progress.texts((done += entries.length), texts.length || undefined)
    }
    if (entry.together) await write(first, undefined, await ask(all))
    await sink.finish()
  } finally {
    progress.stop()
    await sink.close()
    await pipe?.dispose()
  }
}

/** What a task cannot take. */
class Refused {
  constructor(readonly why: Error) {}
}

/** Results of texts that are computed together; of one that the task cannot take, that, and the others' all the same. */
async function each(entries: readonly Entry[], ask: (entries: readonly Entry[]) => Promise<unknown[]>): Promise<unknown[]> {
  try {
    return await ask(entries)
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'invalid_argument') throw error
    if (entries.length === 1) return [new Refused(error as Error)]
    const half = entries.length >> 1
    return [...(await each(entries.slice(0, half), ask)), ...(await each(entries.slice(half), ask))]
  }
}

function leaveOut(place: string, { why }: Refused): void {
  process.exitCode = FAILURE
  process.stderr.write(`bertlet: ${place} is left out: ${why.message}\n`)
}

type Write = (text: string, record: Item | undefined, result: unknown) => Promise<void>

function call(pipe: AnyPipeline, args: readonly unknown[], signal: AbortSignal): Promise<unknown> {
  const options = args.at(-1) as object
  return pipe(...args.slice(0, -1), { ...options, signal })
}

function jsonLines(sink: Sink): Write {
  return (text, record, result) => sink.write(`${JSON.stringify({ ...(record ?? { text }), result })}\n`)
}

function tableOf(entry: TaskCommand, sink: Sink): Write {
  const writer = new TableWriter(sink, entry.columns)
  return async (text, _, result) => {
    const items = itemsOf(result)
    if (items.length > 0) await writer.write(items.map((item, i) => [i === 0 ? text : '', ...entry.row(item).map(cell)]))
  }
}

const cell = (value: unknown): string =>
  typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(4) : typeof value === 'string' ? value : JSON.stringify(value ?? '')

/** One answer, a list, a list of lists, or labels beside their scores: as rows. */
function itemsOf(result: unknown): Item[] {
  if (Array.isArray(result)) return result.flatMap(itemsOf)
  const { labels, scores } = result as { labels?: string[]; scores?: number[] }
  return labels ? labels.map((label, i) => ({ label, score: scores![i] })) : [result as Item]
}
