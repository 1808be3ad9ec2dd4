import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import { addAbortSignal } from 'node:stream'
import { lines } from '../data/lines.ts'
import { trainWordPiece } from '../training.ts'
import { openSink } from './output.ts'
import { openProgress } from './progress.ts'

export interface TrainTokenizerOptions {
  readonly output: string
  readonly vocabSize?: number
  readonly cased?: boolean
  readonly minFrequency: number
  readonly limitAlphabet: number
  readonly json?: boolean
}

/** `bertlet train-tokenizer`: a vocabulary from raw text, in the files that a checkpoint folder has. */
export async function trainTokenizer(files: readonly string[], options: TrainTokenizerOptions, signal: AbortSignal): Promise<void> {
  const { output, vocabSize, cased = false, minFrequency, limitAlphabet } = options
  // A folder that cannot be is told before the work, not after.
  await mkdir(output, { recursive: true })
  const progress = await openProgress({ rows: false })
  try {
    const tokenizer = await trainWordPiece(linesOf(files, signal), {
      ...(vocabSize !== undefined && { vocab_size: vocabSize }),
      lowercase: !cased,
      min_frequency: minFrequency,
      limit_alphabet: limitAlphabet,
      signal,
      progress_callback: ({ status, done, total }) => progress.count(status === 'count' ? 'lines' : 'tokens', done, total),
    })
    const written = Object.entries(tokenizer.files())
    for (const [name, text] of written) await write(path.join(output, name), text, signal)
    progress.stop()
    const report = { output, vocab_size: tokenizer.vocab_size, files: written.map(([name]) => name) }
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    else process.stdout.write(`${report.vocab_size} tokens; ${output} has ${report.files.join(', ')}\n`)
  } finally {
    progress.stop()
  }
}

export async function* linesOf(files: readonly string[], signal: AbortSignal): AsyncGenerator<string> {
  for (const file of files) {
    const stream = file === '-' ? process.stdin : (await open(file)).createReadStream()
    for await (const list of lines(addAbortSignal(signal, stream), file === '-' ? 'standard input' : file)) yield* list
  }
}

async function write(file: string, text: string, signal: AbortSignal): Promise<void> {
  const sink = await openSink(file, signal)
  try {
    await sink.write(text)
    await sink.finish()
  } finally {
    await sink.close()
  }
}
