import { openModel, Tokenizer } from '../index.node.ts'
import { expected } from '../errors.ts'
import { batches, textField, type Entry } from './lines.ts'
import { sourceOptions, type InputOptions, type ModelOptions, type OutputOptions } from './options.ts'
import { openSink, TableWriter, type Sink } from './output.ts'
import { openProgress } from './progress.ts'

export interface TokenizeOptions extends ModelOptions, InputOptions, OutputOptions {
  readonly pair?: string
  readonly pairField?: string
  readonly maxLength?: number
  readonly specialTokens: boolean
  readonly decode?: boolean
}

/** Texts that are looked at together: enough to write in large pieces. */
const BATCH = 256

/** `bertlet tokenize`: the tokens of every text, or with `--decode` the texts of ids. */
export async function tokenize(texts: readonly string[], options: TokenizeOptions, signal: AbortSignal): Promise<void> {
  check(texts, options)
  // Ids in arguments are one row.
  const rows = options.decode && texts.length > 0 ? [texts.join(' ')] : texts
  const sink = await openSink(options.output, signal)
  const terminal = options.output === undefined && process.stdout.isTTY
  const progress = await openProgress({ rows: terminal })
  try {
    const tokenizer = await Tokenizer.fromPretrained(openModel(options.model, sourceOptions(options)), { signal })
    const write = options.decode ? decoder(tokenizer, sink, options) : encoder(tokenizer, sink, options, terminal)
    let done = 0
    for await (const entries of batches(rows, options, BATCH, signal)) {
      await write(entries)
      progress.texts((done += entries.length), rows.length || undefined)
    }
    await sink.finish()
  } finally {
    progress.stop()
    await sink.close()
  }
}

function check(texts: readonly string[], { pair, pairField, field, decode }: TokenizeOptions): void {
  if (pairField !== undefined && field === undefined)
    throw expected('--pair-field', '--field beside it', pairField, 'Both name fields of lines of JSON')
  if (pair !== undefined && pairField !== undefined) throw expected('--pair', 'no --pair-field beside it', pair)
  if (decode && (pair ?? pairField ?? field) !== undefined) throw expected('--decode', 'rows of ids', texts, 'Leave out --pair and --field')
}

/** One object a text, or a row of the table a token. */
function encoder(
  tokenizer: Tokenizer,
  sink: Sink,
  { json, pair, pairField, maxLength, specialTokens }: TokenizeOptions,
  terminal: boolean,
): (entries: readonly Entry[]) => Promise<void> {
  const table = !json && terminal ? new TableWriter(sink, { text: 6, token: 20, id: 7, type: 5, offsets: 11, of: 24 }) : undefined
  let count = 0
  return async (entries) => {
    const texts = entries.map(({ text }) => text)
    const pairs =
      pairField === undefined ? pair && texts.map(() => pair) : entries.map(({ record }) => textField(record!, pairField, 'input'))
    const { input_ids, token_type_ids, offset_mapping } = tokenizer(texts, {
      ...(pairs && { text_pair: pairs }),
      ...(maxLength !== undefined && { truncation: true, max_length: maxLength }),
      add_special_tokens: specialTokens,
      return_offsets_mapping: true,
    })
    const rows = texts.map((text, i) => ({
      text,
      ...(pairs && { pair: pairs[i]! }),
      tokens: tokenizer.convert_ids_to_tokens(input_ids[i]!),
      input_ids: input_ids[i]!,
      token_type_ids: token_type_ids[i]!,
      offset_mapping: offset_mapping![i]!,
    }))
    if (table === undefined) return sink.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const lines = rows.flatMap(({ text, pair: second, tokens, input_ids: ids, token_type_ids: types, offset_mapping: offsets }) => {
      count++
      return tokens.map((token, k) => {
        const [start, end] = offsets[k]!
        const source = types[k] === 0 ? text : (second ?? '')
        return [count, token, ids[k]!, types[k]!, `${start}-${end}`, source.slice(start, end)].map(String)
      })
    })
    return table.write(lines)
  }
}

function decoder(tokenizer: Tokenizer, sink: Sink, { json }: TokenizeOptions): (entries: readonly Entry[]) => Promise<void> {
  return (entries) => {
    const rows = entries.map(({ text: row }) => {
      const input_ids = parseIds(row)
      const text = tokenizer.decode(input_ids)
      return json ? JSON.stringify({ input_ids, text }) : text
    })
    return sink.write(rows.map((row) => `${row}\n`).join(''))
  }
}

/** Ids apart by spaces or commas; the brackets of a JSON array may stand around them. */
function parseIds(row: string): number[] {
  return row
    .replace(/^\s*\[|\]\s*$/g, '')
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => {
      if (/^\d{1,9}$/.test(word)) return Number(word)
      throw expected('--decode', 'ids, whole numbers of 0 or more', word)
    })
}
