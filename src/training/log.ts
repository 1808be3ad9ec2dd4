import type { Folder } from '../weights/folder.ts'
import type { LogEntry } from './callbacks.ts'
import { writing } from './checkpoint.ts'

const FILE = 'log.jsonl'

/** log.jsonl: one object a line. Without a folder nothing is written. */
export class Log {
  constructor(private readonly folder: Folder | undefined) {}

  /** The file anew, with what was logged up to the checkpoint that a run goes on from. */
  async begin(history: readonly LogEntry[]): Promise<void> {
    await this.folder?.remove(FILE)
    await this.write(history)
  }

  async add(entry: LogEntry): Promise<void> {
    await this.write([entry])
  }

  private async write(entries: readonly LogEntry[]): Promise<void> {
    const { folder } = this
    if (folder !== undefined && entries.length > 0) await writing(folder, FILE, () => folder.append(FILE, entries.map(line).join('')))
  }
}

const line = (entry: LogEntry): string => `${JSON.stringify(entry)}\n`
