// Low-rank adapters on a loaded base: its weights are shared, never copied. Each adapter's own weights are one block of the store, so adapters of one
// shape run the same plans, and going from one to another is a slot of their table. Loaded with the first adapter.
import type { Block, Store } from '../engine/store.ts'
import { philox } from '../engine/philox.ts'
import { BertletError, checkOptions, expected } from '../errors.ts'
import { isFileBytes } from '../weights/source.ts'
import { checkLoraConfig, moduleOf, type CheckedConfig, type LoraConfig, type Parts } from './adapter-config.ts'
import { checkWeights, readPlan, streamAdapter } from './adapter-files.ts'
import { adapterSpec, planAdapter } from './adapter-plan.ts'
import type { Head } from './heads.ts'
import { checkSeed, streamOf } from './initialize.ts'
import { hold, load, Loaded, type PlacedSpec } from './load.ts'
import { LABEL_OPTIONS, withLabels, type LabelOptions, type LoadOptions } from './options.ts'
import { openSource, SOURCE_OPTIONS, type ModelSource, type SourceOptions } from './source.ts'

export interface AdapterOptions extends SourceOptions, LabelOptions {
  /** What `adapter_names` of a call says for it; `default`, then `default_2` and so on. */
  readonly adapter_name?: string
  /** Of fresh weights; 0 by default. */
  readonly seed?: number
}

/** An adapter on a base. */
export interface Adapter {
  readonly name: string
  readonly config: CheckedConfig
  readonly parts: Parts
  /** The model that it was put on, which may be gone: the weights are not. */
  readonly base: Loaded
  readonly block: Block
  /** Before the names of its weights in the store. */
  readonly place: string
  /** What the plans are kept under that adapters of this shape share. */
  readonly plans: string
  /** All that decides what is computed, but for the weights. */
  readonly shape: string
  /** While it is merged: the matrices that stand in place of the base's. */
  merged?: readonly string[] | undefined
  /** Said when its model is disposed of. */
  ended(): void
}

let nextPlace = 1

/** A model on the base of another, with an adapter from a source, or a fresh one of a config. */
export async function adapt(from: Loaded, what: ModelSource | LoraConfig, options: AdapterOptions): Promise<Loaded> {
  checkOptions('withAdapter', options, [...LABEL_OPTIONS, ...SOURCE_OPTIONS, 'adapter_name', 'seed'])
  const base = from.adapter?.base ?? from
  const seed = checkSeed(options.seed ?? 0)
  const source = isConfig(what) ? undefined : openSource(what as ModelSource, options)
  const before = `adapter${nextPlace++}/`
  const labels = Object.fromEntries(LABEL_OPTIONS.flatMap((name) => (name in options ? [[name, options[name]]] : [])))
  const plan = source === undefined ? planFresh(base, what as LoraConfig, before, labels) : await readPlan(base, source, before, labels, options.signal) // prettier-ignore
  if (source !== undefined) await checkWeights(source, options.signal)
  const { config, bert, head, parts, own, shared, layout } = plan
  nameOf(base, options.adapter_name)

  // Nothing is awaited from here to where the base's weights are held: it cannot go away in between.
  from.assertLive()
  const engine = base.engine.retain()
  const held: PlacedSpec[] = []
  let block: Block | undefined
  try {
    hold(engine, shared, base.trunk.dtype, held)
    const reserve = (): void => {
      block ??= engine.store.holdTogether(own.map(adapterSpec), 'an adapter')
    }
    if (source !== undefined) await streamAdapter(source, { engine, head }, own, parts, reserve, options)
    else {
      reserve()
      fresh(engine.store, base, own, config, { seed, fan: new Map(parts.branches.map(({ module, k }) => [module, k])) })
    }
    // Again: another may have come while this one was read.
    const name = nameOf(base, options.adapter_name)
    const { classifier_pooling, classifier_normalize } = bert
    const copies = parts.copies.map((spec) => [spec.name, spec.shape])
    const shape = JSON.stringify([config.lora_dropout, parts.branches, copies, classifier_pooling, classifier_normalize])
    const adapter = register({ name, config, parts, base, block: block!, place: before, shape })
    const { threadsWhy, dtypeWhy, attention, budget, poolerPlace } = base
    const common = { head, engine, place: base.place, poolerPlace, threadsWhy, dtypeWhy, attention, budget, unexpected: [] }
    const loaded = new Loaded({
      ...common,
      name: base.name,
      source: base.source,
      config: bert,
      trunk: { ...base.trunk, adapter: layout },
      specs: [...shared, ...own],
      initialized: source === undefined ? own.map((spec) => spec.name) : [],
      adapter,
    })
    base.adapters.set(name, loaded)
    return loaded
  } catch (error) {
    const mine = block === undefined ? [] : own
    await engine.dispose(() => [...held, ...mine].forEach((spec) => engine.store.drop(spec.held)))
    throw error
  }
}

/** A fresh adapter on a base without weights: to tell what its training would take. */
export function adaptWeightless(base: Loaded, given: LoraConfig, labels: LabelOptions): Loaded {
  const place = 'adapter/'
  const { config, bert, head, parts, own, shared, layout } = planFresh(base, given, place, labels)
  const adapter = { name: 'default', config, parts, base, block: undefined as never, place, plans: '', shape: '', ended: () => {} }
  return new Loaded({ ...base, head, config: bert, trunk: { ...base.trunk, adapter: layout }, specs: [...shared, ...own], adapter })
}

/** A checkpoint with an adapter on it. What the adapter brings need not be in the checkpoint; all else must. */
export async function loadAdapted(from: ModelSource, head: Head, { adapter, ...options }: LoadOptions): Promise<Loaded> {
  const of = (names: readonly string[]) => Object.fromEntries(Object.entries(options).filter(([name]) => names.includes(name)))
  const rest = Object.fromEntries(Object.entries(options).filter(([name]) => !(LABEL_OPTIONS as readonly string[]).includes(name)))
  const base = await load(from, head, { ...rest, initialize_missing: true })
  try {
    const loaded = await adapt(base, adapter!, of([...LABEL_OPTIONS, ...SOURCE_OPTIONS.filter((name) => !ITS_OWN.includes(name))]))
    const lacking = loaded.specs.filter(({ name, held }) => base.initialized.includes(name) && !held.startsWith(loaded.adapter!.place))
    if (lacking.length === 0 || options.initialize_missing) return loaded
    await loaded.dispose()
    const names = lacking.slice(0, 8).map(({ name }) => name).join(', ') // prettier-ignore
    throw new BertletError(
      'not_found',
      `${base.name}: expected a checkpoint with ${names}${lacking.length > 8 ? ', ...' : ''}, which the adapter has not either`,
      'Give the model that the adapter was trained on, or pass initialize_missing: true for fresh values',
    )
  } finally {
    await base.dispose()
  }
}

/** Of the checkpoint alone. */
const ITS_OWN: readonly string[] = ['revision', 'subfolder']

function isConfig(what: ModelSource | LoraConfig): boolean {
  if (what === null || typeof what !== 'object' || what instanceof URL || Symbol.iterator in what || 'open' in what) return false
  return !Object.entries(what).some(([name, value]) => name.includes('.') && isFileBytes(value))
}

/**
 * A fresh adapter. What the base's checkpoint lacked belongs to it: those values are drawn, and stand in no file that it could be put on again. PEFT leaves
 * that to whoever writes modules_to_save.
 */
function planFresh(base: Loaded, given: LoraConfig, before: string, labels: LabelOptions) {
  const { source, initialized, head } = base
  const { init_lora_weights, modules_to_save, ...fields } = checkLoraConfig(given, head)
  if (init_lora_weights !== true && init_lora_weights !== 'gaussian')
    throw expected('init_lora_weights', "true or 'gaussian' for a fresh adapter", init_lora_weights)
  const drawn = source === undefined ? [] : initialized.map((name) => name.split('.')[0]!)
  const config = { ...fields, init_lora_weights, modules_to_save: [...new Set([...modules_to_save!, ...drawn])] }
  const bert = withLabels(base.config, labels)
  return { config, bert, ...planAdapter(base, config, bert, before, true) }
}

function nameOf({ adapters }: Loaded, asked: string | undefined): string {
  if (asked === undefined) {
    for (let i = 1; ; i++) {
      const name = i === 1 ? 'default' : `default_${i}`
      if (!adapters.has(name)) return name
    }
  }
  if (typeof asked !== 'string' || asked === '' || asked === BASE_ROWS)
    throw expected('adapter_name', `a name other than ${BASE_ROWS}`, asked)
  if (!adapters.has(asked)) return asked
  throw expected('adapter_name', 'a name that no other adapter of this base has', asked, 'Dispose of that one first, or choose another')
}

/** What `adapter_names` has for rows without an adapter. */
export const BASE_ROWS = '__base__'

/** Adapters of one shape on a base: how many there are, and what their plans are kept under. */
const shapes = new WeakMap<Loaded, Map<string, { plans: string; users: number }>>()
let nextShape = 1

function register(parts: Omit<Adapter, 'plans' | 'ended'>): Adapter {
  const { base, name, shape: key } = parts
  const known = shapes.get(base) ?? new Map<string, { plans: string; users: number }>()
  shapes.set(base, known)
  const shape = known.get(key) ?? { plans: `${base.id}|adapters${nextShape++}`, users: 0 }
  known.set(key, shape)
  shape.users++
  const ended = (): void => {
    base.adapters.delete(name)
    if (--shape.users > 0) return
    known.delete(key)
    base.engine.forget(`${shape.plans}|`)
  }
  return { ...parts, plans: shape.plans, ended }
}

/** Fresh values: A as PEFT has it, B zero, copies the base's. */
function fresh(
  store: Store,
  base: Loaded,
  own: readonly PlacedSpec[],
  { init_lora_weights, r: rank }: CheckedConfig,
  { seed, fan }: { seed: number; fan: ReadonlyMap<string, number> },
): void {
  const present = new Map(base.specs.map((spec) => [spec.name, spec]))
  for (const { held, name, shape } of own) {
    if (name.endsWith('.lora_B.weight')) continue
    const stream = streamOf(name)
    if (name.endsWith('.lora_A.weight')) {
      const k = fan.get(moduleOf(moduleOf(name)))!
      if (init_lora_weights === 'gaussian') store.fillNormal(store.get(held), { seed, stream, deviation: 1 / rank })
      else store.write(held, uniform(shape as [number, number], 1 / Math.sqrt(k), seed, stream))
      continue
    }
    const from = present.get(name)
    if (from?.shape.join() === shape.join()) store.write(held, store.read(from.held))
    // A head of another width begins anew.
    else if (shape.length > 1) store.fillNormal(store.get(held), { seed, stream, deviation: base.config.initializer_range })
  }
}

/** From -most to most, by seed, stream and place alone. */
function uniform([rows, columns]: readonly [number, number], most: number, seed: number, stream: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(rows * columns)
  const [low, high] = [seed >>> 0, Math.floor(seed / 0x100000000)]
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < columns; j += 4) {
      const words = philox(j >> 2, row, stream >>> 0, 0, low, high)
      for (let i = 0; i < 4 && j + i < columns; i++) values[row * columns + j + i] = ((words[i]! + 0.5) / 0x80000000 - 1) * most
    }
  }
  return values
}
