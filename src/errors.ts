/**
 * Every error that bertlet throws on purpose. The message always says what was expected, what came, and how to mend it.
 */
export type ErrorCode =
  | 'invalid_argument' // a value, shape or option that the call does not take
  | 'invalid_file' // a file that is not what its name says
  | 'not_found' // a file, tensor, model or task that is not there
  | 'forbidden' // a server that wants to know who asks
  | 'network' // a server that cannot be reached, or does not answer as it should
  | 'unsupported' // understood, and not done by this library or this runtime
  | 'not_finite' // a training step whose loss or gradient is NaN or infinite
  | 'write_failed' // a file that cannot be written
  | 'out_of_memory' // more bytes than the memory can hold
  | 'disposed' // use after dispose()
  | 'aborted' // the caller's signal
  | 'worker_failed' // a worker ended while it was computing
  | 'internal' // a broken invariant: a bug in bertlet

export class BertletError extends Error {
  override readonly name = 'BertletError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, what: string, fix?: string, options?: ErrorOptions) {
    super(fix === undefined ? what : `${what}. ${fix}`, options)
    this.code = code
  }
}

/** `expected(...)`: the common sentence, e.g. "threads: expected a whole number of 0 or more, got -1. Pass ...". */
export function expected(subject: string, wanted: string, got: unknown, fix?: string, code: ErrorCode = 'invalid_argument'): BertletError {
  return new BertletError(code, `${subject}: expected ${wanted}, got ${show(got)}`, fix)
}

/** A value that must be one of those known; the nearest is named. */
export function oneOf<T>(subject: string, value: unknown, known: readonly T[], wanted = `one of ${known.join(', ')}`, code?: ErrorCode): T {
  if (known.includes(value as T)) return value as T
  const near = typeof value === 'string' ? nearest(value, known.map(String)) : undefined
  throw expected(subject, wanted, value, near && `Did you mean ${near}?`, code)
}

/** `note` says what the limits are. */
export function wholeOf(subject: string, value: unknown, least: number, most = Infinity, note = ''): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  throw expected(subject, `a whole number ${most === Infinity ? `of ${least} or more` : `from ${least} to ${most}`}${note}`, value)
}

export function flagOf(subject: string, value: unknown): boolean {
  return oneOf(subject, value, [true, false], 'true or false')
}

/** Words for a message, shown as they are and not as a quoted value. */
export class Words {
  constructor(readonly text: string) {}
}

/** A value in a few characters, for messages. */
export function show(value: unknown): string {
  if (value instanceof Words) return value.text
  if (typeof value === 'string') return value.length > 60 ? `${JSON.stringify(value.slice(0, 57))}...` : JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (value === null || typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (ArrayBuffer.isView(value))
    return `a ${value.constructor.name} of ${(value as unknown as { length?: number }).length ?? value.byteLength}`
  return `an object with ${Object.keys(value).slice(0, 5).join(', ') || 'no keys'}`
}

/** Throws when `options` holds a key that is not known, naming the nearest known one. */
export function checkOptions(subject: string, options: object | undefined, known: readonly string[]): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null) throw expected(subject, 'an object of options', options)
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const near = nearest(key, known)
    throw new BertletError(
      'invalid_argument',
      `${subject}: unknown option ${show(key)}`,
      near === undefined ? `Known options: ${known.join(', ')}` : `Did you mean ${show(near)}? Known options: ${known.join(', ')}`,
    )
  }
}

/** The known word with the smallest edit distance, when it is near enough to be meant. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.ceil(word.length / 2))
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]!
}
