// The only place that instantiates wasm.
import { BertletError } from '../errors.ts'
import type { Tile } from '../graph/plan.ts'

/** What every build of the kernels exports. */
export interface Kernels {
  /** Runs records first..last-1 of a plan as one of `ranks`; returns a Status. */
  run(plan: number, first: number, last: number, sync: number, rank: number, ranks: number): number
  /** Units from..to-1 of one record's work, by one rank; Status.Paused where there are more. */
  runUnits(plan: number, record: number, from: number, to: number): number
  /** Converts rows of a file into a resident weight. */
  packRows(source: number, type: number, target: number, row0: number, rows: number, k: number, mode: number): void
  /** The inverse, to f32 rows. */
  unpackRows(source: number, target: number, row0: number, rows: number, k: number, mode: number): void
  /** Converts rows of a file into a weight in 8 bits; rows of integers as they are, without their scales. */
  quantizeRows(source: number, type: number, target: number, row0: number, rows: number, k: number): void
  /** The values of a weight in 8 bits, to f32 rows. */
  dequantizeRows(source: number, target: number, row0: number, rows: number, k: number): void
  /** The same into a weight in 4 bits. */
  quantizeRows4(source: number, type: number, target: number, row0: number, rows: number, k: number): void
  /** What products need of rows in 4 bits whose scales or integers are new. */
  totals(target: number, row0: number, rows: number, k: number): void
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

/** The kernels as the bundle holds them: bytes, or a module where the platform compiles only what it was deployed with. */
export type Code = Uint8Array<ArrayBuffer> | WebAssembly.Module

/** Pages that are not isolated have no shared memory; nor have modules of a platform without threads, see scripts/assets.mjs. */
const isShared = (code: Code): boolean => code instanceof Uint8Array && typeof SharedArrayBuffer !== 'undefined'

export const emptyMemory = (code: Code): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 1, maximum: MAX_BYTES / PAGE, shared: isShared(code) })

/** Whether the engine runs it; a platform that compiles beforehand leaves out what it cannot. */
export const isValid = (code: Code | undefined): code is Code =>
  code instanceof Uint8Array ? WebAssembly.validate(code) : code !== undefined

export async function compile(code: Code): Promise<WebAssembly.Module> {
  return code instanceof Uint8Array ? WebAssembly.compile(fitting(code)).catch(refused) : code
}

/** What a page's policy forbids is told with what allows it. WebKit compiles in any page, and refuses to instantiate. */
function refused(error: unknown): never {
  if (!/content.security.policy|unsafe-eval|CSP/i.test(String(error))) throw error
  throw new BertletError(
    'unsupported',
    "the page's Content-Security-Policy refuses WebAssembly",
    "Add 'wasm-unsafe-eval' to its script-src",
    { cause: error },
  )
}

export function compileNow(code: Code): WebAssembly.Module {
  return code instanceof Uint8Array ? new WebAssembly.Module(fitting(code)) : code
}

/** One binary serves shared and unshared memory: its import names the memory, and a byte that says which. */
function fitting(code: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (isShared(code)) return code
  const [name, unshared] = ['memory', code.slice()]
  let at = 0
  while (at < code.length && !Array.from(name).every((c, i) => code[at + i] === c.charCodeAt(0))) at++
  // Behind the name: 2, a memory; then its limits, 3 for shared with a maximum, 1 for a maximum.
  unshared[at + name.length + 1] = 1
  return unshared
}

export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Kernels> {
  return kernelsOf((await WebAssembly.instantiate(module, { env: { memory } }).catch(refused)).exports)
}

export function instantiateNow(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return kernelsOf(new WebAssembly.Instance(module, { env: { memory } }).exports)
}

function kernelsOf(exports: WebAssembly.Exports): Kernels {
  const constant = (name: string): number => {
    const value = exports[name] as number | WebAssembly.Global
    return Number(typeof value === 'object' ? value.value : value)
  }
  return {
    ...(exports as unknown as Kernels),
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
