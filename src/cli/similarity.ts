import Table from 'cli-table3'
import { expected, Words } from '../errors.ts'
import { pipeline, type FeatureExtractionPipeline } from '../index.node.ts'
import { callOptions, type VectorOptions } from './embed.ts'
import { batches } from './lines.ts'
import { adaptedOptions } from './options.ts'
import { oneLine, openSink } from './output.ts'
import { openProgress } from './progress.ts'

/** `bertlet similarity`: the cosine of every pair of texts, and what ran. */
export async function similarity(given: readonly string[], options: VectorOptions, signal: AbortSignal): Promise<void> {
  const texts: string[] = []
  for await (const entries of batches(given, options, Infinity, signal)) texts.push(...entries.map(({ text }) => text))
  if (texts.length === 0) throw expected('similarity', 'texts to compare', new Words('none'))
  const start = performance.now()
  const sink = await openSink(options.output, signal)
  const progress = await openProgress({ rows: true })
  let embed: FeatureExtractionPipeline | undefined
  try {
    const load = { ...adaptedOptions(options), signal, progress_callback: progress.load }
    embed = await pipeline('feature-extraction', options.model, load).finally(progress.stop)
    const loaded = performance.now()
    const { data, dims } = await embed(texts, { ...callOptions(embed, options), normalize: true, signal })
    const ran = performance.now()
    const width = dims[1]!
    const vectors = texts.map((_, i) => data.subarray(i * width, (i + 1) * width))
    const cosines = vectors.map((a) => vectors.map((b) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)))
    const { model, dtype, build, threads } = embed.model.info()
    const times = { load_ms: Math.round(loaded - start), run_ms: Math.round((ran - loaded) * 10) / 10 }
    if (options.json) {
      const report = { texts, cosines, model, dtype: dtype.name, build: build.name, threads: threads.count, ...times }
      await sink.write(`${JSON.stringify(report)}\n`)
    } else {
      const table = new Table({ head: ['', ...texts.map((_, i) => String(i + 1)), 'text'], style: { head: [], border: [] } })
      texts.forEach((text, i) => table.push([String(i + 1), ...cosines[i]!.map((c) => c.toFixed(3)), oneLine(text, 60)]))
      const ended = `load ${times.load_ms} ms  run ${times.run_ms} ms`
      await sink.write(`${table.toString()}\n${model}  ${dtype.name}  build ${build.name}  ${threads.count} threads  ${ended}\n`)
    }
    await sink.finish()
  } finally {
    await sink.close()
    await embed?.dispose()
  }
}
