// Texts from the command line, a file or standard input, in constant memory.
import { open } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import { lines } from '../data/lines.ts'
import { BertletError, expected, show, Words } from '../errors.ts'
import type { InputOptions } from './options.ts'

/** A text, and the JSON object that it came in, if it did. */
export interface Entry {
  readonly text: string
  readonly record?: Readonly<Record<string, unknown>>
}

/**
 * Lists of texts of at most `most`, as they come: a list ends where the input pauses, so that a slow writer gets its answers at once and a fast
 * one gets full batches.
 */
export async function* batches(
  texts: readonly string[],
  { file, field }: InputOptions,
  most: number,
  signal: AbortSignal,
): AsyncGenerator<Entry[]> {
  for await (const entries of sources(texts, file, field, signal)) {
    for (let i = 0; i < entries.length; i += most) yield entries.slice(i, i + most)
  }
}

async function* sources(
  texts: readonly string[],
  file: string | undefined,
  field: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Entry[]> {
  if (texts.length > 0) {
    if (file !== undefined) throw expected('texts', 'arguments or --file', new Words('both'), 'Leave one of the two out')
    if (field !== undefined) throw expected('--field', 'lines of JSON from --file or standard input', new Words('texts as arguments'))
    yield texts.map((text) => ({ text }))
    return
  }
  const name = file === undefined || file === '-' ? 'standard input' : file
  const stream = await openInput(file)
  let number = 0
  for await (const list of lines(addAbortSignal(signal, stream), name)) {
    yield list.map((line) => {
      number++
      return field === undefined ? { text: line } : parse(line, field, `${name}, line ${number}`)
    })
  }
}

export async function openInput(file: string | undefined): Promise<Readable> {
  if (file !== undefined && file !== '-') return (await open(file)).createReadStream()
  if (file === undefined && process.stdin.isTTY)
    throw expected('texts', 'arguments, --file or standard input', new Words('none'), 'Give texts in quotes; --file - reads what you type')
  return process.stdin
}

function parse(line: string, field: string, place: string): Entry {
  let record: unknown
  try {
    record = JSON.parse(line)
  } catch (cause) {
    throw new BertletError('invalid_file', `${place}: expected a JSON object, got ${show(line)}`, 'Without --field a line is a text', {
      cause,
    })
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) {
    throw expected(place, 'a JSON object', record, 'Without --field a line is a text', 'invalid_file')
  }
  return { text: textField(record as Record<string, unknown>, field, place), record: record as Record<string, unknown> }
}

/** A field that must hold a text. */
export function textField(record: Readonly<Record<string, unknown>>, field: string, place: string): string {
  const text = Object.hasOwn(record, field) ? record[field] : undefined
  if (typeof text === 'string') return text
  const names = Object.keys(record).slice(0, 10).join(', ')
  throw expected(`${place}: field ${show(field)}`, 'a text', text, `The object has: ${names || 'no fields'}`, 'invalid_file')
}
