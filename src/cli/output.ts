// Where results go, and in which form. Every writer waits for its reader.
import { once } from 'node:events'
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import Table from 'cli-table3'
import { expected, Words } from '../errors.ts'

/** Takes bytes in order. */
export interface Sink {
  write(bytes: string | Uint8Array): Promise<void>
  /** Writes over what was written at the start; only files can. */
  patch?(bytes: Uint8Array): Promise<void>
  /** All is written. */
  finish(): Promise<void>
  /** Gives up: a file does not appear. Nothing happens after finish(). */
  close(): Promise<void>
}

export async function openSink(output: string | undefined, signal: AbortSignal): Promise<Sink> {
  return output === undefined || output === '-' ? standardOutput(signal) : fileSink(output)
}

function standardOutput(signal: AbortSignal): Sink {
  return {
    write: async (bytes) => {
      signal.throwIfAborted()
      if (!process.stdout.write(bytes)) await once(process.stdout, 'drain', { signal })
    },
    finish: async () => undefined,
    close: async () => undefined,
  }
}

/** A file that has its name when it is whole; before that, and after a failure, whatever stood there stays. */
async function fileSink(file: string): Promise<Sink> {
  const known = await stat(file).catch(() => undefined)
  // Devices and pipes are written to as they are.
  const special = known !== undefined && !known.isFile()
  const place = special ? file : `${file}.part`
  const handle: FileHandle = await open(place, 'w')
  let open_ = true
  const shut = async (): Promise<boolean> => {
    const was = open_
    open_ = false
    if (was) await handle.close()
    return was
  }
  return {
    // writeFile continues where the last one ended, and writes all.
    write: (bytes) => handle.writeFile(bytes),
    ...(!special && {
      patch: async (bytes: Uint8Array) => {
        await handle.write(bytes, 0, bytes.length, 0)
      },
    }),
    finish: async () => {
      await shut()
      if (!special) await rename(place, file)
    },
    close: async () => {
      if ((await shut()) && !special) await rm(place, { force: true })
    },
  }
}

/** The `.npy` format begins with the number of rows, which is known at the end; NumPy itself reads it from nothing but files. */
export function needsFile(sink: Sink): void {
  if (sink.patch === undefined) throw expected('.npy output', 'a file', new Words('a stream'), 'Add --output and the name of a file')
}

/** Rows of float32 in NumPy's format, version 1.0. */
export class NpyWriter {
  private rows = 0
  private begun = false

  constructor(
    private readonly sink: Sink,
    private readonly width: number,
  ) {}

  /** Whole rows. Every engine that runs wasm threads stores floats in little-endian order. */
  async write(values: Float32Array): Promise<void> {
    await this.begin()
    this.rows += values.length / this.width
    await this.sink.write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }

  async finish(): Promise<void> {
    await this.begin()
    await this.sink.patch!(npyHeader(this.rows, this.width))
  }

  private async begin(): Promise<void> {
    if (!this.begun) await this.sink.write(npyHeader(0, this.width))
    this.begun = true
  }
}

/** 128 bytes: magic, version, length of the rest, a Python dict, spaces, a line's end. */
function npyHeader(rows: number, width: number): Uint8Array {
  const head = new Uint8Array(128).fill(0x20)
  head.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0])
  head.set(new TextEncoder().encode(`{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${width}), }`), 10)
  head[127] = 0x0a
  return head
}

const NO_BORDERS = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid'].flatMap((side) => ['', '-mid', '-left', '-right'].map((part) => [side + part, ''] as const)),
)
const PLAIN = {
  chars: { ...NO_BORDERS, 'mid-mid': '', middle: '  ' },
  style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
}

/** A table of fixed columns that is written as it grows. A wide text is cut. */
export class TableWriter {
  private begun = false

  constructor(
    private readonly sink: Sink,
    private readonly columns: Readonly<Record<string, number>>,
  ) {}

  async write(rows: readonly (readonly string[])[]): Promise<void> {
    const head = this.begun ? [] : [Object.keys(this.columns)]
    this.begun = true
    const table = new Table({ ...PLAIN, colWidths: Object.values(this.columns) })
    table.push(...[...head, ...rows].map((row) => row.map((text) => ({ content: oneLine(text) }))))
    await this.sink.write(`${table.toString().replace(/ +$/gm, '')}\n`)
  }
}

/** A text on one line, of at most `most` characters. */
export function oneLine(text: string, most = Infinity): string {
  // eslint-disable-next-line no-control-regex -- a terminal would obey them
  const line = text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ').trim()
  return line.length > most ? `${line.slice(0, most - 3)}...` : line
}

/** Rows in columns as wide as their widest text; the last is as long as it likes. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map(
      (row) =>
        `${row
          .map((text, i) => oneLine(text).padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}
