// What a conformance case is. Cases are plain async functions over the public API: no test framework and no platform, so that every runtime runs them.

/** Reads a committed file by its path below test/golden, wherever the runtime keeps it. */
export interface Files {
  read(path: string): Promise<Uint8Array<ArrayBuffer>>
}

export interface ConformanceCase {
  readonly name: string
  /** Resolves when bertlet does what it must; rejects with what was expected and what came. */
  run(files: Files): Promise<void>
}

export class ConformanceError extends Error {
  override readonly name = 'ConformanceError'
}

export function check(condition: unknown, what: string): asserts condition {
  if (!condition) throw new ConformanceError(what)
}

/** Equal as JSON: for ids, names, dims. */
export function same(got: unknown, want: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(want)]
  if (a !== b) throw new ConformanceError(`${what}: expected ${clip(b)}, got ${clip(a)}`)
}

/** The largest difference is at most `tolerance`; NaN is no number. */
export function close(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number, what: string): void {
  if (got.length !== want.length) throw new ConformanceError(`${what}: expected ${want.length} values, got ${got.length}`)
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i]! - want[i]!)
    if (!(error <= tolerance)) {
      throw new ConformanceError(`${what}[${i}]: expected ${want[i]} within ${tolerance}, got ${got[i]}, ${error} off`)
    }
  }
}

/** The work must reject with a message that fits. */
export async function rejects(work: () => unknown, message: RegExp, what: string): Promise<void> {
  try {
    await work()
  } catch (error) {
    const text = (error as Error).message
    if (message.test(text)) return
    throw new ConformanceError(`${what}: expected an error like ${String(message)}, got ${JSON.stringify(text)}`)
  }
  throw new ConformanceError(`${what}: expected an error like ${String(message)}, got none`)
}

const clip = (text: string | undefined): string => (text === undefined || text.length <= 300 ? String(text) : `${text.slice(0, 297)}...`)
