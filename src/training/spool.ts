// Lists of token ids that may be larger than memory: bytes one behind the other in a storage, and in memory where each record starts.

/** Takes bytes at its end and gives back any of them. In memory by default; a file of the platform's serves as well. */
export interface SpoolStorage {
  append(bytes: Uint8Array): void | Promise<void>
  /** A copy of [start, end). */
  read(start: number, end: number): Uint8Array | Promise<Uint8Array>
}

const BLOCK = 1 << 20 // bytes

export class MemoryStorage implements SpoolStorage {
  private readonly blocks: Uint8Array[] = []
  private size = 0

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const offset = this.size % BLOCK
      if (offset === 0) this.blocks.push(new Uint8Array(BLOCK))
      const part = bytes.subarray(at, at + BLOCK - offset)
      this.blocks.at(-1)!.set(part, offset)
      at += part.length
      this.size += part.length
    }
  }

  read(start: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - start)
    for (let at = start; at < end;) {
      const offset = at % BLOCK
      const part = this.blocks[Math.floor(at / BLOCK)]!.subarray(offset, Math.min(BLOCK, offset + end - at))
      bytes.set(part, at - start)
      at += part.length
    }
    return bytes
  }
}

/** Records of lists of ids: their number, their lengths (32 bits each), then the ids, padded to four bytes. */
export class Spool {
  private starts = new Float64Array(256)
  private size = 0

  /** @param ids how ids are written: 16 bits where the vocabulary allows */
  constructor(
    private readonly storage: SpoolStorage,
    private readonly ids: typeof Uint16Array | typeof Int32Array,
  ) {}

  get length(): number {
    return this.size
  }

  async add(lists: readonly ArrayLike<number>[]): Promise<void> {
    const { ids, size } = this
    const head = 4 + 4 * lists.length
    const total = lists.reduce((sum, { length }) => sum + length, 0)
    const bytes = new Uint8Array(head + Math.ceil((total * ids.BYTES_PER_ELEMENT) / 4) * 4)
    new Uint32Array(bytes.buffer, 0, 1 + lists.length).set([lists.length, ...lists.map(({ length }) => length)])
    const values = new ids(bytes.buffer, head, total)
    let at = 0
    for (const list of lists) {
      values.set(list, at)
      at += list.length
    }
    if (size + 2 > this.starts.length) {
      const larger = new Float64Array(2 * this.starts.length)
      larger.set(this.starts)
      this.starts = larger
    }
    await this.storage.append(bytes)
    this.starts[size + 1] = this.starts[size]! + bytes.length
    this.size++
  }

  /** Ids of a record of so many lists, or a few more: those that fill its last word. */
  most(record: number, lists: number): number {
    return (this.starts[record + 1]! - this.starts[record]! - 4 - 4 * lists) / this.ids.BYTES_PER_ELEMENT
  }

  async get(record: number): Promise<(Uint16Array | Int32Array)[]> {
    // A copy that starts at a whole word, whatever the storage gave.
    const bytes = Uint8Array.from(await this.storage.read(this.starts[record]!, this.starts[record + 1]!))
    const count = new Uint32Array(bytes.buffer, 0, 1)[0]!
    let at = 4 + 4 * count
    return Array.from(new Uint32Array(bytes.buffer, 4, count), (length) => {
      const list = new this.ids(bytes.buffer, at, length)
      at += list.byteLength
      return list
    })
  }
}
