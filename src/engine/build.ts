// Which build of the kernels runs: chosen once per process and precision.
import simd from '../../build/inference.wasm'
import { BertletError } from '../errors.ts'
import { compile, compileNow, emptyMemory, instantiateNow, isValid, type Code } from './module.ts'

/** `exact`: the same bits on every engine. `fast`: one rounding a multiply-add where the engine has it; the same bits only on one engine. */
export type Precision = 'exact' | 'fast'

/** What the matrices are held in. */
export type WeightDtype = 'f32' | 'int8' | 'int4'

export type BuildName = 'simd' | 'dot' | 'fast'

export interface Build {
  readonly name: BuildName
  readonly why: string
  readonly module: WebAssembly.Module
  /** What `module` was made of, which says what memory it takes. */
  readonly code: Code
  /** Rows of a GEMM tile, once a few runs have shown which are quicker; 0 before, and where there is nothing to find out. */
  tile: number
}

/** What is asked for: `dot` by exact integers. */
type Wish = Precision | 'dot'
const wishOf = (precision: Precision, dtype: WeightDtype): Wish => (precision === 'exact' && dtype !== 'f32' ? 'dot' : precision)

const chosen = new Map<Wish, Build>()
const compiling = new Map<Wish, Promise<Build>>()

/** Compiles the build that this engine runs for a precision and weights, once per process. */
export function build(precision: Precision, dtype: WeightDtype = 'f32'): Promise<Build> {
  const wish = wishOf(precision, dtype)
  const present = compiling.get(wish)
  if (present) return present
  const started = wish === 'exact' ? compileExact() : compileRelaxed(wish)
  compiling.set(wish, started)
  // What failed is tried again by the next who asks.
  started.catch(() => compiling.delete(wish))
  return started
}

/** The same at once, for a model that is made and not loaded. */
export function buildNow(precision: Precision, dtype: WeightDtype = 'f32'): Build {
  const present = chosen.get(wishOf(precision, dtype))
  if (present) return present
  if (precision === 'exact') {
    const made = exactOf(compileNow(checked()))
    return dtype === 'f32'
      ? made
      : { ...made, why: 'exact integers: a constructor cannot wait for other kernels; these give the same bits' }
  }
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
  const made: Build = { name: 'simd', why: 'exact f32: plain SIMD gives the same bits on every engine', module, code: simd, tile: 0 }
  chosen.set('exact', made)
  return made
}

async function compileRelaxed(wish: 'fast' | 'dot'): Promise<Build> {
  const made = await relaxedOrWhy(wish)
  const build: Build = typeof made === 'string' ? { ...(await compileExact()), why: made } : made
  chosen.set(wish, build)
  return build
}

const trainers = new Map<BuildName, Promise<Build>>()

/** A build like another that knows training's ops too. Who does not train never loads its bytes. */
export function trainer({ name: asked, why }: Build): Promise<Build> {
  const name = asked === 'fast' ? 'fast' : 'simd'
  const load = async (): Promise<Build> => {
    const { default: code } = await (name === 'fast' ? import('./training-fast.ts') : import('./training.ts'))
    return { name, why, module: await compile(checked(code)), code, tile: 0 }
  }
  const present = trainers.get(name)
  if (present) return present
  const started = load()
  trainers.set(name, started)
  started.catch(() => trainers.delete(name))
  return started
}

const ASKED = {
  fast: {
    what: 'precision fast was asked for, but',
    otherwise: 'exact instead',
    why: 'as asked: multiply-adds of one rounding, which pass their self-test; bits may differ on another engine',
  },
  dot: {
    what: 'exact integers:',
    otherwise: 'plain SIMD gives the same bits',
    why: 'exact integers: products of four bytes a lane, which pass their self-test; the bits are those of plain SIMD',
  },
} as const

/** A build with relaxed instructions, or why `simd` runs in its place. */
async function relaxedOrWhy(wish: 'fast' | 'dot'): Promise<Build | string> {
  // Who does not ask for it never loads its bytes.
  const { default: code } = await (wish === 'fast' ? import('./fast.ts') : import('./dot.ts'))
  const { what, otherwise } = ASKED[wish]
  if (!isValid(code)) return `${what} this engine has no relaxed SIMD: ${otherwise}`
  const module = await compile(code)
  return relaxedBuild(wish, module, code, instantiateNow(module, emptyMemory(code)).selfTest())
}

/** @internal What the self-test of a build decides. */
export function relaxedBuild(wish: 'fast' | 'dot', module: WebAssembly.Module, code: Code, failed: number): Build | string {
  const { what, otherwise, why } = ASKED[wish]
  if (failed === 0) return { name: wish, why, module, code, tile: 0 }
  return `${what} relaxed instruction ${failed} fails its self-test here: ${otherwise}`
}

function checked(code: Code = simd): Code {
  if (isValid(code)) return code
  throw new BertletError(
    'unsupported',
    'this engine refuses the kernels: they need WebAssembly SIMD and atomics',
    'Use Node 20 or later, or a browser of 2023 or later',
  )
}
