// The built command in a child process.
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'

export const ROOT = path.join(import.meta.dirname, '../..')
export const BIN = path.join(ROOT, 'dist/cli.js')

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

export interface StartOptions {
  readonly env?: Record<string, string>
  /** Instead of dist/cli.js. */
  readonly bin?: string
  /** Instead of this Node. */
  readonly node?: string
  /** Instead of the repository. */
  readonly cwd?: string
}

/** Builds dist/ when a source is newer. */
export async function build(): Promise<void> {
  await promisify(execFile)(process.execPath, ['scripts/build.mjs', '--if-stale'], { cwd: ROOT })
}

export function start(
  args: readonly string[],
  { env = {}, bin = BIN, node = process.execPath, cwd = ROOT }: StartOptions = {},
): ChildProcessWithoutNullStreams {
  const child = spawn(node, [bin, ...args], { cwd, env: { ...process.env, ...env } })
  // A command may end before it has taken its input.
  child.stdin.on('error', () => undefined)
  return child
}

/** Runs the command to its end, with `input` on its standard input. */
export async function bertlet(args: readonly string[], input: string | Uint8Array = '', options?: StartOptions): Promise<Ended> {
  const child = start(args, options)
  child.stdin.end(input)
  return ended(child)
}

/** Everything that a command still prints, and how it ended. */
export async function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const [out, err]: Buffer[][] = [[], []]
  child.stdout.on('data', (bytes: Buffer) => out!.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => err!.push(bytes))
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (...how) => resolve(how))
  })
  return { code, signal, stdout: Buffer.concat(out!).toString(), stderr: Buffer.concat(err!).toString() }
}

/** The objects of JSONL. */
export const jsonl = <T>(text: string): T[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
