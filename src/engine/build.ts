// Which build of the kernels runs: chosen once per process and precision.
import simd from '../../build/simd.wasm'
import { BertletError } from '../errors.ts'
import { compile, compileNow, emptyMemory, instantiateNow, isValid, type Code } from './module.ts'

/** `exact`: the same bits on every engine. `fast`: one rounding a multiply-add where the engine has it; the same bits only on one engine. */
export type Precision = 'exact' | 'fast'

export type BuildName = 'simd' | 'fast'

export interface Build {
  readonly name: BuildName
  readonly why: string
  readonly module: WebAssembly.Module
  /** What `module` was made of, which says what memory it takes. */
  readonly code: Code
}

const chosen = new Map<Precision, Build>()
const compiling = new Map<Precision, Promise<Build>>()

/** Compiles the build that this engine runs for a precision, once per process. */
export function build(precision: Precision): Promise<Build> {
  const present = compiling.get(precision)
  if (present) return present
  const started = precision === 'fast' ? compileFast() : compileExact()
  compiling.set(precision, started)
  // What failed is tried again by the next who asks.
  started.catch(() => compiling.delete(precision))
  return started
}

/** The same at once, for a model that is made and not loaded. */
export function buildNow(precision: Precision): Build {
  const present = chosen.get(precision)
  if (present) return present
  if (precision === 'exact') return exactOf(compileNow(checked()))
  throw new BertletError(
    'invalid_argument',
    `precision: expected the kernels of 'fast' to be loaded, and a constructor cannot wait for them`,
    `Await prepare('fast') first; fromPretrained() does it by itself`,
  )
}

/**
 * Loads and compiles the kernels of a precision ahead of time: what `new BertModel(config, { precision: 'fast' })` needs, since a
 * constructor cannot wait. Says which build will run, and why.
 */
export async function prepare(precision: Precision): Promise<{ name: string; why: string }> {
  if (precision !== 'exact' && precision !== 'fast') {
    throw new BertletError('invalid_argument', `prepare: expected 'exact' or 'fast', got ${String(precision)}`)
  }
  const { name, why } = await build(precision)
  return { name, why }
}

async function compileExact(): Promise<Build> {
  return exactOf(await compile(checked()))
}

function exactOf(module: WebAssembly.Module): Build {
  const present = chosen.get('exact')
  if (present) return present
  const made: Build = { name: 'simd', why: 'exact f32: plain SIMD gives the same bits on every engine', module, code: simd }
  chosen.set('exact', made)
  return made
}

async function compileFast(): Promise<Build> {
  const made = await fastOrWhy()
  const build: Build = typeof made === 'string' ? { ...(await compileExact()), why: made } : made
  chosen.set('fast', build)
  return build
}

/** The `fast` build, or why `simd` runs in its place. */
async function fastOrWhy(): Promise<Build | string> {
  // Who does not ask for it never loads its bytes.
  const { default: code } = await import('./fast.ts')
  if (!isValid(code)) return 'precision fast was asked for, but this engine has no relaxed SIMD: exact instead'
  const module = await compile(code)
  return fastBuild(module, code, instantiateNow(module, emptyMemory(code)).selfTest())
}

/** @internal What the self-test of the `fast` build decides. */
export function fastBuild(module: WebAssembly.Module, code: Code, failed: number): Build | string {
  if (failed === 0)
    return {
      name: 'fast',
      why: 'as asked: multiply-adds of one rounding, which pass their self-test; bits may differ on another engine',
      module,
      code,
    }
  return `precision fast was asked for, but relaxed instruction ${failed} fails its self-test here: exact instead`
}

function checked(): Code {
  if (isValid(simd)) return simd
  throw new BertletError(
    'unsupported',
    'this engine refuses the kernels: they need WebAssembly SIMD and atomics',
    'Use Node 20 or later, or a browser of 2023 or later',
  )
}
