import { FileType, Sync, TableMode } from '../../assembly/abi.ts'
import { BertletError } from '../errors.ts'
import type { Layout } from '../graph/tensor.ts'
import type { Region } from '../graph/verify.ts'
import { Allocator } from './allocator.ts'
import { build, buildNow, type Build, type Precision } from './build.ts'
import { emptyMemory, instantiate, instantiateNow, MAX_BYTES, type Kernels } from './module.ts'

const PAGE = 65536

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
  private disposed = false

  private constructor(
    readonly build: Build,
    readonly memory: WebAssembly.Memory,
    readonly kernels: Kernels,
    private readonly allocator: Allocator,
  ) {
    this.sync = this.allocate(Sync.Words * 4, 'the sync region')
  }

  static async create(precision: Precision = 'exact'): Promise<Store> {
    const chosen = await build(precision)
    const memory = emptyMemory(chosen.code)
    const kernels = await instantiate(chosen.module, memory)
    return new Store(chosen, memory, kernels, new Allocator(kernels.base, MAX_BYTES))
  }

  static createNow(precision: Precision = 'exact'): Store {
    const chosen = buildNow(precision)
    const memory = emptyMemory(chosen.code)
    const kernels = instantiateNow(chosen.module, memory)
    return new Store(chosen, memory, kernels, new Allocator(kernels.base, MAX_BYTES))
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

  /** A place of `bytes`, growing the memory when it must; the place holds zeros only if it was never used. */
  allocate(bytes: number, what: string): number {
    const address = this.allocator.allocate(bytes)
    const needed = address === undefined ? this.allocator.top + bytes : this.allocator.top
    const pages = Math.ceil(needed / PAGE) - this.bytes / PAGE
    try {
      if (address === undefined) throw new RangeError('past the end of wasm32')
      if (pages > 0) this.memory.grow(pages)
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
    const address = this.allocate(bytes, `weight ${spec.name}`)
    this.zero(address, bytes)
    const weight: Weight = { ...spec, writable: spec.writable ?? false, address, bytes, holders: 1 }
    this.weights.set(spec.name, weight)
    return weight
  }

  drop(name: string): void {
    const weight = this.get(name)
    if (--weight.holders > 0) return
    this.weights.delete(name)
    this.release(weight.address)
  }

  get(name: string): Weight {
    const weight = this.weights.get(name)
    if (weight === undefined) throw new BertletError('internal', `the store has no weight ${name}`)
    return weight
  }

  regions(): Region[] {
    return [...this.weights.values()].map(({ address, bytes, writable }) => ({ start: address, end: address + bytes, writable }))
  }

  /** Converts `rows` rows of a file, at `source` in this memory, into a weight's layout. */
  pack(weight: Weight, type: FileType, source: number, row0: number, rows: number): void {
    const { k, mode } = packing(weight)
    this.kernels.packRows(source, type, weight.address, row0, rows, k, mode)
  }

  /** A weight's values as f32 rows, copied out. */
  read(name: string): Float32Array<ArrayBuffer> {
    const weight = this.get(name)
    const { n, k, mode } = packing(weight)
    const target = this.allocate(n * k * 4, `a copy of ${name}`)
    try {
      this.kernels.unpackRows(weight.address, target, 0, n, k, mode)
      return this.view(Float32Array, target, n * k).slice()
    } finally {
      this.release(target)
    }
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
    const source = this.allocate(values.byteLength, `a copy of ${name}`)
    try {
      this.view(Float32Array, source, values.length).set(values)
      this.pack(weight, FileType.F32, source, row0, values.length / packing(weight).k)
    } finally {
      this.release(source)
    }
  }

  /** Fills rows row0.. of a weight with normal values of a seed and a stream; they do not depend on its layout. */
  fillNormal(
    weight: Weight,
    { seed, stream, deviation, row0 = 0 }: { seed: number; stream: number; deviation: number; row0?: number },
  ): void {
    const { n, k, mode } = packing(weight)
    // In pieces: an engine that has begun a call in quick code goes on in it to the end, and only the next call gets the good code.
    const [high, piece] = [Math.floor(seed / 0x100000000), Math.max(1, Math.floor(65536 / k))]
    for (let row = row0; row < n; row += piece) {
      this.kernels.fillNormal(weight.address, row, Math.min(row + piece, n), k, mode, seed | 0, high, stream, deviation)
    }
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
    mode: layout === 'panel' ? TableMode.Panel : TableMode.Rows,
  }
}

/** Resident bytes of a weight. */
export function weightBytes(spec: Pick<WeightSpec, 'shape' | 'layout'>): number {
  const { n, k } = packing(spec)
  return (spec.layout === 'panel' ? Math.ceil(n / 8) * 8 : n) * k * 4
}
