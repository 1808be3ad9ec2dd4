import { FileType } from '../../assembly/abi.ts'
import { SLICE } from '../engine/caller.ts'
import { currentRuntime, type Engine } from '../engine/engine.ts'
import type { Weight } from '../engine/store.ts'
import { expected } from '../errors.ts'
import { SPAN } from '../graph/tensor.ts'
import { scaleName, type RowDtype, type WeightSink } from '../weights/load.ts'

/** Packs file rows, read straight into a window of wasm memory, into the resident layout. Weights are reserved when the file has been checked. */
export class StoreSink implements WeightSink {
  private window: number | undefined
  /** Behind the window: eight rows. */
  private spare = 0
  private weights: ReadonlyMap<string, Weight> | undefined
  private rested = performance.now()

  constructor(
    private readonly engine: Engine,
    private readonly reserve: () => ReadonlyMap<string, Weight>,
  ) {}

  staging(bytes: number): Uint8Array {
    const { store } = this.engine
    this.weights ??= this.reserve()
    const weights = [...this.weights.values()]
    const rowBytes = Math.max(...weights.map(({ shape }) => 4 * shape.at(-1)!))
    this.window ??= store.allocate(bytes + 8 * rowBytes, 'the load window')
    // What scales are converted in: memory that is not shared may not grow while there are views of it.
    store.release(store.allocate(Math.max(...weights.map(scaleBytes)), 'scales'))
    this.spare = this.window + bytes
    return store.view(Uint8Array, this.window, bytes)
  }

  readonly direct = {
    takes: (name: string, dtype: RowDtype): boolean => {
      const weight = (this.weights ??= this.reserve()).get(name)
      return weight !== undefined && this.engine.store.holdsAsFiled(weight, FILE_TYPES[dtype])
    },
    place: (name: string, start: number, bytes: number): Uint8Array =>
      this.engine.store.view(Uint8Array, this.weights!.get(name)!.address + start, bytes),
  }

  rows(name: string, dtype: RowDtype, row0: number, rows: number, bytes: Uint8Array): void {
    const weight = this.weights!.get(name)
    if (weight === undefined) return this.scales(name, dtype, bytes)
    const { store } = this.engine
    if (bytes.byteOffset >= weight.address && bytes.byteOffset < weight.address + weight.bytes)
      store.packInPlace(weight, row0, rows, this.spare)
    else store.pack(weight, FILE_TYPES[dtype], bytes.byteOffset, row0, rows)
  }

  /** Files in memory are read without a wait: pages show frames in between all the same. */
  async rest(): Promise<void> {
    if (performance.now() - this.rested < SLICE) return
    await currentRuntime().turn()
    this.rested = performance.now()
  }

  /** The scales of a weight of integers: one for each row, or one for all. */
  private scales(name: string, dtype: RowDtype, bytes: Uint8Array): void {
    const [, weight] = [...this.weights!].find(([each]) => name === scaleName(each))!
    const { store } = this.engine
    const values = store.floats(FILE_TYPES[dtype], bytes.byteOffset, bytes.length / (dtype === 'F32' ? 4 : 2))
    const several = Math.max(1, values.length / weight.shape[0]!)
    values.forEach((value, i) => {
      const group = several > 1 ? `, group ${i % several}` : ''
      if (!(value > 0 && value < Infinity))
        throw expected(
          `tensor ${name}: the scale of row ${Math.floor(i / several)}${group}`,
          'a finite number above 0',
          value,
          undefined,
          'invalid_file',
        )
    })
    store.writeScales(weight, values)
  }

  close(): void {
    if (this.window !== undefined) this.engine.store.release(this.window)
    this.window = undefined
  }
}

/** Bytes of a weight's scales as f32, at most. */
const scaleBytes = ({ layout, shape }: Weight): number =>
  layout === 'panel4' ? (4 * shape[0]! * shape[1]!) / SPAN : layout === 'panel8' ? 4 * shape[0]! : 0

const FILE_TYPES: Readonly<Record<RowDtype, FileType>> = {
  F32: FileType.F32,
  F16: FileType.F16,
  BF16: FileType.BF16,
  I8: FileType.I8,
  I4: FileType.I4,
}
