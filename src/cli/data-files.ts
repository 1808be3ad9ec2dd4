// Labelled files as the library reads them, and a watch over them.
import { open, type FileHandle } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import type { DataInput } from '../data.ts'
import { BertletError } from '../errors.ts'
import { openInput } from './lines.ts'

/** Reads a file, or standard input for `-`; one that changes meanwhile is no data. */
export async function readFile<T>(file: string, signal: AbortSignal, read: (input: DataInput, name: string) => Promise<T>): Promise<T> {
  if (file === '-') return read(addAbortSignal(signal, await openInput('-')), 'standard input')
  const handle = await open(file)
  try {
    const before = await stamp(handle)
    // What is wrong with a file that changes is that it changes.
    const unchanged = async (): Promise<void> => {
      if ((await stamp(handle)) === before) return
      throw new BertletError(
        'invalid_file',
        `${file}: expected a file that stays as it is while it is read, got one that changed`,
        'Wait until it is written, and start again',
      )
    }
    try {
      const result = await read(/\.parquet$/i.test(file) ? anywhere(handle, (await handle.stat()).size) : stream(handle, signal), file)
      await unchanged()
      return result
    } catch (error) {
      signal.throwIfAborted()
      await unchanged()
      throw error
    }
  } finally {
    await handle.close()
  }
}

const stamp = async (handle: FileHandle): Promise<string> => {
  const { size, mtimeMs } = await handle.stat()
  return `${size} ${mtimeMs}`
}

const PIECE = 1 << 16

/** A stream of Node's would close the handle with itself, before the file is looked at again. */
async function* stream(handle: FileHandle, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (;;) {
    signal.throwIfAborted()
    const { bytesRead, buffer } = await handle.read(new Uint8Array(PIECE), 0, PIECE)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

const anywhere = (handle: FileHandle, size: number): DataInput => ({
  size,
  async read(start, end) {
    const bytes = new Uint8Array(end - start)
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, start)
    return bytes.subarray(0, bytesRead)
  },
})
