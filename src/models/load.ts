import { FileType } from '../../assembly/abi.ts'
import { currentRuntime, Engine, resolveThreads } from '../engine/engine.ts'
import type { Weight } from '../engine/store.ts'
import { BertletError, checkOptions, expected, nearest } from '../errors.ts'
import { loadTensors, type FloatDtype, type ProgressEvent, type WeightSink } from '../weights/load.ts'
import type { Source } from '../weights/source.ts'
import { BertConfig } from './config.ts'
import type { ParameterSpec } from './parameters.ts'

export type AttentionImplementation = 'eager' | 'sdpa'

export interface LoadOptions {
  /** Compute workers; one per core by default. 0 computes on the calling thread, in slices. */
  readonly threads?: number
  /** `f32`, the same as `fp32`. */
  readonly dtype?: 'f32' | 'fp32'
  /** `sdpa` (default): fused, never stores the scores. `eager`: the plain chain of ops. */
  readonly attn_implementation?: AttentionImplementation
  /** Most tokens that are computed together, 1024 by default. Bounds memory; the results do not depend on it. */
  readonly budget?: number
  readonly signal?: AbortSignal
  readonly progress_callback?: (event: ProgressEvent) => void
}

export const LOAD_OPTIONS: readonly (keyof LoadOptions)[] = [
  'threads',
  'dtype',
  'attn_implementation',
  'budget',
  'signal',
  'progress_callback',
]

/** A loaded checkpoint: what the constructors of models take. */
export interface Loaded {
  readonly name: string
  readonly config: BertConfig
  readonly engine: Engine
  readonly held: readonly Weight[]
  readonly threadsWhy: string
  readonly attention: AttentionImplementation
  readonly budget: number
  /** Tensors of the file that the model has no use for. */
  readonly unexpected: readonly string[]
}

/** Reads the config, plans the weights' memory, checks the file against it and streams it in. */
export async function load(
  from: string | Source,
  parameters: (config: BertConfig) => ParameterSpec[],
  options: LoadOptions = {},
): Promise<Loaded> {
  const { budget, attention } = checkLoadOptions(options)
  const { signal, progress_callback: progress } = options
  signal?.throwIfAborted()
  const source = openSource(from)
  const config = await readConfig(source, signal)
  const { threads, why } = resolveThreads(options.threads)
  const engine = await Engine.create(threads)
  try {
    const specs = parameters(config)
    let held: Weight[] = []
    const sink = new StoreSink(engine, () => {
      held = specs.map(({ name, shape, layout }) => engine.store.hold({ name, shape, layout: layout === 'panel' ? 'panel' : 'rows' }))
      return held
    })
    try {
      const { unexpected } = await loadTensors(source, specs, sink, { signal, progress })
      return { name: source.name, config, engine, held, threadsWhy: why, attention, budget, unexpected }
    } finally {
      sink.close()
    }
  } catch (error) {
    await engine.dispose()
    throw error
  }
}

export function openSource(from: string | Source): Source {
  if (typeof from === 'string' && from !== '') return currentRuntime().source(from)
  if (typeof from === 'object' && from !== null && typeof from.open === 'function') return from
  throw expected('model', 'the path of a folder, the name of an npm package, or a source', from)
}

/** Checks the options of fromPretrained() and gives their defaults. */
export function checkLoadOptions(options: LoadOptions): { budget: number; attention: AttentionImplementation } {
  checkOptions('fromPretrained', options, LOAD_OPTIONS)
  const { dtype = 'f32', attn_implementation: attention = 'sdpa', budget = 1024 } = options
  oneOf('dtype', dtype, ['f32', 'fp32'])
  oneOf('attn_implementation', attention, ['sdpa', 'eager'])
  if (!Number.isInteger(budget) || budget < 1) throw expected('budget', 'a whole number of tokens, 1 or more', budget)
  return { budget, attention }
}

function oneOf(name: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return
  const near = typeof value === 'string' ? nearest(value, known) : undefined
  throw expected(name, `one of ${known.join(', ')}`, value, near && `Did you mean ${near}?`)
}

export async function readConfig(source: Source, signal?: AbortSignal): Promise<BertConfig> {
  const text = await source.text('config.json', { signal })
  if (text !== undefined) return BertConfig.parse(text)
  throw new BertletError(
    'not_found',
    `${source.name}: expected a file config.json, found none`,
    'Give the folder of a Hugging Face BERT checkpoint: config.json, model.safetensors, and tokenizer.json or vocab.txt',
  )
}

/** Packs file rows, read straight into a window of wasm memory, into the resident layout. Weights are reserved when the file has been checked. */
class StoreSink implements WeightSink {
  private window: number | undefined
  private weights = new Map<string, Weight>()

  constructor(
    private readonly engine: Engine,
    private readonly reserve: () => readonly Weight[],
  ) {}

  staging(bytes: number): Uint8Array {
    const { store } = this.engine
    this.weights = new Map(this.reserve().map((weight) => [weight.name, weight]))
    this.window = store.allocate(bytes, 'the load window')
    return store.view(Uint8Array, this.window, bytes)
  }

  rows(name: string, dtype: FloatDtype, row0: number, rows: number, bytes: Uint8Array): void {
    this.engine.store.pack(this.weights.get(name)!, FILE_TYPES[dtype], bytes.byteOffset, row0, rows)
  }

  close(): void {
    if (this.window !== undefined) this.engine.store.release(this.window)
    this.window = undefined
  }
}

const FILE_TYPES: Readonly<Record<FloatDtype, FileType>> = { F32: FileType.F32, F16: FileType.F16, BF16: FileType.BF16 }
