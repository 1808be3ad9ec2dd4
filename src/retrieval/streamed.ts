// Vectors that stay in their file: each search reads them in blocks, the next one while one is computed.
import { readStored, type Stored } from './files.ts'
import { bytesOf, Panels, type Integers, type Visit } from './panels.ts'

/** Bytes of a block. */
const BLOCK = 16 << 20

export class Streamed {
  private constructor(
    private readonly stored: Stored,
    private readonly panels: Panels,
  ) {}

  /** @param stored embeddings, and of integers their scales. */
  static async create(stored: Stored, threads: number | undefined): Promise<Streamed> {
    const [embeddings, scales] = stored.tensors
    return new Streamed(stored, await Panels.create(embeddings!.shape[1]!, scales ? 'int8' : 'float32', threads))
  }

  get rows(): number {
    return this.stored.tensors[0]!.shape[0]!
  }

  /** The values of rows row0.. */
  async read(row0: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    const block = await this.load(row0, count)
    if (block instanceof Float32Array) return block
    const { width } = this.panels
    return Float32Array.from(block.integers, (x, i) => x * block.scales[Math.floor(i / width)]!)
  }

  private async load(row0: number, count: number): Promise<Float32Array<ArrayBuffer> | Integers> {
    const [values, scales] = await readStored(this.stored, row0, count)
    if (scales === undefined) return new Float32Array(values!.buffer)
    return { integers: new Int8Array(values!.buffer), scales: new Float32Array(scales.buffer) }
  }

  /** As Panels has it. */
  async scores(queries: Float32Array, visit: Visit, signal?: AbortSignal): Promise<void> {
    const { panels, rows } = this
    const size = Math.max(8, Math.floor(BLOCK / bytesOf(panels.held, panels.width) / 8) * 8)
    const at = (first: number): Promise<Float32Array | Integers> => this.load(first, Math.min(size, rows - first))
    let coming = rows > 0 ? at(0) : undefined
    for (let first = 0; first < rows; first += size) {
      const block = await coming!
      signal?.throwIfAborted()
      coming = first + size < rows ? at(first + size) : undefined
      // What fails is thrown where it is awaited.
      coming?.catch(() => undefined)
      if (block instanceof Float32Array) panels.write(0, block)
      else panels.writeInt8(0, block)
      const count = Math.min(size, rows - first)
      await panels.scores(queries, (query, row, scores) => visit(query, first + row, scores.subarray(0, Math.max(0, count - row))), signal)
    }
  }

  async dispose(): Promise<void> {
    await this.panels.dispose()
    await this.stored.reader.close()
  }
}
