// Texts with several endings, one of which is right: SWAG's CSV, or any table with endings in columns or in a list.
import { BertletError, expected, Words } from '../errors.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import type { Feature } from '../training/dataset.ts'
import type { DataInput } from './input.ts'
import { truncated } from './text-features.ts'
import { formatOf, hasNames, readRows, type TableFormat } from './rows.ts'

export interface ChoiceExample {
  /** For messages: "train.csv, line 7". */
  readonly place: string
  readonly text: string
  readonly choices: readonly string[]
  /** Of the right choice; undefined where a file has none. */
  readonly label: number | undefined
}

/** What stands before the endings, and what begins each of them, in SWAG; other files have one text. */
const TEXTS = ['sent1', 'text', 'context', 'startphrase', 'question']
const BEGINS = 'sent2'
const ENDING = /^(?:ending|choice|answer)_?\d+$/

/**
 * Multiple choice of CSV or TSV with a header, JSONL or Parquet. Columns are SWAG's: sent1, sent2 (the beginning of each ending), ending0, ending1, ...
 * and label, a number from 0; or text, and choices as a list.
 *
 *     const examples = await readChoices(createReadStream('train.csv'), 'train.csv')
 *
 * @throws BertletError `invalid_file` that names the line
 */
export async function readChoices(
  input: DataInput,
  name: string,
  { format: asked, labelled = true }: { readonly format?: TableFormat; readonly labelled?: boolean } = {},
): Promise<ChoiceExample[]> {
  const format = formatOf(name, asked)
  const examples: ChoiceExample[] = []
  let header: readonly string[] | undefined
  for await (const { place, cells } of readRows(input, format, name)) {
    if (!hasNames(format) && header === undefined) {
      header = (cells as readonly string[]).map((cell) => cell.trim())
      continue
    }
    if (header !== undefined && cells.length !== header.length)
      throw expected(
        place,
        `${header.length} columns, as the header has`,
        new Words(`${cells.length as number}`),
        undefined,
        'invalid_file',
      )
    const row =
      header === undefined
        ? (cells as Record<string, unknown>)
        : Object.fromEntries(header.map((each, i) => [each, (cells as readonly string[])[i]]))
    const example = choice(row, place, labelled)
    const { length } = examples[0]?.choices ?? example.choices
    if (example.choices.length !== length)
      throw expected(place, `${length} choices, as examples before`, new Words(`${example.choices.length}`), undefined, 'invalid_file')
    examples.push(example)
  }
  if (examples.length > 0) return examples
  throw new BertletError('invalid_file', `${name}: expected texts with choices, got none`, 'Give a header and one example a line')
}

function choice(row: Readonly<Record<string, unknown>>, place: string, labelled: boolean): ChoiceExample {
  const names = Object.keys(row)
  const field = TEXTS.find((each) => names.includes(each))
  const fields = new Words(`the columns ${names.slice(0, 12).join(', ')}`)
  if (field === undefined) throw expected(place, `a text in one of ${TEXTS.join(', ')}`, fields, undefined, 'invalid_file')
  const text = (name: string): string => {
    if (typeof row[name] === 'string') return row[name]
    throw expected(`${place}: ${name}`, 'a text', row[name], undefined, 'invalid_file')
  }
  const begin = names.includes(BEGINS) ? `${text(BEGINS)} ` : ''
  const list: unknown = row.choices ?? row.endings
  const endings = Array.isArray(list) ? (list as unknown[]).map(String) : names.filter((each) => ENDING.test(each)).map(text)
  if (endings.length < 2)
    throw expected(
      place,
      'two choices or more, as a list in choices or in columns ending0, ending1, ...',
      fields,
      undefined,
      'invalid_file',
    )
  const label = row.label === undefined || row.label === null || row.label === '' ? undefined : Number(row.label)
  const good = label !== undefined && Number.isInteger(label) && label >= 0 && label < endings.length
  if (!good && (labelled || label !== undefined) && !(label === -1 && !labelled))
    throw expected(`${place}: label`, `a whole number from 0 to ${endings.length - 1}`, row.label, undefined, 'invalid_file')
  return { place, text: text(field), choices: endings.map((ending) => `${begin}${ending}`), label: good ? label : undefined }
}

/** Features of BertForMultipleChoice: a row a choice, the text and the ending as a pair. */
export function choiceFeatures(
  examples: readonly ChoiceExample[],
  tokenizer: Tokenizer,
  { max_length, signal }: { readonly max_length?: number; readonly signal?: AbortSignal } = {},
): Feature[] {
  return examples.map(({ text, choices, label }, i) => {
    if (i % 256 === 0) signal?.throwIfAborted()
    const how = { text_pair: choices, ...truncated(tokenizer, max_length) }
    const { input_ids, token_type_ids } = tokenizer(
      choices.map(() => text),
      how,
    )
    return { input_ids, token_type_ids, ...(label !== undefined && { labels: label }) }
  })
}
