import { BertletError, expected } from '../errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** Parses a file that must hold one JSON object. Depth is bounded before an engine's recursive parser sees it. */
export function parseObject(text: string, subject: string, maxDepth = 64): JsonObject {
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

function depthOf(text: string): number {
  let [depth, deepest] = [0, 0]
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '"') {
      while (++i < text.length && text[i] !== '"') if (text[i] === '\\') i++
    } else if (c === '{' || c === '[') deepest = Math.max(deepest, ++depth)
    else if (c === '}' || c === ']') depth--
  }
  return deepest
}
