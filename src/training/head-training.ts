import { alignUp } from '../engine/allocator.ts'
import { weightBytes } from '../engine/store.ts'
import { BertletError, checkOptions, expected, Words } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import type { Tensor as Symbolic } from '../graph/tensor.ts'
import type { LoraConfig } from '../models/adapter-config.ts'
import { chunkInputs } from '../models/collect.ts'
import { BertConfig } from '../models/config.ts'
import { Dropout, dropoutInputs } from '../models/dropout.ts'
import { Loaded, weightless } from '../models/load.ts'
import { lossKey, type LossTerm } from '../models/labels.ts'
import { lossInputs, lossScales, lossGraph } from '../models/losses.ts'
import { seldom, type BertPreTrainedModel, type ModelClass } from '../models/model.ts'
import { LABEL_OPTIONS, withLabels, type LabelOptions, type RunOptions } from '../models/options.ts'
import { residentLayout } from '../models/parameters.ts'
import { toHuggingFace } from '../weights/names.ts'
import { trainingGraphs, type TrainingGraphs } from './graphs.ts'
import { chooseMemory, memoryDefaults, takeMemory, type MemoryOptions, type MemoryRequest, type TrainingMemory } from './memory.ts'
import { ADAMW_OPTIONS, adamWDefaults, clipFactor, layerScale, moments, type AdamW } from './optimizer.ts'
import type { AdamWOptions, OptimizerCounters } from './optimizer.ts'
import { boundOf, prepare, within, type Prepared, type TrainingInputs } from './prepared.ts'
import { trainableOf, type Trainable } from './trainable.ts'
import { TrainingSession, type GradientNorms } from './session.ts'
import { inputsOfShape, type BatchShape } from './shape.ts'

export type { TrainingInputs } from './prepared.ts'

export interface HeadTrainingOptions extends AdamWOptions, MemoryOptions {
  /** Which parameters are trained; all by default, of a model with an adapter all of the adapter's. Its base is frozen. */
  readonly trainable?: Trainable
  /** Whether the config's dropout is on; true by default. */
  readonly dropout?: boolean
  /** Of dropout; 0 by default. */
  readonly seed?: number
  /** The learning rate falls by this factor with every layer below the head; 1, the default, is the same rate for all. */
  readonly layer_lr_decay?: number
}

const HEAD_TRAINING_OPTIONS: readonly (keyof HeadTrainingOptions)[] = [
  ...ADAMW_OPTIONS,
  'trainable',
  'dropout',
  'seed',
  'layer_lr_decay',
  'gradient_checkpointing',
  'max_memory',
]

/** What a step began with. */
export interface StepResult {
  readonly loss: number
  /** Of all gradients together, before they are clipped. */
  readonly grad_norm: number
}

/** A moment of a parameter, as a checkpoint holds it. */
export interface OptimizerState {
  /** Hugging Face's name of the parameter with `.exp_avg` or `.exp_avg_sq`. */
  readonly name: string
  readonly shape: readonly number[]
  /** A copy, [N][K] in rows. */
  read(): Float32Array
}

/** Gives the values of a state, [N][K] in rows. */
export type StateReader = (name: string, shape: readonly number[]) => Float32Array | Promise<Float32Array>

/** A model that is not loaded. */
export interface UnloadedModel extends RunOptions, LabelOptions {
  readonly type: ModelClass
  readonly config: BertConfig
}

/** A model that is not loaded, and the fresh adapter that would be trained on it. */
export interface UnloadedAdapter extends UnloadedModel {
  readonly adapter: LoraConfig
}

/** Sizes of a batch, or a step's inputs. */
type EstimatedStep = BatchShape | TrainingInputs | readonly TrainingInputs[]

/** Two copies of the package share no classes: a model of one is none of the other's. */
export function checkModel(model: unknown): void {
  const loaded = (model as Partial<BertPreTrainedModel> | null | undefined)?.loaded
  if (loaded instanceof Loaded) return
  const other = loaded !== undefined
  throw expected(
    'model',
    'a model with a head',
    other ? new Words('one of another copy or version of bertlet') : model,
    other ? 'Import model and training from one copy' : 'For example BertForSequenceClassification',
  )
}

let nextId = 1

/**
 * Trains a model on labelled batches. A step may come in parts: its loss and gradients are those of the undivided batch, to the bit, however it
 * is cut. The heads that score words compute labelled positions only. Gradients and moments are its own: two trainings of one model, or of two heads on
 * one trunk, each step the same weights without touching each other's.
 */
export class HeadTraining {
  /** @internal */
  readonly loaded: Loaded
  protected readonly adamW: AdamW
  private readonly memory: Required<MemoryOptions>
  /** Before the names of its states. */
  protected readonly own = `training${nextId++}/`
  private graphs: TrainingGraphs | undefined
  private key = ''
  private session: TrainingSession | undefined
  private taken: TrainingMemory | undefined
  private turn: Promise<unknown> = Promise.resolve()
  /** What restore() was given, until there is a session to take it. */
  private restored: { read: StateReader; counters: OptimizerCounters } | undefined

  constructor(
    model: Pick<BertPreTrainedModel, 'loaded'>,
    protected readonly options: HeadTrainingOptions = {},
  ) {
    checkOptions('HeadTraining', options, HEAD_TRAINING_OPTIONS)
    checkModel(model)
    const { layer_lr_decay: decay = 1 } = options
    if (!(decay > 0 && decay <= 1)) throw expected('layer_lr_decay', 'a number above 0, at most 1', decay)
    trainableOf(options.trainable)
    this.adamW = adamWDefaults(options)
    this.memory = memoryDefaults(options)
    this.loaded = model.loaded
    const { adapter, trunk } = this.loaded
    const { dtype = 'f32' } = trunk
    if (dtype !== 'f32' && !(dtype === 'int8' && adapter)) {
      throw new BertletError(
        'unsupported',
        `training: expected weights in f32, got ${dtype}, which are frozen`,
        dtype === 'int8'
          ? 'Load the model with dtype f32, or train an adapter on it: model.withAdapter()'
          : 'Load the model with dtype f32',
      )
    }
    if (trunk.smoothed)
      throw new BertletError(
        'unsupported',
        'training: expected a base whose activations are not smoothed, got one that bertlet quantize --calibrate wrote',
        'Train on the float model, or on one that was quantised without --calibrate',
      )
    if (adapter?.merged)
      throw new BertletError(
        'invalid_argument',
        'training: expected an adapter apart from its base, got a merged one',
        'Call unmerge() first',
      )
  }

  /**
   * The bytes that training will take, model and all, by the planner that lays them out; nothing is allocated.
   *
   *     const { total, gradient_checkpointing } = HeadTraining.estimate(model, {}, { batch_size: 32, sequence_length: 128 })
   *     const before = HeadTraining.estimate({ type: BertForMaskedLM, config, threads: 2 })
   *     const low = await HeadTraining.estimate({ type: BertForSequenceClassification, config, adapter: { r: 8 } })
   *
   * @param model a model, or its class, config and options, when none is loaded yet; with `adapter` the answer is a promise, as what plans it is loaded then.
   * @param of the size of a batch, or a step's inputs; by default a full chunk, as the model's `budget` has it.
   */
  static estimate(model: UnloadedAdapter, options?: HeadTrainingOptions, of?: EstimatedStep): Promise<TrainingMemory>
  static estimate(model: BertPreTrainedModel | UnloadedModel, options?: HeadTrainingOptions, of?: EstimatedStep): TrainingMemory
  static estimate(
    model: BertPreTrainedModel | UnloadedModel | UnloadedAdapter,
    options: HeadTrainingOptions = {},
    of: EstimatedStep = {},
  ): TrainingMemory | Promise<TrainingMemory> {
    if (!('loaded' in model) && 'adapter' in model)
      return unloadedAdapter(model).then((loaded) => HeadTraining.estimateOf(loaded, options, of))
    return HeadTraining.estimateOf('loaded' in model ? model.loaded : unloaded(model), options, of)
  }

  private static estimateOf(loaded: Loaded, options: HeadTrainingOptions, of: EstimatedStep): TrainingMemory {
    const training = new HeadTraining({ loaded }, options)
    const given = Array.isArray(of) || 'input_ids' in of || 'inputs_embeds' in of
    const parts = training.prepared(given ? (of as TrainingInputs) : inputsOfShape(training.loaded, of as BatchShape))
    return training.told(parts)
  }

  /** What steps of such parts would take. */
  protected told(parts: readonly Prepared[]): TrainingMemory {
    return chooseMemory(this.loaded.engine, this.request(parts))
  }

  /** What tells the loss from others, where it is not the head's own. */
  get lossKey(): string | undefined {
    return undefined
  }

  /** The bytes that training takes; undefined before the first step. */
  info(): TrainingMemory | undefined {
    return this.taken
  }

  /**
   * One step of the optimizer; returns the loss and the gradients' norm before it.
   *
   * @throws BertletError `not_finite` when either is NaN or infinite; then nothing has changed.
   */
  async step(
    inputs: TrainingInputs | readonly TrainingInputs[],
    learningRate: number,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<StepResult> {
    if (!(learningRate >= 0 && learningRate < Infinity)) throw expected('the learning rate', 'a number of 0 or more', learningRate)
    return this.inTurn(async () => {
      const session = await this.accumulate(inputs, signal)
      const [loss, norms] = [this.lossOf(session), await session.norms()]
      if (!Number.isFinite(loss) || !Number.isFinite(norms.total)) throw this.notFinite(loss, norms)
      await session.update(learningRate, clipFactor(norms.total, this.adamW))
      return { loss, grad_norm: norms.total }
    })
  }

  /** Throws what a step of these inputs would find wrong with them. */
  check(inputs: TrainingInputs | readonly TrainingInputs[]): void {
    this.prepared(inputs)
  }

  /**
   * Takes the memory of steps with such parts before the first of them; refused before anything is allocated when they do not fit. Without it, memory
   * grows when a step needs more.
   */
  async reserve(parts: readonly TrainingInputs[]): Promise<TrainingMemory> {
    return this.inTurn(async () => {
      await this.sessionFor(this.prepared(parts))
      return this.taken!
    })
  }

  /** How far the optimizer is. Its steps are also what masks of dropout are drawn from. */
  get counters(): OptimizerCounters {
    return this.session?.counters ?? this.restored?.counters ?? { steps: 0, beta1_power: 1, beta2_power: 1 }
  }

  /** The moments of every trained parameter; none before the first step. */
  states(): OptimizerState[] {
    const { store } = this.loaded.engine
    return (this.session?.moments() ?? []).flatMap(({ parameter, names }) =>
      moments(this.publicName(parameter.name)).map((name, i) => ({ name, shape: parameter.shape, read: () => store.read(names[i]!) })),
    )
  }

  /** Goes on from another's states() and counters: `read` is called for every state when the next step, loss or gradients begin. */
  async restore(read: StateReader, counters: OptimizerCounters): Promise<void> {
    this.restored = { read, counters }
    if (this.session !== undefined) await this.takeRestored(this.session)
  }

  /** The loss that the next step would begin with, its masks of dropout included; nothing is updated. */
  async loss(inputs: TrainingInputs | readonly TrainingInputs[], { signal }: { signal?: AbortSignal } = {}): Promise<number> {
    return this.inTurn(async () => this.lossOf(await this.accumulate(inputs, signal)))
  }

  /** The gradient of every trained parameter, [N][K] in rows, by its name; nothing is updated. */
  async gradients(
    inputs: TrainingInputs | readonly TrainingInputs[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Map<string, Float32Array>> {
    return this.inTurn(async () => {
      const session = await this.accumulate(inputs, signal)
      return new Map([...session.trained.keys()].map(({ name }) => [bare(name), session.gradient(name)]))
    })
  }

  /** Gives gradients and moments back. */
  async dispose(): Promise<void> {
    await this.session?.dispose()
    this.session = undefined
    this.taken = undefined
  }

  /** A step asked for while another runs waits for it. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work)
    this.turn = result.catch(() => {})
    return result
  }

  private async accumulate(inputs: TrainingInputs | readonly TrainingInputs[], signal: AbortSignal | undefined): Promise<TrainingSession> {
    const parts = this.prepared(inputs)
    const session = await this.sessionFor(parts)
    await this.takeRestored(session)
    await session.zero()
    await this.pass(parts, session, signal)
    return session
  }

  /** The loss of the last pass. */
  protected lossOf(session: TrainingSession): number {
    return session.loss()
  }

  /** Forward and backward of every part: adds to losses and gradients. */
  protected async pass(parts: readonly Prepared[], session: TrainingSession, signal: AbortSignal | undefined): Promise<void> {
    const { terms } = parts[0]!
    // The step's label counts are those of all its parts together.
    const scales = lossScales(terms.map((term, i) => ({ ...term, count: parts.reduce((sum, part) => sum + part.terms[i]!.count, 0) })))
    let examples = 0
    for (const { batch, terms, selection, chunks } of parts) {
      for (const chunk of chunks) {
        const values = {
          ...chunkInputs(batch, chunk, selection),
          ...lossInputs(terms, scales, batch, chunk, selection),
          ...dropoutInputs(batch, chunk, { first: examples, seed: this.options.seed ?? 0, step: session.counters.steps, selection }),
        }
        await session.accumulate(chunk.dims, values, signal)
      }
      examples += batch.rows
    }
  }

  protected prepared(inputs: TrainingInputs | readonly TrainingInputs[]): Prepared[] {
    this.loaded.assertLive()
    const list = Array.isArray(inputs) ? (inputs as readonly TrainingInputs[]) : [inputs as TrainingInputs]
    if (list.length === 0) throw expected('step', 'at least one batch', inputs)
    const parts = list.map((part) => this.prepare(part))
    this.key ||= keyOf(parts[0]!)
    const odd = parts.find((part) => keyOf(part) !== this.key)
    if (odd === undefined) return parts
    const fix = 'Train another kind with another HeadTraining'
    throw expected('training', 'labels of the kind of the first batch', inputsOf(odd.terms), fix)
  }

  /** A part of a step, checked and cut. */
  protected prepare(part: TrainingInputs): Prepared {
    return prepare(this.loaded, part)
  }

  /** The session with plans and an arena for every chunk of a step. */
  private async sessionFor(parts: readonly Prepared[]): Promise<TrainingSession> {
    const { engine, id } = this.loaded
    if (this.session?.bound !== undefined && within(parts, this.session.bound)) return this.session
    const request = this.request(parts)
    const memory = await engine.exclusively(async () => takeMemory(engine, request))
    this.session ??= new TrainingSession(engine, request.graphs, `${id}|${this.own}`)
    await this.session.prepare(request.bound, memory.gradient_checkpointing, memory.arena)
    this.taken = memory
    return this.session
  }

  /** What a step needs beyond what there is. */
  protected request(parts: readonly Prepared[]): MemoryRequest {
    const { engine, specs, budget, head, id, trunk, adapter } = this.loaded
    return {
      ...this.memory,
      // What was needed once stays.
      gradient_checkpointing: this.taken?.gradient_checkpointing === true ? true : this.memory.gradient_checkpointing,
      graphs: (this.graphs ??= this.build(parts[0]!)),
      bound: boundOf(parts, budget, this.session?.bound),
      weights: specs.map((spec) => {
        const { held, shape } = spec
        const present = engine.store.has(held)
        // An adapter is in f32 on any base.
        const dtype = adapter && held.startsWith(adapter.place) ? 'f32' : trunk.dtype
        return {
          bytes: alignUp(present ? engine.store.get(held).bytes : weightBytes({ shape, layout: residentLayout(spec, dtype) })),
          held: present,
        }
      }),
      key: `${id}|${this.own}|train.step`,
      begun: this.session !== undefined,
      what: `training ${head.architecture}`,
      budget,
    }
  }

  protected build({ terms, batch }: Prepared): TrainingGraphs {
    const { head, attention } = this.loaded
    const dropout = (this.options.dropout ?? true) ? (g: Graph) => new Dropout(g) : undefined
    return this.graphsOf(lossGraph(this.loaded, attention, { selected: head.decodes, embeds: batch.embeds !== undefined, terms, dropout }))
  }

  protected graphsOf(build: (g: Graph) => readonly Symbolic[], seeds?: ReadonlyMap<Symbolic, Symbolic>): TrainingGraphs {
    const { config, adapter } = this.loaded
    const { layer_lr_decay: decay = 1 } = this.options
    const wanted = trainableOf(this.options.trainable)
    return trainingGraphs(build, {
      ...this.adamW,
      ...(seeds && { seeds }),
      own: this.own,
      scaleOf: layerScale(decay, config.num_hidden_layers),
      trainable: ({ name }: Symbolic) => name.startsWith(adapter?.place ?? '') && wanted(bare(name)),
    })
  }

  private async takeRestored(session: TrainingSession): Promise<void> {
    if (this.restored === undefined) return
    const { read, counters } = this.restored
    const { store } = this.loaded.engine
    for (const { parameter, names } of session.moments()) {
      for (const [i, name] of moments(this.publicName(parameter.name)).entries()) {
        const values = await read(name, parameter.shape)
        store.write(names[i]!, values)
      }
    }
    session.counters = counters
    this.restored = undefined
  }

  /** Hugging Face's name of a parameter of the store. */
  private publicName(held: string): string {
    const { specs } = this.loaded
    return toHuggingFace(specs.find((spec) => spec.held === held)?.name ?? held, 'bert.')
  }

  private notFinite(loss: number, { total, of }: GradientNorms): BertletError {
    const bad = [...of].filter(([, norm]) => !Number.isFinite(norm)).map(([name]) => this.publicName(name))
    const [largest, norm] = [...of].reduce((most, one) => (one[1] > most[1] ? one : most), ['', -1])
    const shown = bad.slice(0, 3).join(', ') + (bad.length > 3 ? ` and ${bad.length - 3} more` : '')
    const where = bad.length > 0 ? `not finite: ${shown}` : `the largest is that of ${this.publicName(largest)}, ${norm}`
    return new BertletError(
      'not_finite',
      `step ${this.counters.steps + 1}: expected a finite loss and finite gradients, got a loss of ${loss} and a norm of ${total} (${where})`,
      'Nothing was updated. Lower the learning rate, set max_grad_norm, or look at the batch',
    )
  }
}

/** A parameter's name without what sets heads and adapters apart in a store. */
const bare = (held: string): string => held.slice(held.indexOf('/') + 1)

function unloaded({ type, config, ...options }: UnloadedModel): Loaded {
  if (typeof type?.headFor !== 'function' || !(config instanceof BertConfig))
    throw expected('estimate', 'a model, or { type: a model class, config: a BertConfig }', { type, config })
  const labels = new Set<string>(LABEL_OPTIONS)
  const run = Object.fromEntries(Object.entries(options).filter(([name]) => !labels.has(name)))
  return weightless(withLabels(config, options), type.headFor({}), run)
}

async function unloadedAdapter({ adapter, ...base }: UnloadedAdapter): Promise<Loaded> {
  const { adaptWeightless } = await seldom()
  const labels = Object.fromEntries(Object.entries(base).filter(([name]) => (LABEL_OPTIONS as readonly string[]).includes(name)))
  return adaptWeightless(unloaded(base), adapter, labels)
}

const keyOf = ({ terms, batch }: Prepared): string => `${lossKey(terms)}|${batch.embeds !== undefined}`
const inputsOf = (terms: readonly LossTerm[]): string => terms.map(({ kind, per }) => `${kind} per ${per}`).join(', ')
