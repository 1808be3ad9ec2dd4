// The only place that instantiates wasm.
import { instantiate as load, instantiateSync as loadNow } from '@assemblyscript/loader'
import simd from '../../build/simd.wasm'
import { BertletError } from '../errors.ts'
import type { Tile } from '../graph/plan.ts'

/** What every build of the kernels exports. */
export interface Kernels {
  /** Runs records first..last-1 of a plan as one of `ranks`; returns a Status. */
  run(plan: number, first: number, last: number, sync: number, rank: number, ranks: number): number
  /** Converts rows of a file into a resident weight. */
  packRows(source: number, type: number, target: number, row0: number, rows: number, k: number, mode: number): void
  /** The inverse, to f32 rows. */
  unpackRows(source: number, target: number, row0: number, rows: number, k: number, mode: number): void
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
  /** The first byte of memory that the host may use. */
  readonly base: number
  readonly tile: Tile & { readonly mr: number }
}

export type BuildName = 'simd'

export interface Build {
  readonly name: BuildName
  readonly why: string
  readonly module: WebAssembly.Module
}

let chosen: Build | undefined
let compiling: Promise<Build> | undefined

/** Compiles the build that this engine runs, once per process. */
export function build(): Promise<Build> {
  return (compiling ??= WebAssembly.compile(checked()).then(choose))
}

/** The same at once, for a model that is made and not loaded. */
export function buildNow(): Build {
  return chosen ?? choose(new WebAssembly.Module(checked()))
}

function checked(): Uint8Array<ArrayBuffer> {
  if (WebAssembly.validate(simd)) return simd
  throw new BertletError(
    'unsupported',
    'this engine refuses the kernels: they need WebAssembly SIMD and atomics',
    'Use Node 20 or later, or a browser of 2023 or later',
  )
}

function choose(module: WebAssembly.Module): Build {
  return (chosen ??= { name: 'simd', why: 'exact f32: plain SIMD gives the same bits on every engine', module })
}

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
  const { run, packRows, unpackRows, fillNormal } = exports as unknown as Kernels
  return {
    run,
    packRows,
    unpackRows,
    fillNormal,
    base: constant('BASE'),
    tile: { mr: constant('MR'), mc: constant('MC'), kc: constant('KC'), nr: constant('NR'), gemmScratch: constant('GEMM_SCRATCH') },
  }
}
