// A side of the bench: a process that answers one line with one line, and stands still while it is not asked, so that no waiting thread of
// one side takes a core from the other.
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'

/** Token ids and a label. */
export type Example = readonly [ids: readonly number[], label: number]

export type Work = 'step' | 'forward' | 'head'

export class Side {
  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
  ) {}

  /** What it is, in its own words. */
  runs = ''

  static async start(name: string, command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Side> {
    const set = Object.fromEntries(Object.entries({ ...process.env, ...env }).filter(([, value]) => value !== ''))
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: set })
    const reader: Interface = createInterface({ input: child.stdout })
    const side = new Side(name, child, reader[Symbol.asyncIterator]())
    side.runs = ((await side.answer()) as { runs: string }).runs
    return side
  }

  losses(examples: readonly Example[], count: number): Promise<number[]> {
    return this.ask({ do: 'losses', examples, count })
  }

  /** Milliseconds of each batch. */
  run(what: Work, batches: readonly (readonly Example[])[]): Promise<number[]> {
    return this.ask({ do: what, batches })
  }

  end(): void {
    this.child.kill('SIGKILL')
  }

  private async ask(command: object): Promise<number[]> {
    this.child.kill('SIGCONT')
    this.child.stdin!.write(`${JSON.stringify(command)}\n`)
    return (await this.answer()) as number[]
  }

  private async answer(): Promise<unknown> {
    const { value, done } = await this.lines.next()
    if (done) throw new Error(`${this.name} ended before it answered`)
    this.child.kill('SIGSTOP')
    return JSON.parse(value)
  }
}
