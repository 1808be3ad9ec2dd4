// Files into a folder: each is written under another name, synced and renamed, so that none is ever seen half.
import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Sink } from '../weights/sink.ts'
import { inside } from './node-files.ts'

export function directorySink(folder: string): Sink {
  return {
    async write(name, pieces) {
      const file = inside(folder, name)
      const temporary = `${file}.${randomUUID().slice(0, 8)}.incomplete`
      await mkdir(path.dirname(file), { recursive: true })
      const handle = await open(temporary, 'wx')
      try {
        for await (const piece of pieces) await handle.writeFile(piece)
        await handle.sync()
        await handle.close()
        await rename(temporary, file)
      } catch (error) {
        await handle.close().catch(() => undefined)
        await rm(temporary, { force: true })
        throw error
      }
    },
  }
}
