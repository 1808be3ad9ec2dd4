import Table from 'cli-table3'
import { pipeline } from '../index.node.ts'

interface Options {
  model?: string
  threads?: number
  json?: boolean
}

/** `bertlet similarity`: the cosine of every pair of texts, and what ran. */
export async function similarity(texts: string[], { model, threads, json }: Options): Promise<void> {
  const start = performance.now()
  const embed = await pipeline('feature-extraction', model, threads === undefined ? {} : { threads })
  const loaded = performance.now()
  const { data, dims } = await embed(texts, { pooling: 'mean', normalize: true })
  const ran = performance.now()
  const width = dims[1]!
  const vectors = texts.map((_, i) => data.subarray(i * width, (i + 1) * width))
  const cosines = vectors.map((a) => vectors.map((b) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)))
  const info = embed.model.info()
  const times = { load_ms: Math.round(loaded - start), run_ms: Math.round((ran - loaded) * 10) / 10 }

  if (json) {
    const { model: name, dtype, build, threads: used } = info
    const report = { texts, cosines, model: name, dtype: dtype.name, build: build.name, threads: used.count, ...times }
    process.stdout.write(`${JSON.stringify(report)}\n`)
  } else {
    const table = new Table({ head: ['', ...texts.map((_, i) => String(i + 1)), 'text'], style: { head: [], border: [] } })
    texts.forEach((text, i) => table.push([String(i + 1), ...cosines[i]!.map((c) => c.toFixed(3)), shorten(text)]))
    process.stdout.write(`${table.toString()}\n`)
    process.stdout.write(
      `${info.model}  ${info.dtype.name}  build ${info.build.name}  ${info.threads.count} threads  load ${times.load_ms} ms  run ${times.run_ms} ms\n`,
    )
  }
  await embed.dispose()
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > 60 ? `${line.slice(0, 57)}...` : line
}
