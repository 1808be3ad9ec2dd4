// The forward of sentence embeddings over all texts of a step, and the loss that couples them. Texts run in chunks; the loss is one small plan over their
// embeddings, so its bits, and those of the gradients that it gives each text, do not depend on the cut (the way of GradCache, Gao and others 2021).
import type { Program } from '../engine/engine.ts'
import { expected, flagOf, Words } from '../errors.ts'
import { gradients } from '../graph/gradients.ts'
import { Graph } from '../graph/graph.ts'
import { fuse } from '../graph/fuse.ts'
import { lower, type Plan } from '../graph/plan.ts'
import { TOKENS, type Dims, type Tensor } from '../graph/tensor.ts'
import { bert, sentencePool } from '../models/bert.ts'
import { chunkInputs } from '../models/collect.ts'
import { Dropout, dropoutInputs } from '../models/dropout.ts'
import type { Loaded } from '../models/load.ts'
import { boundOf, within, type Prepared } from './prepared.ts'
import { columnRows, lossPlan, lossSite, type LossPlan, type SentenceLoss, type SentenceLossName } from './sentence-losses.ts'

/** How texts become vectors, and what is learnt. */
export interface SentenceOptions {
  readonly loss: SentenceLossName | SentenceLoss
  /** 'mean' (default) or 'cls', as sentence-transformers' Pooling has it. */
  readonly pooling?: 'mean' | 'cls'
  /** False; true where the model has a Normalize module behind its pooling. */
  readonly normalize?: boolean
}

/** A part of a step: `columns` texts an example, one after the other. */
export interface PreparedSentences extends Prepared {
  readonly columns: number
  readonly labels: Float32Array | undefined
}

/** What masks of dropout are drawn from. */
interface Draw {
  readonly seed: number
  readonly step: number
}

let nextId = 1

export class SentencePass {
  readonly plan: LossPlan
  readonly pooling: 'mean' | 'cls'
  readonly normalize: boolean
  private readonly key: string
  private bound: Dims | undefined
  private texts: Dims | undefined

  constructor(
    private readonly loaded: Loaded,
    { loss, pooling = 'mean', normalize = false }: SentenceOptions,
    private readonly dropout: boolean,
  ) {
    this.plan = lossPlan(loss)
    if (pooling !== 'mean' && pooling !== 'cls') throw expected('pooling', 'mean or cls', pooling)
    flagOf('normalize', normalize)
    this.pooling = pooling
    this.normalize = normalize
    this.key = `${loaded.id}|sentences${nextId++}.`
  }

  /** [B][H] before the loss makes their length 1. */
  graph(g: Graph): Tensor {
    const { config, trunk, attention } = this.loaded
    const drop = this.dropout ? new Dropout(g) : undefined
    return sentencePool(g, bert(g, config, trunk, { drop, attention }).hidden.at(-1)!, this.pooling)
  }

  /** The embeddings of all texts of a step, [n * columns][H]. `bound`: dims that hold every chunk. */
  async embed(parts: readonly PreparedSentences[], draw: Draw, signal: AbortSignal | undefined, bound?: Dims): Promise<Float32Array> {
    const { engine, config, budget } = this.loaded
    const fits = this.texts !== undefined && within(parts, this.texts)
    const wanted = bound ?? (fits ? this.texts! : boundOf(parts, budget, this.texts))
    if (wanted !== this.texts) engine.forget(`${this.key}embed`)
    this.texts = wanted
    const h = config.hidden_size
    const texts = parts.reduce((sum, { batch }) => sum + batch.rows, 0)
    const all = new Float32Array(texts * h)
    for (const { batch, chunk, first } of this.chunks(parts)) {
      await engine.exclusively(async () => {
        const program = engine.program(`${this.key}embed`, wanted, () => this.embedGraph())
        const masks = this.dropout ? dropoutInputs(batch, chunk, { first, ...draw }) : {}
        await engine.run(program, chunk.dims, { ...chunkInputs(batch, chunk, undefined), ...masks }, { signal })
        all.set(engine.output(program, 'embeddings', chunk.dims), (first + chunk.firstSequence) * h)
      })
    }
    return all
  }

  private embedGraph(): Graph {
    const g = new Graph()
    g.output('embeddings', this.graph(g))
    fuse(g)
    return g
  }

  /** The plans of embed() and loss(), for chunks of `bound` and as many examples, whatever their labels. */
  plans(bound: Dims, examples: number, columns: number): Plan[] {
    const { tile } = this.loaded.engine.store.kernels
    const squares = this.plan.comparisons(Float32Array.from({ length: examples }, (_, i) => i))
    const dims = powers(lossDims(examples, columns, squares))
    return [lower(this.embedGraph(), bound, tile, () => 0), lower(this.lossGraph(columns), dims, tile, () => 0)]
  }

  /** Every chunk of a step; `first` counts the texts before its part. */
  *chunks(parts: readonly PreparedSentences[]): Generator<{ batch: Prepared['batch']; chunk: Prepared['chunks'][number]; first: number }> {
    let first = 0
    for (const { batch, chunks } of parts) {
      for (const chunk of chunks) yield { batch, chunk, first }
      first += batch.rows
    }
  }

  /** The loss, and its gradient by each embedding. */
  async loss(
    embeddings: Float32Array,
    parts: readonly PreparedSentences[],
    signal: AbortSignal | undefined,
  ): Promise<{ loss: number; gradient: Float32Array }> {
    const { engine } = this.loaded
    const { columns } = parts[0]!
    const examples = parts.reduce((sum, { batch }) => sum + batch.rows, 0) / columns
    const labels = this.plan.labels ? joined(parts.map((part) => part.labels!)) : undefined
    const dims = lossDims(examples, columns, this.plan.comparisons(labels))
    return engine.exclusively(async () => {
      const program = this.lossProgram(columns, dims)
      const inputs = { embeddings, ...columnRows(examples, columns), ...this.plan.inputs(examples, labels), loss: Float32Array.of(0) }
      await engine.run(program, dims, inputs, { signal })
      const loss = engine.output(program, 'loss', dims)[0]!
      return { loss, gradient: engine.output(program, 'gradient', dims).slice() }
    })
  }

  private lossProgram(columns: number, dims: Dims): Program {
    const { engine } = this.loaded
    const names = Object.keys(dims) as (keyof Dims)[]
    const { bound } = this
    if (bound === undefined || names.some((name) => dims[name] > bound[name])) {
      this.bound = powers(dims, bound)
      engine.forget(`${this.key}loss`)
    }
    return engine.program(`${this.key}loss|${columns}`, this.bound!, () => this.lossGraph(columns))
  }

  private lossGraph(columns: number): Graph {
    const g = new Graph()
    const embeddings = g.input('embeddings', [TOKENS, this.loaded.config.hidden_size], 'f32')
    const total = g.input('loss', [1], 'f32')
    this.plan.build(g, lossSite(g, embeddings, { columns, normalize: this.normalize }, total))
    const { ofInputs } = gradients(g, [total], { inputs: [embeddings] })
    g.output('loss', total)
    g.output('gradient', ofInputs[0]!)
    return g
  }

  /** Gives the plans back. */
  forget(): void {
    this.loaded.engine.forget(this.key)
    this.bound = undefined
    this.texts = undefined
  }
}

const lossDims = (examples: number, columns: number, squares: number): Dims => ({
  tokens: examples * columns,
  sequences: examples,
  longest: 1,
  squares,
  selected: examples * (columns - 1),
})

/** Room for these and what came before. */
const powers = (dims: Dims, before?: Dims): Dims =>
  Object.fromEntries(
    Object.entries(dims).map(([name, n]) => [name, up(Math.max(n as number, before?.[name as keyof Dims] ?? 1))]),
  ) as unknown as Dims

/** The next power of two: few plans serve all steps. */
function up(n: number): number {
  let size = 1
  while (size < n) size *= 2
  return size
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Checks that parts have as many texts an example as the loss takes. */
export function checkColumns({ name, columns: [least, most] }: LossPlan, columns: number): void {
  if (columns >= least && columns <= most) return
  const wanted = least === most ? `${least}` : `${least} or more`
  throw expected('input_ids', `${wanted} texts an example, for ${name}`, new Words(`${columns}`), 'Write them as [B, texts, L]')
}
