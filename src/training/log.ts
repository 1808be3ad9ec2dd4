import type { Folder } from '../weights/folder.ts'
import type { LogEntry } from './callbacks.ts'

const FILE = 'log.jsonl'

/** log.jsonl: one object a line. Without a folder nothing is written. */
export class Log {
  constructor(private readonly folder: Folder | undefined) {}

  /** The file anew, with what was logged up to the checkpoint that a run goes on from. */
  async begin(history: readonly LogEntry[]): Promise<void> {
    await this.folder?.remove(FILE)
    if (history.length > 0) await this.folder?.append(FILE, history.map(line).join(''))
  }

  async add(entry: LogEntry): Promise<void> {
    await this.folder?.append(FILE, line(entry))
  }
}

const line = (entry: LogEntry): string => `${JSON.stringify(entry)}\n`
