// Low-rank adapters on a loaded base: its weights are shared, never copied. Each adapter's own weights are one block of the store, so adapters of one
// shape run the same plans, and going from one to another is a slot of their table. Loaded with the first adapter.
import type { Block, Store } from '../engine/store.ts'
import { philox } from '../engine/philox.ts'
import { BertletError, checkOptions, expected, Words } from '../errors.ts'
import { isObject, parseObject } from '../json.ts'
import { loadTensors } from '../weights/load.ts'
import { toHuggingFace } from '../weights/names.ts'
import { writeSafetensors, type TensorToWrite } from '../weights/safetensors.ts'
import { isFileBytes, type Source } from '../weights/source.ts'
import {
  checkLoraConfig,
  moduleOf,
  partsOf,
  toAdapterJson,
  type Branch,
  type CheckedConfig,
  type LoraConfig,
  type Parts,
} from './adapter-config.ts'
import type { AdapterLayout } from './bert.ts'
import { headParameters } from './heads.ts'
import { checkSeed, streamOf } from './initialize.ts'
import { hold, Loaded, place, type PlacedSpec } from './load.ts'
import { LABEL_OPTIONS, withLabels, type LabelOptions } from './options.ts'
import { trunkParameters, type ParameterSpec } from './parameters.ts'
import { openSink, type Target } from './save.ts'
import { openSource, SOURCE_OPTIONS, type ModelSource, type SourceOptions } from './source.ts'
import { StoreSink } from './store-sink.ts'

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

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'
const PYTHON = 'adapter_model.bin'
/** What PEFT puts before the names of a model's modules. */
const BEFORE = 'base_model.model.'
let nextPlace = 1

/** A model on the base of another, with an adapter from a source, or a fresh one of a config. */
export async function adapt(from: Loaded, what: ModelSource | LoraConfig, options: AdapterOptions): Promise<Loaded> {
  checkOptions('withAdapter', options, [...LABEL_OPTIONS, ...SOURCE_OPTIONS, 'adapter_name', 'seed'])
  const base = from.adapter?.base ?? from
  const seed = checkSeed(options.seed ?? 0)
  const source = isConfig(what) ? undefined : openSource(what as ModelSource, options)
  const given = source === undefined ? (what as LoraConfig) : await readConfig(source, options.signal)
  if (source !== undefined) await checkWeights(source, options.signal)
  const config = checkLoraConfig(given, base.head, source && `${source.name}: ${CONFIG}`)
  if (source === undefined && config.init_lora_weights !== true && config.init_lora_weights !== 'gaussian')
    throw expected('init_lora_weights', "true or 'gaussian' for a fresh adapter", config.init_lora_weights)
  const bert = withLabels(
    base.config,
    Object.fromEntries(LABEL_OPTIONS.flatMap((name) => (name in options ? [[name, options[name]]] : []))),
  )
  const all = [...trunkParameters(bert, base.trunk), ...headParameters(base.head, bert)]
  const parts = partsOf(config, all, base.head, bert, source === undefined)
  const before = `adapter${nextPlace++}/`
  const own = [...place(parts.branches.flatMap(lowRank), before), ...place(parts.copies, before)]
  const instead = new Map(parts.copies.map(({ name }) => [name, `${before}${name}`]))
  const shared = base.specs.filter(({ name }) => !instead.has(name))
  for (const { name, shape } of shared) {
    const { shape: wanted } = all.find((spec) => spec.name === name)!
    if (wanted.join() === shape.join()) continue
    throw expected('num_labels', `${shape[0]}, the base's, as the adapter has no ${moduleOf(name)} of its own`, new Words(`${wanted[0]}`))
  }
  nameOf(base, options.adapter_name)

  // Nothing is awaited from here to where the base's weights are held: it cannot go away in between.
  from.assertLive()
  const engine = base.engine.retain()
  const held: PlacedSpec[] = []
  let block: Block | undefined
  try {
    hold(engine, shared, base.trunk.dtype, held)
    const reserve = (): void => {
      const specs = own.map(({ held: name, shape, layout }) => ({
        name,
        shape,
        layout: layout === 'panel' ? ('panel' as const) : ('rows' as const),
      }))
      block ??= engine.store.holdTogether(specs, 'an adapter')
    }
    if (source !== undefined) await stream(source, base, own, parts, reserve, options)
    else {
      reserve()
      fresh(engine.store, base, own, config, { seed, fan: new Map(parts.branches.map(({ module, k }) => [module, k])) })
    }
    const layout = layoutOf(parts.branches, config, before, instead)
    // Again: another may have come while this one was read.
    const name = nameOf(base, options.adapter_name)
    const shape = JSON.stringify([config.lora_dropout, parts.branches, parts.copies.map((spec) => [spec.name, spec.shape])])
    const adapter = register({ name, config, parts, base, block: block!, place: before, shape })
    const { threadsWhy, dtypeWhy, attention, budget, head, poolerPlace } = base
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

function isConfig(what: ModelSource | LoraConfig): boolean {
  if (what === null || typeof what !== 'object' || what instanceof URL || Symbol.iterator in what || 'open' in what) return false
  return !Object.entries(what).some(([name, value]) => name.includes('.') && isFileBytes(value))
}

async function readConfig(source: Source, signal: AbortSignal | undefined) {
  const text = await source.text(CONFIG, { signal })
  if (text !== undefined) return parseObject(text, `${source.name}: ${CONFIG}`)
  throw new BertletError(
    'not_found',
    `${source.name}: expected a file ${CONFIG}, found none`,
    `Give the folder of an adapter of Hugging Face PEFT: ${CONFIG} and ${WEIGHTS}`,
  )
}

async function checkWeights(source: Source, signal: AbortSignal | undefined): Promise<void> {
  for (const file of [WEIGHTS, PYTHON]) {
    const reader = await source.open(file, { signal })
    await reader?.close()
    if (reader === undefined) continue
    if (file === WEIGHTS) return
    throw new BertletError(
      'unsupported',
      `${source.name}: expected ${WEIGHTS}, found only ${file}, which holds Python objects`,
      `Convert it once: python -c "from peft import AutoPeftModel; AutoPeftModel.from_pretrained('FOLDER').save_pretrained('FOLDER')"`,
    )
  }
  throw new BertletError(
    'not_found',
    `${source.name}: expected a weights file ${WEIGHTS}, found none`,
    `Give the folder of an adapter of Hugging Face PEFT: ${CONFIG} and ${WEIGHTS}`,
  )
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

const lowRank = ({ module, n, k, r }: Branch): ParameterSpec[] => [
  { name: `${module}.lora_A.weight`, shape: [r, k], layout: 'panel', init: 'normal', why: WHY },
  { name: `${module}.lora_B.weight`, shape: [n, r], layout: 'panel', init: 'zeros', why: WHY },
]
const WHY = `as ${CONFIG} and the base say`

function layoutOf(
  branches: readonly Branch[],
  { lora_dropout: dropout }: CheckedConfig,
  before: string,
  instead: ReadonlyMap<string, string>,
): AdapterLayout {
  const low = new Map(
    branches.map(({ module, r, scale }) => {
      const [a, b] = ['A', 'B'].map((letter) => `${before}${module}.lora_${letter}.weight`) as [string, string]
      return [module, { a, b, r, scale, dropout }]
    }),
  )
  return { lora: (module) => low.get(module), instead: (name) => instead.get(name) }
}

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

/** Streams an adapter's file into its weights: everything is checked before any of them is touched. */
async function stream(
  source: Source,
  { engine, head }: Pick<Loaded, 'engine' | 'head'>,
  own: readonly PlacedSpec[],
  parts: Parts,
  reserve: () => void,
  { signal, progress_callback: progress }: SourceOptions = {},
): Promise<void> {
  const { store } = engine
  const sink = new StoreSink(engine, () => {
    reserve()
    return new Map(own.map(({ name, held }) => [name, store.get(held)]))
  })
  try {
    const layers = new Set(parts.branches.map(({ module }) => module))
    // An adapter of a BertModel fits the trunk of any class, and the other way round.
    const aliases = ({ name, aliases: others = [] }: ParameterSpec): string[] =>
      [name, ...others].flatMap((each) =>
        [toHuggingFace(each, 'bert.'), each].flatMap((full) => [BEFORE + inFile(full, each, layers), BEFORE + full]),
      )
    const wanted = own.map((spec) => ({ ...spec, aliases: aliases(spec) }))
    const fix = `Put the adapter on the model that it was trained on, a ${head.architecture} of these sizes, with the ${CONFIG} that belongs to it`
    await loadTensors(source, wanted, sink, { signal, progress, file: WEIGHTS, fix })
  } finally {
    sink.close()
  }
}

/** Puts an adapter's file into a model with such an adapter. */
export async function readAdapter(source: Source, loaded: Loaded, { parts, place: before }: Adapter): Promise<void> {
  const own = loaded.specs.filter(({ held }) => held.startsWith(before))
  await stream(source, loaded, own, parts, () => undefined)
}

/** A name as PEFT has it: a layer with an adapter holds its bias one level below. */
const inFile = (full: string, name: string, layers: ReadonlySet<string>): string =>
  layers.has(moduleOf(name)) && name.endsWith('.bias') ? full.replace(/bias$/, 'base_layer.bias') : full

/** Writes adapter_config.json and adapter_model.safetensors as PEFT does. */
export async function saveAdapter(loaded: Loaded, { config, parts, base, place: before }: Adapter, to: Target): Promise<void> {
  const sink = openSink(to)
  const { engine, head, specs } = loaded
  const { store } = engine
  const prefix = head.architecture === 'BertModel' ? '' : 'bert.'
  const layers = new Set(parts.branches.map(({ module }) => module))
  const tensors = specs
    .filter(({ held }) => held.startsWith(before))
    .flatMap(({ name, held, shape, copies = [], aliases = [] }) => {
      const tensor = (full: string, from: string): TensorToWrite => ({
        name: BEFORE + full,
        dtype: 'F32',
        shape,
        data: () => new Uint8Array(store.read(from).buffer),
      })
      const written = [...new Set([name, ...copies, ...aliases])].map((each) =>
        tensor(inFile(toHuggingFace(each, prefix), each, layers), held),
      )
      const module = parts.saved.get(name)
      if (module === undefined || config.bias !== 'all' || !name.endsWith('bias')) return written
      // PEFT takes every name with `bias` in it, those of its own wrapping too.
      const rest = toHuggingFace(name, prefix).slice(module.length)
      const original = base.specs.find((spec) => spec.name === name)!
      const kept = store.has(original.held) && original.shape.join() === shape.join() ? original.held : held
      return [
        ...written,
        tensor(`${module}.original_module${rest}`, kept),
        tensor(`${module}.modules_to_save${rest === '.bias' ? '' : '.default'}${rest}`, held),
      ]
    })
  const fields = toAdapterJson({ ...config, base_model_name_or_path: config.base_model_name_or_path ?? base.name }, head)
  await engine.exclusively(async () => {
    await sink.write(CONFIG, [new TextEncoder().encode(`${JSON.stringify(sorted(fields), null, 2)}\n`)])
    await sink.write(WEIGHTS, writeSafetensors(tensors))
  })
}

const sorted = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, isObject(value) ? sorted(value) : value])) // prettier-ignore
