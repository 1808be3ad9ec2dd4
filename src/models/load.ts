import { Engine, resolveThreads } from '../engine/engine.ts'
import type { WeightDtype } from '../engine/build.ts'
import type { Block, Weight } from '../engine/store.ts'
import { BertletError, checkOptions, expected, Words } from '../errors.ts'
import { SPAN, type Layout } from '../graph/tensor.ts'
import type { JsonObject } from '../json.ts'
import { absent, GIVE_CHECKPOINT } from '../weights/checkpoint.ts'
import { loadTensors } from '../weights/load.ts'
import type { Source } from '../weights/source.ts'
import type { Adapter } from './adapters.ts'
import type { TrunkLayout } from './bert.ts'
import { BertConfig } from './config.ts'
import { isSmoothed, reasonOf, resolveDtype } from './dtype.ts'
import { headFor, headParameters, type Head } from './heads.ts'
import { initialize } from './initialize.ts'
import {
  checkLoadOptions,
  checkRunOptions,
  LABEL_OPTIONS,
  RUN_OPTIONS,
  withLabels,
  type AttentionImplementation,
  type LabelOptions,
  type LoadOptions,
  type RunOptions,
} from './options.ts'
import { residentLayout, trunkParameters, type ParameterSpec } from './parameters.ts'
import { openSource, SOURCE_OPTIONS, type ModelSource } from './source.ts'
import { StoreSink } from './store-sink.ts'

let nextId = 1

interface LoadedParts {
  readonly name: string
  /** What it was loaded from. */
  readonly source?: Source | undefined
  readonly head: Head
  readonly config: BertConfig
  readonly engine: Engine
  readonly trunk: TrunkLayout
  /** What stands before the head's parameters in the store: heads that share a trunk are set apart. */
  readonly place: string
  /** And before the pooler's, which belongs to the trunk if that has one. */
  readonly poolerPlace: string
  readonly specs: readonly PlacedSpec[]
  readonly threadsWhy: string
  readonly dtypeWhy: string
  readonly attention: AttentionImplementation
  readonly budget: number
  /** Tensors of the file that the model has no use for. */
  readonly unexpected: readonly string[]
  /** Parameters with fresh values. */
  readonly initialized: readonly string[]
  /** On a base that it shares. */
  readonly adapter?: Adapter | undefined
}

/** A parameter and where the store has it. */
export interface PlacedSpec extends ParameterSpec {
  /** Its name in the store. */
  readonly held: string
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor sets every part
export interface Loaded extends LoadedParts {
  config: BertConfig
  specs: readonly PlacedSpec[]
  trunk: TrunkLayout
}

/** Weights in a store with what is to be computed from them: what the constructors of models take. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class Loaded {
  /** Of the model, among those of the process. */
  readonly id = `model${nextId++}`
  disposed = false
  /** Those on this model, by name. */
  readonly adapters = new Map<string, Loaded>()

  constructor(parts: LoadedParts) {
    Object.assign(this, parts)
  }

  assertLive(): void {
    if (this.disposed) throw new BertletError('disposed', 'this model has been disposed of', 'Load it again with fromPretrained()')
    this.engine.store.assertLive()
  }

  /** What its plans are kept under: adapters of one shape share theirs. */
  get plans(): string {
    return this.block === undefined ? this.id : this.adapter!.plans
  }

  /** The weights that are another's in the plans' other uses. */
  get block(): Block | undefined {
    return this.adapter?.merged === undefined ? this.adapter?.block : undefined
  }

  /** Gives up the weights; the memory goes with the last model on it. */
  async dispose(): Promise<void> {
    if (this.disposed) return
    this.disposed = true
    const { engine, specs, id, adapter } = this
    await engine.dispose(() => {
      engine.forget(`${id}|`)
      for (const { held } of specs) engine.store.drop(held)
      for (const name of adapter?.merged ?? []) engine.store.drop(name)
    })
    adapter?.ended()
  }
}

/** Reads the config, plans the weights' memory, checks the file against it and streams it in. */
export async function load(from: ModelSource, head: Head, options: LoadOptions = {}): Promise<Loaded> {
  const { budget, attention, precision, dtype: asked } = checkLoadOptions(options)
  const { signal } = options
  signal?.throwIfAborted()
  const source = openSource(from, options)
  const config = withLabels(await readConfig(source, signal), options)
  const { dtype, why: dtypeWhy } = await resolveDtype(config, asked)
  const { threads, why } = resolveThreads(options.threads)
  const engine = await Engine.create(threads, precision, dtype)
  // While the weights are read.
  engine.warm()
  try {
    const common = { name: source.name, source, engine, ...first(head, config, dtype), threadsWhy: why, dtypeWhy, attention, budget }
    const { unexpected, missing } = await stream(source, engine, config, common.specs, dtype, options)
    return new Loaded({ ...common, unexpected, initialized: missing })
  } catch (error) {
    await engine.dispose()
    throw error
  }
}

/** A model with fresh weights. */
export function make(values: BertConfig | JsonObject, head: Head, options: RunOptions = {}): Loaded {
  const loaded = weightless(values, head, options)
  const { engine, specs, config } = loaded
  hold(engine, specs, loaded.trunk.dtype)
  fill(engine, specs, config, options.seed)
  return loaded
}

/** A model whose weights are not in its memory: to tell what it would take. */
export function weightless(values: BertConfig | JsonObject, head: Head, options: RunOptions = {}): Loaded {
  checkOptions(head.architecture, options, RUN_OPTIONS)
  const { budget, attention, precision, dtype = 'f32' } = checkRunOptions(options)
  const config = values instanceof BertConfig ? values : new BertConfig(values)
  const { threads, why } = resolveThreads(options.threads)
  const engine = Engine.createNow(threads, precision, dtype)
  const parts = { name: 'fresh', engine, ...first(head, config, dtype), threadsWhy: why, dtypeWhy: reasonOf(dtype), attention, budget }
  return new Loaded({ ...parts, unexpected: [], initialized: parts.specs.map(({ name }) => name) })
}

/** The parameters of a model that shares no trunk, and where they lie. */
function first(own: Head, config: BertConfig, dtype: WeightDtype) {
  const head = headFor(own, config)
  const trunk = trunkLayout(head, config, dtype)
  return {
    head,
    config,
    trunk,
    place: '',
    poolerPlace: '',
    specs: place([...trunkParameters(config, trunk), ...headParameters(head, config)], ''),
  }
}

/** Another head on a loaded trunk, from a checkpoint's head tensors or, without one, fresh. */
export async function attach(base: Loaded, type: Head, from: ModelSource | undefined, options: LoadOptions = {}): Promise<Loaded> {
  checkOptions('withHead', options, [...LABEL_OPTIONS, ...SOURCE_OPTIONS, 'seed', 'initialize_missing'])
  base.assertLive()
  if (base.adapter !== undefined)
    throw new BertletError(
      'invalid_argument',
      'withHead: expected a model without an adapter',
      'Put the head on the base, and the adapter on that',
    )
  const source = from === undefined ? undefined : openSource(from, options)
  const own = source && (await readConfig(source, options.signal))
  const config = headConfig(base.config, own, options)
  const head = headFor(type, config)
  const engine = base.engine.retain()
  const { dtype } = base.trunk
  const poolerInTrunk = base.specs.some(({ held }) => held === `${base.poolerPlace}pooler.dense.weight`)
  const name = `head${nextId}/`
  const trunk = base.specs.filter(({ name }) => /^(embeddings|encoder)\./.test(name) || (name.startsWith('pooler.') && head.pooler))
  const wanted = headParameters(head, config).filter((spec) => !(poolerInTrunk && spec.name.startsWith('pooler.')))
  const specs = place(wanted, name)
  const held: PlacedSpec[] = []
  try {
    hold(engine, trunk, dtype, held)
    let initialized: readonly string[]
    if (source !== undefined) initialized = (await stream(source, engine, config, specs, dtype, options, held)).missing
    else {
      hold(engine, specs, dtype, held)
      fill(engine, specs, config, options.seed)
      initialized = specs.map((spec) => spec.name)
    }
    const { threadsWhy, dtypeWhy, attention, budget } = base
    const poolerPlace = poolerInTrunk ? base.poolerPlace : name
    const common = {
      name: source?.name ?? base.name,
      source: base.source,
      head,
      config,
      engine,
      trunk: base.trunk,
      place: name,
      poolerPlace,
      threadsWhy,
      dtypeWhy,
      attention,
      budget,
    }
    return new Loaded({ ...common, specs: [...trunk, ...specs], unexpected: [], initialized })
  } catch (error) {
    await engine.dispose(() => held.forEach((spec) => engine.store.drop(spec.held)))
    throw error
  }
}

export const trunkLayout = (head: Head, config: BertConfig, dtype: WeightDtype = 'f32'): TrunkLayout => ({
  dtype,
  ...(dtype === 'int8' && isSmoothed(config) && { smoothed: true }),
  wordTable: head.decodes && config.tie_word_embeddings ? 'panel' : 'rows',
})

export const place = (specs: readonly ParameterSpec[], before: string): PlacedSpec[] =>
  specs.map((spec) => ({ ...spec, held: `${before}${spec.name}` }))

/** Reserves the weights, or holds those that are there; `held` tells how far it came. */
export function hold(engine: Engine, specs: readonly PlacedSpec[], dtype: WeightDtype | undefined, held: PlacedSpec[] = []): Weight[] {
  const wanted = specs.map((spec) => ({ name: spec.held, shape: spec.shape, layout: residentLayout(spec, dtype) }))
  engine.store.expect(wanted)
  return wanted.map((spec, i) => {
    const weight = engine.store.hold(spec)
    held.push(specs[i]!)
    return weight
  })
}

function fill(engine: Engine, specs: readonly PlacedSpec[], config: BertConfig, seed = 0): void {
  for (const spec of specs) initialize(engine.store, engine.store.get(spec.held), spec, config.initializer_range, seed)
}

/** Streams the tensors of a source into the store. */
async function stream(
  source: Source,
  engine: Engine,
  config: BertConfig,
  specs: readonly PlacedSpec[],
  dtype: WeightDtype | undefined,
  options: LoadOptions,
  held: PlacedSpec[] = [],
): Promise<{ unexpected: readonly string[]; missing: readonly string[] }> {
  const sink = new StoreSink(engine, () => new Map(hold(engine, specs, dtype, held).map((weight, i) => [specs[i]!.name, weight])))
  const { signal, progress_callback: progress, initialize_missing: allowMissing = false } = options
  try {
    const { unexpected, missing } = await loadTensors(
      source,
      specs.map((spec) => ({ ...spec, span: SPAN, integers: INTEGERS[residentLayout(spec, dtype)] })),
      sink,
      { signal, progress, allowMissing },
    )
    fill(
      engine,
      specs.filter(({ name }) => missing.includes(name)),
      config,
      options.seed,
    )
    return { unexpected, missing }
  } finally {
    sink.close()
  }
}

/** What files may hold in place of floats. */
const INTEGERS: Partial<Record<Layout, 'I8' | 'I4'>> = { panel8: 'I8', panel4: 'I4' }

export async function readConfig(source: Source, signal?: AbortSignal): Promise<BertConfig> {
  const text = await source.text('config.json', { signal })
  if (text !== undefined) return BertConfig.parse(text)
  throw absent(source, 'config.json', GIVE_CHECKPOINT)
}

/** What a head's own config.json says of the head. */
const HEAD_FIELDS = [
  'id2label',
  'label2id',
  'problem_type',
  'classifier_dropout',
  'classifier_pooling',
  'classifier_normalize',
  'tie_word_embeddings',
] as const

/** The trunk's config with what a head's own config.json says of the head. */
function headConfig(trunk: BertConfig, own: BertConfig | undefined, options: LabelOptions): BertConfig {
  if (own === undefined) return withLabels(trunk, options)
  for (const name of ['hidden_size', 'vocab_size'] as const) {
    if (own[name] === trunk[name]) continue
    throw expected(
      `withHead: ${name}`,
      `${trunk[name]}, the trunk's`,
      new Words(`${own[name]} in the head's config.json`),
      'Use a head that was trained on such a trunk',
    )
  }
  return withLabels(withHeadOf(trunk, own, 'withHead'), options)
}

/** A config with what another says of the head. */
export const withHeadOf = (trunk: BertConfig, own: BertConfig, subject: string): BertConfig =>
  new BertConfig({ ...trunk.toJSON(), ...Object.fromEntries(HEAD_FIELDS.map((name) => [name, own[name]])) }, subject)
