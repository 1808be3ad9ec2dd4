// The only place that instantiates wasm.
import { instantiate as load } from '@assemblyscript/loader'
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

let chosen: Promise<Build> | undefined

/** Compiles the build that this engine runs, once per process. */
export function build(): Promise<Build> {
  return (chosen ??= compile())
}

async function compile(): Promise<Build> {
  if (!WebAssembly.validate(simd)) {
    throw new BertletError(
      'unsupported',
      'this engine refuses the kernels: they need WebAssembly SIMD and atomics',
      'Use Node 20 or later, or a browser of 2023 or later',
    )
  }
  return { name: 'simd', why: 'exact f32: plain SIMD gives the same bits on every engine', module: await WebAssembly.compile(simd) }
}

export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Kernels> {
  const { exports } = await load<Record<string, unknown>>(module, { env: { memory } })
  const constant = (name: string): number => {
    const value = exports[name] as number | WebAssembly.Global
    return Number(typeof value === 'object' ? value.value : value)
  }
  const { run, packRows, unpackRows } = exports as unknown as Kernels
  return {
    run,
    packRows,
    unpackRows,
    base: constant('BASE'),
    tile: { mr: constant('MR'), mc: constant('MC'), kc: constant('KC'), nr: constant('NR'), gemmScratch: constant('GEMM_SCRATCH') },
  }
}
