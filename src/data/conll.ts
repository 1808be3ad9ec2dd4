// Tagged words: CoNLL's columns, or JSONL and Parquet with a list of words and a list of tags.
import { BertletError, expected, show, Words } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import { streamOf, type DataInput } from './input.ts'
import { lines, utf8 } from './lines.ts'
import { hasNames, readRows, type TableFormat } from './rows.ts'

export interface TaggedWords {
  /** For messages: "train.conll, line 7". */
  readonly place: string
  readonly words: readonly string[]
  /** As many; undefined where a file has none. */
  readonly tags: readonly string[] | undefined
}

export interface TagColumns {
  /** Column of the word, from 0, or the field's name: 0, or `tokens` or `words`. */
  readonly words?: string
  /** Of the tag: the last column, or `tags`, `ner_tags` or `labels`. */
  readonly tags?: string
  /** Names of tags that a file has by number. */
  readonly names?: readonly string[]
  /** Whether tags must be there; true by default. */
  readonly labelled?: boolean
  readonly format?: 'conll' | TableFormat
}

const WORDS = ['tokens', 'words']
const TAGS = ['tags', 'ner_tags', 'labels']

/**
 * Sentences of words with tags. CoNLL: a word a line with its tag in the last column, columns apart by spaces or tabs, an empty line after each
 * sentence; `-DOCSTART-` lines are left out, and a first line that names the columns.
 *
 *     const sentences = await readTagged(createReadStream('train.conll'), 'train.conll')
 *
 * @throws BertletError `invalid_file` that names the line
 */
export async function readTagged(input: DataInput, name: string, columns: TagColumns = {}): Promise<TaggedWords[]> {
  const format = columns.format ?? (/\.(jsonl|ndjson)$/i.test(name) ? 'jsonl' : /\.parquet$/i.test(name) ? 'parquet' : 'conll')
  const sentences: TaggedWords[] = []
  const rows = format !== 'conll' && hasNames(format) ? objects(input, format, name, columns) : conll(input, name, columns)
  for await (const sentence of rows) sentences.push(sentence)
  if (sentences.length > 0) return sentences
  throw new BertletError('invalid_file', `${name}: expected tagged words, got none`, 'Write a word and its tag a line')
}

const isHeader = (cells: readonly string[]): boolean =>
  cells.some((cell) => /^(words?|tokens?)$/i.test(cell)) && cells.some((cell) => /^(labels?|tags?|(ner|pos)[_ ]tags?)$/i.test(cell))

async function* conll(input: DataInput, name: string, { words = '0', tags, labelled = true }: TagColumns): AsyncGenerator<TaggedWords> {
  let [number, width] = [0, 0]
  let sentence: { place: string; words: string[]; tags: string[] } | undefined
  for await (const list of lines(utf8(streamOf(input, name), name), name)) {
    for (const line of list) {
      number++
      const cells = line.includes('\t') ? line.split('\t') : line.trim().split(/ +/)
      if (line.trim() === '') {
        if (sentence) yield labelled ? sentence : { ...sentence, tags: width > 1 ? sentence.tags : undefined }
        sentence = undefined
        continue
      }
      if (cells[0] === '-DOCSTART-' || (number === 1 && isHeader(cells))) continue
      const place = `${name}, line ${number}`
      width ||= cells.length
      if (cells.length !== width)
        throw expected(
          place,
          `${width} columns, as lines before`,
          new Words(`${cells.length}: ${show(line)}`),
          'Columns are apart by spaces, or all by tabs',
          'invalid_file',
        )
      const at = (column: string | undefined, fallback: number): number => {
        const found = column === undefined ? fallback : Number(column)
        if (Number.isInteger(found) && found >= 0 && found < width) return found
        throw expected(place, `column ${column}`, new Words(`${width} columns: ${show(line)}`), undefined, 'invalid_file')
      }
      if (labelled && width < 2)
        throw expected(
          place,
          'a word and its tag',
          new Words(`one column: ${show(line)}`),
          'Put a space or a tab between them',
          'invalid_file',
        )
      sentence ??= { place, words: [], tags: [] }
      sentence.words.push(cells[at(words, 0)]!)
      sentence.tags.push(cells[at(tags, width - 1)]!)
    }
  }
  if (sentence) yield labelled ? sentence : { ...sentence, tags: width > 1 ? sentence.tags : undefined }
}

async function* objects(input: DataInput, format: TableFormat, name: string, columns: TagColumns): AsyncGenerator<TaggedWords> {
  const { labelled = true, names } = columns
  for await (const { place, cells } of readRows(input, format, name)) {
    const row = cells as JsonObject
    const field = (asked: string | undefined, usual: readonly string[]): string | undefined =>
      asked ?? usual.find((each) => Object.hasOwn(row, each))
    const words = listOf(row, field(columns.words, WORDS), `words, in one of ${WORDS.join(', ')}`, place)
    const named = field(columns.tags, TAGS)
    if (named === undefined && !labelled) {
      yield { place, words: words.map(String), tags: undefined }
      continue
    }
    const tags = listOf(row, named, `tags, in one of ${TAGS.join(', ')}`, place)
    if (tags.length !== words.length)
      throw expected(place, `${words.length} tags, one a word`, new Words(String(tags.length)), undefined, 'invalid_file')
    yield { place, words: words.map(String), tags: tags.map((tag) => (typeof tag === 'number' && names?.[tag]) || String(tag)) }
  }
}

function listOf(row: JsonObject, field: string | undefined, wanted: string, place: string): readonly (string | number)[] {
  const value = field === undefined ? undefined : row[field]
  const odd: unknown = Array.isArray(value) ? value.find((each) => typeof each !== 'string' && typeof each !== 'number') : value
  if (Array.isArray(value) && odd === undefined && value.length > 0) return value as (string | number)[]
  const got =
    value === undefined ? new Words(`the fields ${Object.keys(row).slice(0, 10).join(', ')}`) : (odd ?? new Words('an empty list'))
  throw expected(`${place}: ${field ?? 'fields'}`, `a list of ${wanted}`, got, undefined, 'invalid_file')
}

/** All tags: O first, then by name, for the head's classes. */
export function tagNames(sentences: readonly TaggedWords[]): string[] {
  const names = [...new Set(sentences.flatMap(({ tags }) => tags ?? []))]
  return [...names.filter((name) => name === 'O'), ...names.filter((name) => name !== 'O').sort((a, b) => (a < b ? -1 : 1))]
}
