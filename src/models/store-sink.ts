import { FileType } from '../../assembly/abi.ts'
import type { Engine } from '../engine/engine.ts'
import type { Weight } from '../engine/store.ts'
import type { FloatDtype, WeightSink } from '../weights/load.ts'

/** Packs file rows, read straight into a window of wasm memory, into the resident layout. Weights are reserved when the file has been checked. */
export class StoreSink implements WeightSink {
  private window: number | undefined
  private weights: ReadonlyMap<string, Weight> | undefined

  constructor(
    private readonly engine: Engine,
    private readonly reserve: () => ReadonlyMap<string, Weight>,
  ) {}

  staging(bytes: number): Uint8Array {
    const { store } = this.engine
    this.weights ??= this.reserve()
    this.window ??= store.allocate(bytes, 'the load window')
    return store.view(Uint8Array, this.window, bytes)
  }

  rows(name: string, dtype: FloatDtype, row0: number, rows: number, bytes: Uint8Array): void {
    this.engine.store.pack(this.weights!.get(name)!, FILE_TYPES[dtype], bytes.byteOffset, row0, rows)
  }

  close(): void {
    if (this.window !== undefined) this.engine.store.release(this.window)
    this.window = undefined
  }
}

const FILE_TYPES: Readonly<Record<FloatDtype, FileType>> = { F32: FileType.F32, F16: FileType.F16, BF16: FileType.BF16 }
