// Texts from the command line, a file or standard input, in constant memory.
import { open } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import { lines, utf8 } from '../data/lines.ts'
import { BertletError, expected, show, Words } from '../errors.ts'
import type { InputOptions } from './options.ts'

/** A text, where it stands, and the JSON object that it came in, if it did. */
export interface Entry {
  readonly text: string
  readonly place: string
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
    yield texts.map((text, i) => ({ text, place: `text ${i + 1}` }))
    return
  }
  const { name, bytes } = await input(file, signal)
  let number = 0
  for await (const list of lines(bytes, name)) {
    yield list.map((line) => {
      const place = `${name}, line ${++number}`
      return field === undefined ? { text: line, place } : parse(line, field, place)
    })
  }
}

/** A file, or standard input, as one text. The end of its last line is none of it. */
export async function whole(file: string | undefined, signal: AbortSignal): Promise<Entry> {
  const { name, bytes } = await input(file, signal)
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of bytes) text += decoder.decode(chunk, { stream: true })
  return { text: (text + decoder.decode()).replace(/\r?\n$/, ''), place: name }
}

async function input(file: string | undefined, signal: AbortSignal): Promise<{ name: string; bytes: AsyncIterable<Uint8Array> }> {
  const name = file === undefined || file === '-' ? 'standard input' : file
  return { name, bytes: ofText(addAbortSignal(signal, await openInput(file)), name) }
}

/** The same bytes; those of no text are refused with their line. */
async function* ofText(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  let line = 1
  let last: Uint8Array = new Uint8Array(0)
  const seen = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) yield (last = chunk)
  }
  try {
    for await (const chunk of utf8(seen(), name)) {
      const at = chunk.indexOf(0)
      if (at >= 0) throw expected(name, 'text', new Words('a NUL byte'), 'Give a file of text in UTF-8, one a line', 'invalid_file')
      yield chunk
      line += lineEnds(chunk)
      last = chunk.subarray(0, 0)
    }
  } catch (error) {
    if (!(error instanceof BertletError)) throw error
    line += lineEnds(last.subarray(0, textEnd(last)))
    throw new BertletError(
      error.code,
      error.message.replace(name, () => `${name}, line ${line}`),
      undefined,
      { cause: error },
    )
  }
}

function lineEnds(bytes: Uint8Array): number {
  let count = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++
  return count
}

/** Where the first line begins that is no text; what a chunk begins or ends within may be whole. */
function textEnd(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let start = 0
  while (start < 3 && (bytes[start]! & 0xc0) === 0x80) start++
  for (let at = 0; ;) {
    const end = bytes.indexOf(10, at)
    const line = bytes.subarray(Math.max(at, start), end < 0 ? bytes.length : end)
    try {
      decoder.decode(line, { stream: end < 0 })
    } catch {
      return at
    }
    if (end < 0 || line.includes(0)) return at
    at = end + 1
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
  return { place, text: textField(record as Record<string, unknown>, field, place), record: record as Record<string, unknown> }
}

/** A field that must hold a text. */
export function textField(record: Readonly<Record<string, unknown>>, field: string, place: string): string {
  const text = Object.hasOwn(record, field) ? record[field] : undefined
  if (typeof text === 'string') return text
  const names = Object.keys(record).slice(0, 10).join(', ')
  throw expected(`${place}: field ${show(field)}`, 'a text', text, `The object has: ${names || 'no fields'}`, 'invalid_file')
}
