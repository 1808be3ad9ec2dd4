import { FileType, Sync, TableMode } from '../../assembly/abi.ts'
import { BertletError } from '../errors.ts'
import { panel4Words, panel8Words, SPAN, type Layout } from '../graph/tensor.ts'
import type { Region } from '../graph/verify.ts'
import { alignUp, Allocator } from './allocator.ts'
import { build, buildNow, trainer, type Build, type Precision, type WeightDtype } from './build.ts'
import { emptyMemory, instantiate, instantiateNow, MAX_BYTES, type Kernels } from './module.ts'

const PAGE = 65536
/** That leave or enter a panel at a time. */
const COPIED_WORDS = 65536

/** A named tensor that lives as long as someone holds it. */
export interface Weight {
  readonly name: string
  readonly address: number
  readonly bytes: number
  readonly shape: readonly number[]
  readonly layout: Layout
  /** Whether plans may write to it. */
  writable: boolean
  holders: number
  /** What it shares a place with. */
  readonly block?: Block
}

/** Weights side by side: those of another block of the same specs lie at the same distances from its address. */
export interface Block {
  readonly address: number
  /** Weights that are still held. */
  members: number
}

export interface WeightSpec {
  readonly name: string
  readonly shape: readonly number[]
  readonly layout: Layout
  readonly writable?: boolean
}

let nextId = 1

/** One wasm memory with named, reference-counted weights; plans, arena and sync region are places in it too. */
export class Store {
  readonly id = nextId++
  readonly sync: number
  private readonly weights = new Map<string, Weight>()
  /** Behind it no byte has ever been given away: all are zero. */
  private fresh = 0
  private disposed = false

  private constructor(
    public build: Build,
    readonly memory: WebAssembly.Memory,
    public kernels: Kernels,
    private readonly allocator: Allocator,
  ) {
    this.sync = this.allocate(Sync.Words * 4, 'the sync region')
  }

  static async create(precision: Precision = 'exact', dtype: WeightDtype = 'f32'): Promise<Store> {
    const chosen = await build(precision, dtype)
    const memory = emptyMemory(chosen.code)
    const kernels = await instantiate(chosen.module, memory)
    return new Store(chosen, memory, kernels, new Allocator(kernels.base, MAX_BYTES))
  }

  static createNow(precision: Precision = 'exact', dtype: WeightDtype = 'f32'): Store {
    const chosen = buildNow(precision, dtype)
    const memory = emptyMemory(chosen.code)
    const kernels = instantiateNow(chosen.module, memory)
    return new Store(chosen, memory, kernels, new Allocator(kernels.base, MAX_BYTES))
  }

  private trains = false

  /** From now on kernels that know training's ops, on the same memory. `before` lets go of the others. */
  async train(before: () => Promise<void> | undefined): Promise<void> {
    if (this.trains) return
    const build = await trainer(this.build)
    const kernels = await instantiate(build.module, this.memory)
    await before()
    this.build = build
    this.kernels = kernels
    this.trains = true
  }

  /** Bytes of the memory so far. */
  get bytes(): number {
    return this.memory.buffer.byteLength
  }

  get weightBytes(): number {
    let sum = 0
    for (const weight of this.weights.values()) sum += weight.bytes
    return sum
  }

  /** A place of `bytes`, growing the memory when it must; what of it lies behind `fresh` is zero. */
  allocate(bytes: number, what: string): number {
    const address = this.allocator.allocate(bytes)
    const needed = (address ?? this.allocator.top) + bytes
    const pages = Math.ceil(needed / PAGE) - this.bytes / PAGE
    try {
      if (address === undefined) throw new RangeError('past the end of wasm32')
      if (pages > 0) this.memory.grow(pages)
      this.fresh = Math.max(this.fresh, address + bytes)
      return address
    } catch (cause) {
      if (address !== undefined) this.allocator.release(address)
      throw new BertletError(
        'out_of_memory',
        `${what} needs ${bytes} bytes, the memory would have ${needed}, and it cannot grow beyond ${this.bytes}`,
        'Lower the token budget, dispose of other models, or use fewer or shorter texts per call',
        { cause },
      )
    }
  }

  /** As the allocator's. */
  rehearse(released: readonly number[], sizes: readonly number[]): number {
    return this.allocator.rehearse(released, sizes)
  }

  /** Grows the memory to hold `bytes` in all, so that what is allocated below needs no growth; false if it cannot. */
  grow(bytes: number): boolean {
    const pages = Math.ceil(bytes / PAGE) - this.bytes / PAGE
    try {
      if (pages > 0) this.memory.grow(pages)
      return true
    } catch {
      return false
    }
  }

  release(address: number): void {
    this.allocator.release(address)
  }

  view<T extends ArrayBufferView>(
    type: new (buffer: SharedArrayBuffer, at: number, length: number) => T,
    address: number,
    length: number,
  ): T {
    return new type(this.memory.buffer as unknown as SharedArrayBuffer, address, length)
  }

  zero(address: number, bytes: number): void {
    this.view(Uint8Array, address, bytes).fill(0)
  }

  /** Reserves a weight, or holds the present one of that name. Its bytes are zero when fresh. */
  hold(spec: WeightSpec): Weight {
    const present = this.weights.get(spec.name)
    if (present !== undefined) {
      present.holders++
      present.writable ||= spec.writable ?? false
      return present
    }
    const bytes = weightBytes(spec)
    return this.keep(spec, this.zeros(bytes, `weight ${spec.name}`), bytes)
  }

  /** Reserves weights that are not there yet in one block. */
  holdTogether(specs: readonly WeightSpec[], what: string): Block {
    const sizes = specs.map((spec) => alignUp(weightBytes(spec)))
    let address = this.zeros(
      sizes.reduce((sum, size) => sum + size, 0),
      what,
    )
    const block = { address, members: specs.length }
    specs.forEach((spec, i) => {
      this.keep({ ...spec, block }, address, weightBytes(spec))
      address += sizes[i]!
    })
    return block
  }

  private zeros(bytes: number, what: string): number {
    const { fresh } = this
    const address = this.allocate(bytes, what)
    // Writing zeros onto zeros would make the system find every page before the weights come.
    if (address < fresh) this.zero(address, Math.min(bytes, fresh - address))
    return address
  }

  private keep(spec: WeightSpec & Pick<Weight, 'block'>, address: number, bytes: number): Weight {
    const weight: Weight = { ...spec, writable: spec.writable ?? false, address, bytes, holders: 1 }
    this.weights.set(spec.name, weight)
    return weight
  }

  /** Grows the memory once for weights that come next, as far as it can. */
  expect(specs: readonly WeightSpec[]): void {
    this.grow(this.rehearse([], specs.filter(({ name }) => !this.has(name)).map(weightBytes)))
  }

  drop(name: string): void {
    const weight = this.get(name)
    if (--weight.holders > 0) return
    this.weights.delete(name)
    const { block } = weight
    if (block === undefined) this.release(weight.address)
    else if (--block.members === 0) this.release(block.address)
  }

  has(name: string): boolean {
    return this.weights.has(name)
  }

  get(name: string): Weight {
    const weight = this.weights.get(name)
    if (weight === undefined) throw new BertletError('internal', `the store has no weight ${name}`)
    return weight
  }

  regions(): Region[] {
    return [...this.weights.values()].map(({ address, bytes, writable }) => ({ start: address, end: address + bytes, writable }))
  }

  /** Whether rows of a file have their place in a weight byte by byte, in panels of eight at most turned around there. */
  holdsAsFiled({ layout, shape }: Weight, type: FileType): boolean {
    return type === FileType.F32 && (layout === 'rows' || (layout === 'panel' && shape[0]! % 8 === 0))
  }

  /** Gives f32 rows that lie in their place in a weight its layout; `spare` is room for eight of them. Whole panels only. */
  packInPlace(weight: Weight, row0: number, rows: number, spare: number): void {
    const { k, mode } = packing(weight)
    if (mode === TableMode.Rows) return
    for (let row = row0; row < row0 + rows; row += 8) {
      this.kernels.packRows(weight.address + row * k * 4, FileType.F32, spare, 0, 8, k, TableMode.Rows)
      this.kernels.packRows(spare, FileType.F32, weight.address, row, 8, k, mode)
    }
  }

  /** Converts `rows` rows of a file, at `source` in this memory, into a weight's layout. */
  pack(weight: Weight, type: FileType, source: number, row0: number, rows: number): void {
    const { k, mode } = packing(weight)
    if (mode === TableMode.Panel4) this.kernels.quantizeRows4(source, type, weight.address, row0, rows, k)
    else if (mode === TableMode.Panel8) this.kernels.quantizeRows(source, type, weight.address, row0, rows, k)
    else this.kernels.packRows(source, type, weight.address, row0, rows, k, mode)
  }

  /** A weight's values as f32 rows, copied out. */
  read(name: string): Float32Array<ArrayBuffer> {
    const { address, ...weight } = this.get(name)
    const { n, k, mode } = packing(weight)
    if (mode === TableMode.Rows) return this.view(Float32Array, address, n * k).slice()
    const values = new Float32Array(n * k)
    if (mode === TableMode.Panel4) {
      const { packed, scales } = this.readInt4(name)
      return values.map((_, i) => (((packed[i >> 1]! >> ((i & 1) * 4)) & 15) - 8) * scales[Math.floor(i / SPAN)]!)
    }
    this.inPieces(name, n, k, (target, row0, rows) => {
      if (mode === TableMode.Panel8) this.kernels.dequantizeRows(address, target, row0, rows, k)
      else this.kernels.unpackRows(address, target, row0, rows, k, mode)
      values.set(this.view(Float32Array, target, rows * k), row0 * k)
    })
    return values
  }

  /** Sets a weight from f32 rows. */
  write(name: string, values: Float32Array): void {
    const { n, k } = packing(this.get(name))
    if (values.length !== n * k) throw new BertletError('invalid_argument', `${name}: expected ${n * k} values, got ${values.length}`)
    this.writeRows(name, 0, values)
  }

  /** Sets whole rows of a weight, from `row0` on. */
  writeRows(name: string, row0: number, values: Float32Array): void {
    const weight = this.get(name)
    const { k, mode } = packing(weight)
    if (mode === TableMode.Rows) return this.view(Float32Array, weight.address + row0 * k * 4, values.length).set(values)
    this.inPieces(name, values.length / k, k, (source, row, rows) => {
      this.view(Float32Array, source, rows * k).set(values.subarray(row * k, (row + rows) * k))
      this.pack(weight, FileType.F32, source, row0 + row, rows)
    })
  }

  /** Calls `work` with room for some rows at a time, so that a copy of a large weight needs little memory. */
  private inPieces(name: string, n: number, k: number, work: (at: number, row0: number, rows: number) => void): void {
    const rows = Math.min(n, 8 * Math.max(1, Math.floor(COPIED_WORDS / (8 * k))))
    const at = this.allocate(rows * k * 4, `a part of a copy of ${name}`)
    try {
      for (let row = 0; row < n; row += rows) work(at, row, Math.min(rows, n - row))
    } finally {
      this.release(at)
    }
  }

  /** Numbers of a file, at `source` in this memory, as f32. */
  floats(type: FileType, source: number, count: number): Float32Array<ArrayBuffer> {
    const target = this.allocate(count * 4, 'converted numbers')
    try {
      this.kernels.packRows(source, type, target, 0, 1, count, TableMode.Rows)
      return this.view(Float32Array, target, count).slice()
    } finally {
      this.release(target)
    }
  }

  /** Sets the scales of a weight of integers: one for all, or by rows; in 4 bits each row may have several, for as many columns each. */
  writeScales({ address, shape: [n, k], layout }: Weight, scales: Float32Array): void {
    if (layout === 'panel4') {
      const words = this.view(Float32Array, address, panel4Words(n!, k!))
      const [groups, several] = [k! / SPAN, scales.length / n!]
      for (let row = 0; row < n!; row++) {
        for (let g = 0; g < groups; g++) {
          const from = scales.length === 1 ? 0 : row * several + Math.floor((g * several) / groups)
          words[panel4Words(row & ~7, k!) + 8 + g * (8 + SPAN) + (row & 7)] = scales[from]!
        }
      }
      return this.kernels.totals(address, 0, n!, k!)
    }
    if (layout !== 'panel8') throw new BertletError('internal', 'scales for a weight of floats')
    const words = this.view(Float32Array, address, panel8Words(n!, k!))
    for (let row = 0; row < n!; row++) words[panel8Words(row & ~7, k!) + (row & 7)] = scales[scales.length === 1 ? 0 : row]!
  }

  /** The integers of a weight in 8 bits, in rows, and the scale of each. */
  readInt8(name: string): { integers: Int8Array<ArrayBuffer>; scales: Float32Array<ArrayBuffer> } {
    const { address, shape } = this.get(name)
    const [n, k] = shape as [number, number]
    const heads = this.view(Float32Array, address, panel8Words(n, k))
    const bytes = this.view(Int8Array, address, panel8Words(n, k) * 4)
    const [integers, scales] = [new Int8Array(n * k), new Float32Array(n)]
    for (let row = 0; row < n; row++) {
      const head = panel8Words(row & ~7, k) + (row & 7)
      scales[row] = heads[head]!
      const from = (head + 16) * 4
      for (let j = 0; j < k; j++) integers[row * k + j] = bytes[from + (j >> 2) * 32 + (j & 3)]!
    }
    return { integers, scales }
  }

  /** The integers of a weight in 4 bits as files pack them, eight a word, and the scale of each group, by rows. */
  readInt4(name: string): { packed: Uint8Array<ArrayBuffer>; scales: Float32Array<ArrayBuffer> } {
    const { address, shape } = this.get(name)
    const [n, k] = shape as [number, number]
    const words = this.view(Float32Array, address, panel4Words(n, k))
    const bytes = this.view(Uint8Array, address, panel4Words(n, k) * 4)
    const groups = k / SPAN
    const [packed, scales] = [new Uint8Array((n * k) / 2), new Float32Array(n * groups)]
    for (let row = 0; row < n; row++) {
      const shift = row & 4
      for (let g = 0; g < groups; g++) {
        const head = panel4Words(row & ~7, k) + 8 + g * (8 + SPAN)
        scales[row * groups + g] = words[head + (row & 7)]!
        const from = (head + 8) * 4 + (row & 3) * 4
        const to = (row * k + g * SPAN) / 2
        for (let l = 0; l < SPAN; l += 2) {
          const at = from + (l >> 2) * 16 + (l & 3)
          packed[to + l / 2] = ((bytes[at]! >> shift) & 15) | (((bytes[at + 1]! >> shift) & 15) << 4)
        }
      }
    }
    return { packed, scales }
  }

  /** Fills rows row0.. of a weight with normal values of a seed and a stream; they do not depend on its layout. */
  fillNormal(
    weight: Weight,
    { seed, stream, deviation, row0 = 0 }: { seed: number; stream: number; deviation: number; row0?: number },
  ): void {
    const { n, k, mode } = packing(weight)
    // In pieces: an engine that has begun a call in quick code goes on in it to the end, and only the next call gets the good code.
    const [high, piece] = [Math.floor(seed / 0x100000000), Math.max(1, Math.floor(65536 / k))]
    const quantized = mode === TableMode.Panel8 || mode === TableMode.Panel4
    const rows = quantized ? this.allocate(piece * k * 4, `fresh rows of ${weight.name}`) : weight.address
    for (let row = row0; row < n; row += piece) {
      const end = Math.min(row + piece, n)
      // Rows count from a weight's start.
      const start = quantized ? rows - row * k * 4 : rows
      this.kernels.fillNormal(start, row, end, k, quantized ? TableMode.Rows : mode, seed | 0, high, stream, deviation)
      if (quantized) this.pack(weight, FileType.F32, rows, row, end - row)
    }
    if (quantized) this.release(rows)
  }

  get live(): boolean {
    return !this.disposed
  }

  assertLive(): void {
    if (this.disposed) throw new BertletError('disposed', 'this model has been disposed of', 'Load it again with fromPretrained()')
  }

  dispose(): void {
    this.disposed = true
    this.weights.clear()
    // Whoever keeps a disposed model must not keep its bytes.
    ;(this as { memory: unknown }).memory = undefined
    ;(this as { kernels: unknown }).kernels = undefined
  }
}

/** [rows][columns] of a weight, a vector being one row, and how it is packed. */
function packing({ shape, layout }: Pick<Weight, 'shape' | 'layout'>): { n: number; k: number; mode: TableMode } {
  const k = shape[shape.length - 1]!
  return {
    n: shape.slice(0, -1).reduce((product, size) => product * size, 1),
    k,
    mode: MODES[layout] ?? TableMode.Rows,
  }
}

const MODES: Partial<Record<Layout, TableMode>> = { panel: TableMode.Panel, panel8: TableMode.Panel8, panel4: TableMode.Panel4 }

/** Resident bytes of a weight. */
export function weightBytes(spec: Pick<WeightSpec, 'shape' | 'layout'>): number {
  const { n, k } = packing(spec)
  if (spec.layout === 'panel8') return panel8Words(n, k) * 4
  if (spec.layout === 'panel4') return panel4Words(n, k) * 4
  return (spec.layout === 'panel' ? Math.ceil(n / 8) * 8 : n) * k * 4
}
