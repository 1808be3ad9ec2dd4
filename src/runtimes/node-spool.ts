// A spool's bytes in a temporary file, for corpora larger than memory.
import { randomUUID } from 'node:crypto'
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { BertletError } from '../errors.ts'

/** Small records are written together. */
const BLOCK = 1 << 20 // bytes

/**
 * A place for bytes that no ending leaves behind: the file loses its name as soon as it is open, and the system takes it back with the last
 * handle, however the process ends. It fits SpoolStorage; reads of what the page cache holds are quicker than a turn of the event loop.
 */
export class FileSpool {
  private readonly file: number
  private readonly block = new Uint8Array(BLOCK)
  private written = 0
  private waiting = 0
  private open = true

  constructor(folder = tmpdir()) {
    const name = path.join(folder, `bertlet-spool-${randomUUID()}`)
    this.file = openSync(name, 'wx+', 0o600)
    rmSync(name, { force: true })
  }

  append(bytes: Uint8Array): void {
    if (this.waiting + bytes.length > BLOCK) this.flush()
    if (bytes.length > BLOCK) return this.write(bytes)
    this.block.set(bytes, this.waiting)
    this.waiting += bytes.length
  }

  /** A copy of [start, end). */
  read(start: number, end: number): Uint8Array {
    if (end > this.written) this.flush()
    const bytes = new Uint8Array(end - start)
    for (let at = 0; at < bytes.length;) {
      const count = readSync(this.file, bytes, at, bytes.length - at, start + at)
      if (count === 0) throw new BertletError('internal', `spool: asked for bytes up to ${end} of ${this.written}`)
      at += count
    }
    return bytes
  }

  /** Gives the bytes back. A second call does nothing. */
  close(): void {
    if (this.open) closeSync(this.file)
    this.open = false
  }

  private flush(): void {
    const { waiting } = this
    this.waiting = 0
    this.write(this.block.subarray(0, waiting))
  }

  private write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += writeSync(this.file, bytes, at, bytes.length - at, this.written + at)
    this.written += bytes.length
  }
}
