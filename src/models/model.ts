import { Callable } from '../callable.ts'
import { currentRuntime, Engine, resolveThreads, runBytes, SYNC_BYTES, type Program } from '../engine/engine.ts'
import { weightBytes } from '../engine/store.ts'
import { Graph } from '../graph/graph.ts'
import { fuse } from '../graph/fuse.ts'
import { lower } from '../graph/plan.ts'
import type { Dims } from '../graph/tensor.ts'
import type { Source } from '../weights/source.ts'
import { chunks, roundUp, type PackedBatch } from './batch.ts'
import { chunkInputs, Collector } from './collect.ts'
import { BertConfig } from './config.ts'
import { checkLoadOptions, openSource, readConfig, type AttentionImplementation, type Loaded, type LoadOptions } from './load.ts'
import type { ParameterSpec } from './parameters.ts'
import type { Tensor } from './tensor.ts'

/** What a model was loaded as and runs as, and why. */
export interface ModelInfo {
  readonly model: string
  readonly architecture: string
  readonly runtime: string
  readonly build: { readonly name: string; readonly why: string }
  readonly dtype: { readonly name: 'f32'; readonly why: string }
  readonly threads: { readonly count: number; readonly why: string }
  readonly attention: { readonly name: AttentionImplementation; readonly why: string }
  readonly tile: { readonly name: string; readonly why: string }
  readonly parameters: number
  readonly bytes: { readonly weights: number; readonly arena: number; readonly memory: number }
  /** Tensors of the file that the model has no use for. */
  readonly unexpected: readonly string[]
}

/** Bytes, told before anything is loaded. */
export interface Estimate {
  readonly weights: number
  /** Activations and scratch of a full chunk. */
  readonly arena: number
  readonly plan: number
  readonly total: number
}

/** A variant of a model's graph: what is computed and kept. Variants of equal key are equal. */
export interface Variant {
  readonly key: string
  readonly attention: AttentionImplementation
  readonly build: (g: Graph) => void
}

/** A graph over a store. Subclasses say which parameters they have and build their variants. */
export abstract class BertPreTrainedModel extends Callable {
  readonly config: BertConfig
  protected readonly engine: Engine
  protected readonly attention: AttentionImplementation
  private readonly loaded: Loaded

  constructor(loaded: Loaded) {
    super()
    this.config = loaded.config
    this.engine = loaded.engine
    this.attention = loaded.attention
    this.loaded = loaded
  }

  /** What runs, and why each was chosen. */
  info(): ModelInfo {
    const { name, held, threadsWhy, attention, unexpected } = this.loaded
    const { store, threads, arenaBytes } = this.engine
    store.assertLive()
    const { mc, kc, mr, nr } = store.kernels.tile
    return {
      model: name,
      architecture: this.constructor.name,
      runtime: currentRuntime().name,
      build: { name: store.build.name, why: store.build.why },
      dtype: { name: 'f32', why: 'the default: the numbers of the reference' },
      threads: { count: threads, why: threadsWhy },
      attention: { name: attention, why: attention === 'sdpa' ? 'fused; a call with output_attentions runs eager' : 'as asked' },
      tile: { name: `${mr}x${nr}`, why: `what fits the registers; blocks of ${mc} rows and ${kc} columns fit the cache` },
      parameters: held.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0),
      bytes: { weights: store.weightBytes, arena: arenaBytes, memory: store.bytes },
      unexpected,
    }
  }

  /** Gives weights and memory back; calls in progress end first. A second call does nothing. */
  async dispose(): Promise<void> {
    if (!this.engine.store.live) return
    await this.engine.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  /** Runs a variant over all chunks of a batch and brings every output back in the caller's shape. */
  async compute(variant: Variant, batch: PackedBatch, signal?: AbortSignal): Promise<Record<string, Tensor>> {
    const outputs = new Map<string, Collector>()
    for (const chunk of chunks(batch, this.loaded.budget)) {
      await this.engine.exclusively(async () => {
        signal?.throwIfAborted()
        const program = this.program(variant, chunk.dims)
        await this.engine.run(program, chunk.dims, chunkInputs(batch, chunk), { signal })
        for (const [name, { tensor }] of program.plan.outputs) {
          let collector = outputs.get(name)
          if (collector === undefined) outputs.set(name, (collector = new Collector(tensor, batch)))
          collector.add(this.engine.output(program, name, chunk.dims), chunk)
        }
      })
    }
    return Object.fromEntries([...outputs].map(([name, { tensor }]) => [name, tensor]))
  }

  private program(variant: Variant, dims: Dims): Program {
    const bound = roundUp(dims)
    const key = `${variant.key}|${variant.attention}|${bound.tokens}|${bound.sequences}|${bound.longest}`
    return this.engine.program(key, bound, () => inferenceGraph(variant))
  }
}

function inferenceGraph(variant: Variant): Graph {
  const g = new Graph()
  variant.build(g)
  fuse(g, { attention: variant.attention })
  return g
}

/** The bytes that a model takes, by the same planner that will lay it out; only the config is read. */
export async function estimate(
  from: string | Source | BertConfig,
  model: {
    parameters: (config: BertConfig) => ParameterSpec[]
    variant: (config: BertConfig, attention: AttentionImplementation) => Variant
  },
  options: LoadOptions = {},
): Promise<Estimate> {
  const { budget, attention } = checkLoadOptions(options)
  const { threads } = resolveThreads(options.threads)
  const config = from instanceof BertConfig ? from : await readConfig(openSource(from), options.signal)
  const engine = await Engine.create(0)
  try {
    const { base, tile } = engine.store.kernels
    const longest = Math.min(budget, config.max_position_embeddings)
    const sequences = Math.max(1, Math.floor(budget / longest))
    const bound = roundUp({ tokens: budget, sequences, longest, squares: 0, selected: sequences })
    const plan = lower(inferenceGraph(model.variant(config, attention)), bound, tile, () => 0)
    const weights = model
      .parameters(config)
      .reduce((sum, { shape, layout }) => sum + weightBytes({ shape, layout: layout === 'panel' ? 'panel' : 'rows' }), 0)
    const arena = runBytes(plan, threads)
    const total = base + SYNC_BYTES + weights + plan.words.byteLength + arena
    return { weights, arena, plan: plan.words.byteLength, total }
  } finally {
    await engine.dispose()
  }
}
