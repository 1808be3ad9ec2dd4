// Raw text for pre-training: files to documents of sentences, some of them held out.
import { BertletError } from '../errors.ts'
import { createPretrainingData, documents, type DocumentOptions, type PretrainingData, type PretrainingDataOptions } from '../training.ts'
import type { Tokenizer } from '../index.node.ts'
import { FileSpool } from '../runtimes/node-spool.ts'
import { openProgress } from './progress.ts'
import { linesOf } from './train-tokenizer.ts'

export interface CorpusOptions {
  readonly documentBreak?: number | RegExp
  readonly sentences?: 'line' | 'split'
  /** Every n-th document is not trained on. */
  readonly holdOut?: number
}

/** Which documents of a corpus. */
export type Part = 'all' | 'train' | 'held'

/** One sentence a line, an empty line after each document; the end of a file ends one. */
export async function* corpusLines(
  files: readonly string[],
  options: CorpusOptions,
  part: Part,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { holdOut = 0, documentBreak, sentences } = options
  const how: DocumentOptions = {
    ...(sentences !== undefined && { sentences }),
    ...(documentBreak !== undefined && { document_break: documentBreak }),
  }
  let [count, several] = [0, 0]
  for (const file of files) {
    for await (const document of documents(linesOf([file], signal), how)) {
      count++
      if (document.length > 1) several++
      const held = holdOut > 0 && count % holdOut === 0
      if (part !== 'all' && held !== (part === 'held')) continue
      yield* document
      yield ''
    }
  }
  check(files.join(', '), count, several, options)
}

/** What keeps a corpus from being one, in the command's words. */
function check(files: string, count: number, several: number, { sentences = 'line', holdOut = 0 }: CorpusOptions): void {
  const refuse = (what: string, fix: string): BertletError => new BertletError('invalid_file', `${files}: ${what}`, fix)
  if (count === 0) throw refuse('expected text to learn from, got only empty lines', 'Give a file with one sentence a line')
  if (several === 0)
    throw refuse(
      `expected documents of two sentences or more, got ${count} of one`,
      sentences === 'line'
        ? 'Write one sentence a line, or pass --sentences split for running text; blank lines inside documents need --document-break'
        : 'Blank lines that stand inside documents need --document-break, for example --document-break 2',
    )
  const least = Math.max(2, holdOut > 0 ? 2 * holdOut : 0)
  if (count < least)
    throw refuse(
      `expected ${least} documents or more${holdOut > 0 ? `, so that --hold-out ${holdOut} leaves two out` : ', as a random next text is of another one'}, got ${count}`,
      'Put an empty line between documents, or say what ends one with --document-break',
    )
}

/** Instances of a corpus, in temporary files. */
export interface Instances {
  readonly data: PretrainingData
  close(): void
}

export async function instancesOf(
  lines: AsyncIterable<string>,
  tokenizer: Tokenizer,
  options: PretrainingDataOptions,
  signal: AbortSignal,
): Promise<Instances> {
  const spools: FileSpool[] = []
  const close = (): void => spools.forEach((spool) => spool.close())
  const progress = await openProgress({ rows: false })
  try {
    const data = await createPretrainingData(lines, tokenizer, {
      ...options,
      storage: () => {
        const spool = new FileSpool()
        spools.push(spool)
        return spool
      },
      progress_callback: ({ status, done, total }) => progress.count(status === 'tokenize' ? 'documents' : 'pairs', done, total),
      signal,
    })
    return { data, close }
  } catch (error) {
    close()
    throw error
  } finally {
    progress.stop()
  }
}
