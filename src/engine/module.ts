// The only place that instantiates wasm.
import { instantiate as load, instantiateSync as loadNow } from '@assemblyscript/loader'
import type { Tile } from '../graph/plan.ts'

/** What every build of the kernels exports. */
export interface Kernels {
  /** Runs records first..last-1 of a plan as one of `ranks`; returns a Status. */
  run(plan: number, first: number, last: number, sync: number, rank: number, ranks: number): number
  /** Converts rows of a file into a resident weight. */
  packRows(source: number, type: number, target: number, row0: number, rows: number, k: number, mode: number): void
  /** The inverse, to f32 rows. */
  unpackRows(source: number, target: number, row0: number, rows: number, k: number, mode: number): void
  /** Converts rows of a file into a weight in 8 bits; rows of integers as they are, without their scales. */
  quantizeRows(source: number, type: number, target: number, row0: number, rows: number, k: number): void
  /** The values of a weight in 8 bits, to f32 rows. */
  dequantizeRows(source: number, target: number, row0: number, rows: number, k: number): void
  /** Rows row0..rows-1 of a weight = deviation * normal, see assembly/random.ts. */
  fillNormal(
    target: number,
    row0: number,
    rows: number,
    k: number,
    mode: number,
    seedLow: number,
    seedHigh: number,
    stream: number,
    deviation: number,
  ): void
  /** 0, or the number of the first relaxed instruction that is not as the kernels expect. Touches no memory of the host's. */
  selfTest(): number
  /** GEMM tiles of at most so many rows from now on, on this instance. */
  useTile(rows: number): void
  /** The same, and a little work with them in the scratch of the last run: for a clock to time. */
  tryTile(rows: number): void
  /** The first byte of memory that the host may use. */
  readonly base: number
  /** `high` and `mr`: rows of a tile, and of one where those are too many. */
  readonly tile: Tile & { readonly mr: number; readonly high: number }
}

const PAGE = 65536
/** wasm32 ends here. */
export const MAX_BYTES = 65536 * PAGE

export const emptyMemory = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: 1, maximum: MAX_BYTES / PAGE, shared: true })

type Exports = Record<string, unknown>

export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Kernels> {
  return kernelsOf((await load<Exports>(module, { env: { memory } })).exports)
}

export function instantiateNow(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return kernelsOf(loadNow<Exports>(module, { env: { memory } }).exports)
}

function kernelsOf(exports: Exports): Kernels {
  const constant = (name: string): number => {
    const value = exports[name] as number | WebAssembly.Global
    return Number(typeof value === 'object' ? value.value : value)
  }
  const { run, packRows, unpackRows, quantizeRows, dequantizeRows, fillNormal, selfTest, useTile, tryTile } = exports as unknown as Kernels
  return {
    run,
    packRows,
    unpackRows,
    quantizeRows,
    dequantizeRows,
    fillNormal,
    selfTest,
    useTile,
    tryTile,
    base: constant('BASE'),
    tile: {
      mr: constant('MR'),
      high: constant('HIGH'),
      mc: constant('MC'),
      kc: constant('KC'),
      nr: constant('NR'),
      gemmScratch: constant('GEMM_SCRATCH'),
    },
  }
}
