// What pages and isolates have in common: no files, and a hub that is reached by fetch.
import { BertletError } from '../errors.ts'
import type { Runtime } from './runtime.ts'

function none(what: string, fix: string): never {
  throw new BertletError('unsupported', `${what}: there are no folders here`, fix)
}

export const noFiles: Pick<Runtime, 'source' | 'sink' | 'folder' | 'defaultSource' | 'hub'> = {
  source: () => undefined,
  sink: (name) => none(`savePretrained to ${JSON.stringify(name)}`, 'Give an object with write(name, pieces), which takes the files'),
  folder: (name) => none(`output_dir ${JSON.stringify(name)}`, "Give a folder of one's own, such as memoryFolder() of bertlet/training"),
  defaultSource: () => 'sentence-transformers/all-MiniLM-L6-v2',
  hub: () => ({}),
}
