// Vectors in wasm memory, and what queries score against them: a matrix product for each block of rows, on all threads.
import { FileType } from '../../assembly/abi.ts'
import { Engine, resolveThreads } from '../engine/engine.ts'
import type { Weight } from '../engine/store.ts'
import { BertletError } from '../errors.ts'
import { Graph } from '../graph/graph.ts'
import { linear } from '../graph/ops.ts'
import { panel8Words, TOKENS, type Dims } from '../graph/tensor.ts'

/** What vectors are held in: numbers, or integers of 8 bits with a scale for each vector. */
export type Held = 'float32' | 'int8'

/** Is given the scores of one query against the rows from `first` on. They are only lent. */
export type Visit = (query: number, first: number, scores: Float32Array) => void

/** Rows of the least and of the largest block; between them each new one doubles what there is. */
const [LEAST, MOST] = [256, 16384]
/** Scores that are held at a time, and queries that are multiplied together. */
const [SCORES, TOGETHER] = [1 << 22, 32]

/** Bytes of a vector. */
export const bytesOf = (held: Held, width: number): number => (held === 'float32' ? 4 * width : width + 4)

export class Panels {
  /** Vectors that are in it. */
  rows = 0
  private readonly blocks: Weight[] = []

  private constructor(
    private readonly engine: Engine,
    readonly width: number,
    readonly held: Held,
  ) {}

  static async create(width: number, held: Held, threads?: number): Promise<Panels> {
    const engine = await Engine.create(resolveThreads(threads).threads, 'exact', held === 'int8' ? 'int8' : 'f32')
    return new Panels(engine, width, held)
  }

  private get capacity(): number {
    return this.blocks.reduce((sum, { shape }) => sum + shape[0]!, 0)
  }

  /** Makes room for so many rows in all. */
  reserve(rows: number): void {
    for (let there = this.capacity; there < rows; there = this.capacity) {
      const more = Math.min(MOST, Math.max(LEAST, there, Math.ceil((rows - there) / 8) * 8))
      // The products know their blocks.
      this.engine.forget('scores')
      const layout = this.held === 'int8' ? 'panel8' : 'panel'
      try {
        this.blocks.push(this.engine.store.hold({ name: `block ${this.blocks.length}`, shape: [more, this.width], layout }))
      } catch (cause) {
        if ((cause as BertletError).code !== 'out_of_memory') throw cause
        throw new BertletError(
          'out_of_memory',
          `expected room for ${rows} vectors of ${this.width} in ${this.held}, ${rows * bytesOf(this.held, this.width)} bytes, and the memory has it for ${there}`,
          "Hold them in precision 'int8', or save the index and load it with max_memory: then it is streamed from its file",
          { cause },
        )
      }
    }
  }

  /** Calls `work` for each block that rows row0.. of `count` lie in. */
  private inBlocks(row0: number, count: number, work: (block: Weight, row: number, from: number, rows: number) => void): void {
    let start = 0
    for (const block of this.blocks) {
      const size = block.shape[0]!
      const [first, end] = [Math.max(row0, start), Math.min(row0 + count, start + size)]
      if (first < end) work(block, first - start, first - row0, end - first)
      start += size
    }
  }

  /** Sets rows from `row0` on; those behind the last become its last. */
  write(row0: number, vectors: Float32Array): void {
    const count = vectors.length / this.width
    this.reserve(row0 + count)
    this.inBlocks(row0, count, (block, row, from, rows) =>
      this.engine.store.writeRows(block.name, row, vectors.subarray(from * this.width, (from + rows) * this.width)),
    )
    this.rows = Math.max(this.rows, row0 + count)
  }

  /** The same from what readInt8() gave. */
  writeInt8(row0: number, { integers, scales }: Integers): void {
    const { width, engine } = this
    const { store } = engine
    this.reserve(row0 + scales.length)
    this.inBlocks(row0, scales.length, (block, row, from, rows) => {
      const staged = store.allocate(rows * width, 'rows of an index')
      store.view(Int8Array, staged, rows * width).set(integers.subarray(from * width, (from + rows) * width))
      store.pack(block, FileType.I8, staged, row, rows)
      store.release(staged)
      const words = store.view(Float32Array, block.address, block.bytes / 4)
      for (let i = 0; i < rows; i++) words[panel8Words((row + i) & ~7, width) + ((row + i) & 7)] = scales[from + i]!
    })
    this.rows = Math.max(this.rows, row0 + scales.length)
  }

  /** The values of rows row0.., copied. */
  read(row0: number, count: number): Float32Array<ArrayBuffer> {
    const { width } = this
    const values = new Float32Array(count * width)
    if (this.held === 'int8') {
      const { integers, scales } = this.readInt8(row0, count)
      return values.map((_, i) => integers[i]! * scales[Math.floor(i / width)]!)
    }
    this.inBlocks(row0, count, (block, row, from, rows) => {
      const words = this.engine.store.view(Float32Array, block.address, block.bytes / 4)
      for (let i = 0; i < rows; i++) {
        const panel = ((row + i) & ~7) * width + ((row + i) & 7)
        for (let k = 0; k < width; k++) values[(from + i) * width + k] = words[panel + 8 * k]!
      }
    })
    return values
  }

  readInt8(row0: number, count: number): Integers {
    const { width } = this
    const [integers, scales] = [new Int8Array(count * width), new Float32Array(count)]
    this.inBlocks(row0, count, (block, row, from, rows) => {
      const words = this.engine.store.view(Float32Array, block.address, block.bytes / 4)
      const bytes = this.engine.store.view(Int8Array, block.address, block.bytes)
      for (let i = 0; i < rows; i++) {
        const head = panel8Words((row + i) & ~7, width) + ((row + i) & 7)
        scales[from + i] = words[head]!
        for (let k = 0; k < width; k++) integers[(from + i) * width + k] = bytes[(head + 16) * 4 + (k >> 2) * 32 + (k & 3)]!
      }
    })
    return { integers, scales }
  }

  /** The products of queries, one behind the other, and every row. Those of integers are of queries in 7 bits. */
  async scores(queries: Float32Array, visit: Visit, signal?: AbortSignal): Promise<void> {
    const { engine, width, rows, blocks } = this
    const count = queries.length / width
    if (rows === 0 || count === 0) return
    const most = Math.max(1, Math.min(TOGETHER, Math.floor(SCORES / this.capacity)))
    await engine.exclusively(async () => {
      for (let first = 0; first < count; first += most) {
        const some = Math.min(most, count - first)
        const bound = dimsOf(some === 1 ? 1 : most)
        const program = engine.program(`scores ${bound.tokens}`, bound, () => this.graph())
        await engine.run(program, dimsOf(some), { queries: queries.subarray(first * width, (first + some) * width) }, { signal })
        let start = 0
        for (const { name, shape } of blocks) {
          const size = shape[0]!
          const used = Math.min(size, rows - start)
          if (used <= 0) break
          const scores = engine.output(program, name, dimsOf(some))
          for (let q = 0; q < some; q++) visit(first + q, start, scores.subarray(q * size, q * size + used))
          start += size
        }
      }
    })
  }

  private graph(): Graph {
    const graph = new Graph()
    const queries = graph.input('queries', [TOKENS, this.width], 'f32')
    for (const { name, shape, layout } of this.blocks)
      graph.output(name, linear(graph, queries, graph.parameter(name, shape, layout), null))
    return graph
  }

  /** Bytes of wasm memory. */
  get bytes(): number {
    return this.engine.store.bytes
  }

  dispose(): Promise<void> {
    return this.engine.dispose()
  }
}

export interface Integers {
  readonly integers: Int8Array
  readonly scales: Float32Array
}

const dimsOf = (queries: number): Dims => ({ tokens: queries, sequences: 1, longest: 1, squares: 1, selected: 0 })
