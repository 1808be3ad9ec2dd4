// How a command ends: exit codes, ctrl-C, a reader that has gone away, and errors as people want them.

/** 0 is success; the reader of a pipe that has seen enough is one too. */
export const FAILURE = 1
export const USAGE = 2
export const INTERRUPTED = 130

export const EXIT_CODES = `
Exit codes: 0 done, or the reader of a pipe had enough; 1 failed; 2 the command line asks for something that cannot be; 130 interrupted.`

/** What a command is given to end early by: the signal is aborted by ctrl-C and by a closed pipe. */
export type Command = (signal: AbortSignal) => Promise<void>

/** Runs a command to its end and leaves the process with the code that it earned. */
export async function run(command: Command): Promise<never> {
  const early = new AbortController()
  let code: number | undefined
  const end = (earned: number): void => {
    // A second ctrl-C does not wait for anything.
    if (code !== undefined) process.exit(code)
    code = earned
    early.abort()
  }
  process.on('SIGINT', () => end(INTERRUPTED))
  process.on('SIGTERM', () => end(128 + 15))
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (code !== undefined) return
    if (error.code !== 'EPIPE') complain(error)
    end(error.code === 'EPIPE' ? 0 : FAILURE)
  })
  try {
    await command(early.signal)
  } catch (error) {
    code ??= codeOf(error)
  }
  if (!early.signal.aborted) await flushed(early.signal)
  // Standard input may still be open, and would keep the process waiting.
  process.exit(code ?? process.exitCode)
}

/** Says what went wrong, unless the parser of arguments has said so, and gives the code that it earns. */
function codeOf(error: unknown): number {
  const { code, exitCode } = error as { code?: unknown; exitCode?: unknown }
  if (typeof code === 'string' && code.startsWith('commander.')) return exitCode === 0 ? 0 : USAGE
  complain(error)
  return isBertlet(error) && code === 'invalid_argument' ? USAGE : FAILURE
}

/** Waits until what was written is taken, or refused, or nobody waits for it any more. */
async function flushed(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve)
    // The error of a write is told a turn after it.
    process.stdout.write('', () => setImmediate(resolve))
  })
}

function complain(error: unknown): void {
  process.stderr.write(`bertlet: ${explain(error)}\n`)
}

/** Only a bug shows its stack. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const system = error as NodeJS.ErrnoException
  return isBertlet(error) || system.syscall !== undefined ? error.message : (error.stack ?? error.message)
}

/** The library's class is not loaded here: a command that only prints its help must not load it. */
function isBertlet(error: unknown): error is Error & { code: string } {
  return error instanceof Error && error.name === 'BertletError'
}
