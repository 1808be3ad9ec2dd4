// SQuAD's files: questions on paragraphs, and where their answers stand.
import { BertletError, expected, show, Words } from '../errors.ts'
import { isObject, parseObject, type JsonObject } from '../json.ts'
import { bytesOf, type DataInput } from './input.ts'
import { hasNames, readRows, type TableFormat } from './rows.ts'

export interface SquadAnswer {
  readonly text: string
  /** In string indices of the context: `context.slice(start, start + text.length)` is the text. */
  readonly start: number
}

export interface SquadQuestion {
  readonly id: string
  /** For messages: `dev.json, question "56be..."`. */
  readonly place: string
  readonly question: string
  readonly context: string
  /** All that count as right; none where the context has no answer. */
  readonly answers: readonly SquadAnswer[]
}

/**
 * The questions of a file in SQuAD's layout, v1.1 or v2.0, or of JSONL or Parquet with the columns id, context, question and answers, as Hugging
 * Face's data sets have them. Answers whose place does not match the context are refused.
 *
 *     const questions = await readSquad(createReadStream('train-v1.1.json'), 'train-v1.1.json')
 *
 * @throws BertletError `invalid_file` that names the question
 */
export async function readSquad(input: DataInput, name: string, format?: TableFormat): Promise<SquadQuestion[]> {
  const table = format ?? (/\.(jsonl|ndjson)$/i.test(name) ? 'jsonl' : /\.parquet$/i.test(name) ? 'parquet' : undefined)
  if (table !== undefined && !hasNames(table)) throw expected('format', "jsonl or parquet, or SQuAD's own JSON", table)
  const questions = table === undefined ? squadFile(await text(input, name), name) : await tableOf(input, table, name)
  if (questions.length === 0) throw new BertletError('invalid_file', `${name}: expected questions, got none`, 'Download it again')
  const seen = new Map<string, SquadQuestion>()
  for (const question of questions) {
    if (seen.has(question.id))
      throw expected(question.place, 'an id of its own', new Words('one that another question has'), undefined, 'invalid_file')
    seen.set(question.id, question)
  }
  return questions
}

async function text(input: DataInput, name: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await bytesOf(input, name))
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw new BertletError('invalid_file', `${name}: expected UTF-8, got bytes that are none`, undefined, { cause })
  }
}

function squadFile(json: string, name: string): SquadQuestion[] {
  const file = parseObject(json, name)
  const questions: SquadQuestion[] = []
  list(file, 'data', name).forEach((article, a) => {
    const title = typeof article.title === 'string' ? show(article.title) : String(a)
    list(article, 'paragraphs', `${name}, article ${title}`).forEach((paragraph, p) => {
      const where = `${name}, article ${title}, paragraph ${p}`
      const context = textOf(paragraph, 'context', where)
      const at = codePoints(context)
      list(paragraph, 'qas', where).forEach((qa, q) => {
        const id = textOf(qa, 'id', `${where}, question ${q}`)
        const place = `${name}, question ${show(id)}`
        const impossible = qa.is_impossible === true
        const given = impossible ? [] : list(qa, 'answers', place)
        const answers = given.map((answer, i) =>
          answerOf(context, at, textOf(answer, 'text', `${place}, answer ${i}`), answer.answer_start, `${place}, answer ${i}`),
        )
        questions.push({ id, place, question: textOf(qa, 'question', place), context, answers })
      })
    })
  })
  return questions
}

async function tableOf(input: DataInput, format: TableFormat, name: string): Promise<SquadQuestion[]> {
  const questions: SquadQuestion[] = []
  for await (const { place, cells } of readRows(input, format, name)) {
    const row = cells as JsonObject
    const context = textOf(row, 'context', place)
    const { answers } = row
    if (!isObject(answers) || !Array.isArray(answers.text) || !Array.isArray(answers.answer_start))
      throw expected(`${place}: answers`, 'an object with the arrays text and answer_start', answers, undefined, 'invalid_file')
    const at = codePoints(context)
    const starts = answers.answer_start as unknown[]
    const found = (answers.text as string[]).map((each, i) => answerOf(context, at, each, starts[i], `${place}, answer ${i}`))
    questions.push({ id: textOf(row, 'id', place), place, question: textOf(row, 'question', place), context, answers: found })
  }
  return questions
}

/** Files count Unicode code points, as Python does; strings here count UTF-16 units. */
function answerOf(context: string, at: (point: number) => number, answer: string, start: unknown, place: string): SquadAnswer {
  const whole = typeof start === 'number' && Number.isInteger(start) && start >= 0
  const from = whole ? at(start) : -1
  if (whole && answer !== '' && context.startsWith(answer, from)) return { text: answer, start: from }
  const other = context.indexOf(answer)
  const points = other < 0 ? 0 : [...context.slice(0, other)].length
  throw expected(
    `${place}: answer_start`,
    `where ${show(answer)} stands in the context, in code points`,
    whole ? new Words(`${start}, where it says ${show(context.slice(from, from + answer.length))}`) : start,
    other < 0 ? 'The context does not have this answer' : `It stands at ${points}`,
    'invalid_file',
  )
}

/** The string index of a code point. */
function codePoints(context: string): (point: number) => number {
  if (!/[\ud800-\udbff]/.test(context)) return (point) => point
  const starts: number[] = []
  let at = 0
  for (const character of context) {
    starts.push(at)
    at += character.length
  }
  return (point) => starts[point] ?? at
}

function list(of: JsonObject, field: string, place: string): JsonObject[] {
  const value = of[field]
  const odd: unknown = Array.isArray(value) ? value.find((each) => !isObject(each)) : value
  if (Array.isArray(value) && odd === undefined) return value as JsonObject[]
  const fix = 'SQuAD has data, in it paragraphs, in these context and qas, in these id, question and answers'
  throw expected(`${place}: ${field}`, 'an array of objects', odd, fix, 'invalid_file')
}

function textOf(of: JsonObject, field: string, place: string): string {
  const value = of[field]
  if (typeof value === 'string' && value !== '') return value
  throw expected(`${place}: ${field}`, 'a text that is not empty', value, undefined, 'invalid_file')
}
