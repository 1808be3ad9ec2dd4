import Table from 'cli-table3'
import { pipeline } from '../index.node.ts'
import { loadOptions, type ModelOptions } from './options.ts'
import { oneLine } from './output.ts'
import { openProgress } from './progress.ts'

export interface SimilarityOptions extends ModelOptions {
  readonly json?: boolean
}

/** `bertlet similarity`: the cosine of every pair of texts, and what ran. */
export async function similarity(texts: readonly string[], options: SimilarityOptions, signal: AbortSignal): Promise<void> {
  const start = performance.now()
  const progress = await openProgress({ rows: true })
  const load = { ...loadOptions(options), signal, progress_callback: progress.load }
  const embed = await pipeline('feature-extraction', options.model, load).finally(progress.stop)
  try {
    const loaded = performance.now()
    const { data, dims } = await embed(texts, { pooling: 'mean', normalize: true, signal })
    const ran = performance.now()
    const width = dims[1]!
    const vectors = texts.map((_, i) => data.subarray(i * width, (i + 1) * width))
    const cosines = vectors.map((a) => vectors.map((b) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)))
    const { model, dtype, build, threads } = embed.model.info()
    const times = { load_ms: Math.round(loaded - start), run_ms: Math.round((ran - loaded) * 10) / 10 }
    if (options.json) {
      const report = { texts, cosines, model, dtype: dtype.name, build: build.name, threads: threads.count, ...times }
      process.stdout.write(`${JSON.stringify(report)}\n`)
      return
    }
    const table = new Table({ head: ['', ...texts.map((_, i) => String(i + 1)), 'text'], style: { head: [], border: [] } })
    texts.forEach((text, i) => table.push([String(i + 1), ...cosines[i]!.map((c) => c.toFixed(3)), oneLine(text, 60)]))
    const ended = `load ${times.load_ms} ms  run ${times.run_ms} ms`
    process.stdout.write(`${table.toString()}\n${model}  ${dtype.name}  build ${build.name}  ${threads.count} threads  ${ended}\n`)
  } finally {
    await embed.dispose()
  }
}
