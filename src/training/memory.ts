import { alignUp } from '../engine/allocator.ts'
import { runBytes, SYNC_BYTES, type Engine } from '../engine/engine.ts'
import { MAX_BYTES } from '../engine/module.ts'
import { weightBytes } from '../engine/store.ts'
import { BertletError, expected } from '../errors.ts'
import { lower, type Plan } from '../graph/plan.ts'
import type { Dims } from '../graph/tensor.ts'
import { NO_DIMS, type Held, type TrainingGraphs } from './graphs.ts'

/** Bytes of a training. */
export interface TrainingMemory {
  /** Of the model. */
  readonly weights: number
  /** With the second sum of a tied word table, the sums of squares and the losses. */
  readonly gradients: number
  readonly moments: number
  /** Activations and scratch of the largest chunk. */
  readonly arena: number
  readonly plan: number
  /** All of it, with the little that the kernels keep for themselves. */
  readonly total: number
  /** Whether each encoder layer's activations are computed again in the backward pass. */
  readonly gradient_checkpointing: boolean
}

/** The bytes, by the planner that lays them out. `weights` are those of the parameters, in the store or to come. */
export function trainingMemory(
  graphs: TrainingGraphs,
  bound: Dims,
  recomputation: boolean,
  weights: number,
  { store, threads }: Pick<Engine, 'store' | 'threads'>,
  beside: readonly Plan[] = [],
): TrainingMemory & { readonly plans: readonly number[] } {
  const { base, tile } = store.kernels
  const sum = (part: Held['part']): number =>
    graphs.held.reduce((all, spec) => all + (spec.part === part ? alignUp(weightBytes(spec)) : 0), 0)
  const [gradients, moments] = [sum('gradient'), sum('moment')]
  const lowered = [
    ...beside,
    ...Object.values(graphs.fixed).map((graph) => lower(graph, NO_DIMS, tile, () => 0)),
    lower(graphs.step(recomputation), bound, tile, () => 0),
  ]
  const plans = lowered.map((plan) => alignUp(plan.words.byteLength))
  const arena = Math.max(...lowered.map((plan) => runBytes(plan, threads)))
  const plan = plans.reduce((all, bytes) => all + bytes, 0)
  const total = alignUp(base) + SYNC_BYTES + weights + gradients + moments + arena + plan
  return { weights, gradients, moments, arena, plan, total, gradient_checkpointing: recomputation, plans }
}

/** What is asked for of a training's memory. */
export interface MemoryOptions {
  /**
   * Whether each encoder layer's activations are computed again in the backward pass: a third more work, far less memory, the same bits.
   * `auto`, the default: only when it would not fit otherwise.
   */
  readonly gradient_checkpointing?: boolean | 'auto'
  /** Bytes that the model's memory may grow to; by default, and at most, the 4 GiB of wasm32. */
  readonly max_memory?: number
}

/** A training that may grow. */
export interface MemoryRequest extends Required<MemoryOptions> {
  readonly graphs: TrainingGraphs
  readonly bound: Dims
  /** The model's: bytes, and whether the store has them. */
  readonly weights: readonly { readonly bytes: number; readonly held: boolean }[]
  /** Of its plan that a new one takes the place of. */
  readonly key: string
  /** Whether the store holds its states and fixed plans already. */
  readonly begun: boolean
  /** For the message. */
  readonly what: string
  readonly budget: number
  /** What steps run beside these graphs. */
  readonly beside?: readonly Plan[]
}

interface Candidate extends TrainingMemory {
  /** Where the memory would end. */
  readonly end: number
}

function candidate(engine: Engine, { graphs, bound, weights, key, begun, beside }: MemoryRequest, recomputation: boolean): Candidate {
  const all = weights.reduce((sum, { bytes }) => sum + bytes, 0)
  const { plans, ...memory } = trainingMemory(graphs, bound, recomputation, all, engine, beside)
  const toCome = weights.flatMap(({ bytes, held }) => (held ? [] : [bytes]))
  const states = graphs.held.filter(({ part }) => part !== 'parameter').map(weightBytes)
  const end = engine.rehearse(key, begun ? plans.slice(-1) : [...toCome, ...states, ...plans], memory.arena)
  return { ...memory, end }
}

const candidates = (engine: Engine, request: MemoryRequest): Candidate[] => {
  const { gradient_checkpointing: wanted } = request
  return (wanted === 'auto' ? [false, true] : [wanted]).map((recomputation) => candidate(engine, request, recomputation))
}

/** What a training would take. */
export function chooseMemory(engine: Engine, request: MemoryRequest): TrainingMemory {
  const found = candidates(engine, request)
  const { end: _, ...memory } = found.find(({ end }) => end <= request.max_memory) ?? found.at(-1)!
  return memory
}

/** The same, with the memory grown for it in one go; refused before anything is allocated when it does not fit. */
export function takeMemory(engine: Engine, request: MemoryRequest): TrainingMemory {
  const { max_memory, gradient_checkpointing, graphs, bound, what, budget } = request
  const found = candidates(engine, request)
  for (const { end, ...memory } of found) if (end <= max_memory && engine.store.grow(end)) return memory
  const { weights, gradients, moments, arena, end } = found.at(-1)!
  const less = gradient_checkpointing === false ? candidate(engine, request, true) : undefined
  const could = end <= max_memory ? `the memory cannot grow beyond ${engine.store.bytes} now` : `${max_memory} is the most`
  const ways = [
    ...(less && less.end < end ? [`set gradient_checkpointing: true (then ${less.end} bytes)`] : []),
    bound.sequences > 1
      ? `load the model with a smaller budget, now ${budget} tokens at once, or make batches smaller`
      : 'shorten the texts',
    ...(graphs.trained.size > 1 ? ['train fewer parameters with trainable'] : []),
  ]
  throw new BertletError(
    'out_of_memory',
    `${what}: chunks of ${bound.tokens} tokens need ${end} bytes of memory, and ${could} ` +
      `(weights ${weights}, gradients ${gradients}, moments ${moments}, activations ${arena})`,
    `Nothing was allocated. To lower it, ${ways.join('; or ')}`,
  )
}

/** Checks what is asked for and gives its defaults. */
export function memoryDefaults({ gradient_checkpointing = 'auto', max_memory = MAX_BYTES }: MemoryOptions): Required<MemoryOptions> {
  if (![true, false, 'auto'].includes(gradient_checkpointing))
    throw expected('gradient_checkpointing', "true, false or 'auto'", gradient_checkpointing)
  if (!(max_memory > 0)) throw expected('max_memory', 'a number of bytes above 0', max_memory)
  return { gradient_checkpointing, max_memory: Math.min(max_memory, MAX_BYTES) }
}
