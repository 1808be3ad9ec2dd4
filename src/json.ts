import { BertletError, expected } from './errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** Most levels of a file. */
export const MAX_DEPTH = 64

/** Parses a file that must hold one JSON object. Depth is bounded before an engine's recursive parser sees it. */
export function parseObject(text: string, subject: string, maxDepth = MAX_DEPTH): JsonObject {
  if (depthOf(text) > maxDepth) {
    throw new BertletError('invalid_file', `${subject}: expected JSON at most ${maxDepth} levels deep, got more`, 'Download the file again')
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new BertletError('invalid_file', `${subject}: expected JSON, got ${(cause as Error).message}`, 'Download the file again', {
      cause,
    })
  }
  if (isObject(value)) return value
  throw expected(subject, 'a JSON object', value, 'Download the file again', 'invalid_file')
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const [QUOTE, BACKSLASH, OPEN, CLOSE] = [34, 92, 0x5b, 0x5d]

/** Levels of objects and arrays in valid JSON. */
export function depthOf(text: string): number {
  let [depth, deepest] = [0, 0]
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === QUOTE) {
      while (++i < text.length && text.charCodeAt(i) !== QUOTE) if (text.charCodeAt(i) === BACKSLASH) i++
      // { and [, } and ] differ in one bit.
    } else if ((c & ~0x20) === OPEN) deepest = Math.max(deepest, ++depth)
    else if ((c & ~0x20) === CLOSE) depth--
  }
  return deepest
}
