// Files of an adapter, in PEFT's layout and names, both ways.
import { expected, Words } from '../errors.ts'
import { isObject, parseObject } from '../json.ts'
import { absent, pickled } from '../weights/checkpoint.ts'
import { loadTensors } from '../weights/load.ts'
import { toHuggingFace } from '../weights/names.ts'
import { writeSafetensors, type TensorToWrite } from '../weights/write-safetensors.ts'
import type { Source } from '../weights/source.ts'
import { checkLoraConfig, moduleOf, partsOf, toAdapterJson, type CheckedConfig, type Parts } from './adapter-config.ts'
import { bringsHead, planAdapter, type AdapterPlan, type Base } from './adapter-plan.ts'
import type { Adapter } from './adapters.ts'
import { BertConfig } from './config.ts'
import { headParameters } from './heads.ts'
import { withHeadOf, type Loaded, type PlacedSpec } from './load.ts'
import { withLabels, type LabelOptions } from './options.ts'
import { trunkParameters, type ParameterSpec } from './parameters.ts'
import { configFile, openSink, type Target } from './save.ts'
import type { SourceOptions } from './source.ts'
import { StoreSink } from './store-sink.ts'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'
const PYTHON = 'adapter_model.bin'
const GIVE = `Give the folder of an adapter of Hugging Face PEFT: ${CONFIG} and ${WEIGHTS}`
/** What PEFT puts before the names of a model's modules. */
const BEFORE = 'base_model.model.'

/** Reads what an adapter is, and places it on a base; its weights are not read. */
export async function readPlan(
  base: Base & { readonly config: BertConfig },
  source: Source,
  before: string,
  labels: LabelOptions,
  signal: AbortSignal | undefined,
): Promise<AdapterPlan & { readonly config: CheckedConfig; readonly bert: BertConfig }> {
  const { head, trunk, config: plain } = base
  const file = `${source.name}: ${CONFIG}`
  const text = await source.text(CONFIG, { signal })
  if (text === undefined) throw absent(source, CONFIG, GIVE)
  const config = checkLoraConfig(parseObject(text, file), head, file)
  const specs = [...trunkParameters(plain, trunk), ...headParameters(head, plain)]
  // One that brings a head says what it means.
  const brings = bringsHead(head, plain, partsOf(config, specs, head, plain, false))
  const own = brings ? await source.text('config.json', { signal }) : undefined
  const bert = withLabels(own === undefined ? plain : withHeadOf(plain, checkSame(plain, BertConfig.parse(own)), 'withAdapter'), labels)
  return { config, bert, ...planAdapter(base, config, bert, before, false) }
}

/** What another base may differ in without another shape of the adapter's tensors. */
function checkSame(plain: BertConfig, own: BertConfig): BertConfig {
  for (const name of ['vocab_size', 'num_attention_heads', 'hidden_act'] as const) {
    if (own[name] === plain[name]) continue
    const got = new Words(`${own[name]} in the adapter's config.json`)
    throw expected(`withAdapter: ${name}`, `${plain[name]}, the base's`, got, 'Put the adapter on the model that it was trained on')
  }
  return own
}

export async function checkWeights(source: Source, signal: AbortSignal | undefined): Promise<void> {
  for (const file of [WEIGHTS, PYTHON]) {
    const reader = await source.open(file, { signal })
    await reader?.close()
    if (reader === undefined) continue
    if (file === WEIGHTS) return
    throw pickled(source, WEIGHTS, file, 'from peft import AutoPeftModel')
  }
  throw absent(source, WEIGHTS, GIVE)
}

/** Streams an adapter's file into its weights: everything is checked before any of them is touched. */
export async function streamAdapter(
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
    const { unexpected } = await loadTensors(source, wanted, sink, { signal, progress, file: WEIGHTS, fix })
    const strange = unexpected.find((name) => name.includes('.lora_'))
    if (strange !== undefined)
      throw expected(`${source.name}: ${WEIGHTS}`, 'layers that this base has and adapter_config.json names', strange, fix, 'invalid_file')
  } finally {
    sink.close()
  }
}

/** Puts an adapter's file into a model with such an adapter. */
export async function readAdapter(source: Source, loaded: Loaded, { parts, place: before }: Adapter): Promise<void> {
  const own = loaded.specs.filter(({ held }) => held.startsWith(before))
  await streamAdapter(source, loaded, own, parts, () => undefined)
}

/** A name as PEFT has it: a layer with an adapter holds its bias one level below. */
const inFile = (full: string, name: string, layers: ReadonlySet<string>): string =>
  layers.has(moduleOf(name)) && name.endsWith('.bias') ? full.replace(/bias$/, 'base_layer.bias') : full

/** Writes adapter_config.json and adapter_model.safetensors as PEFT does, and config.json where the adapter brings the head. */
export async function saveAdapter(loaded: Loaded, { config, parts, base, place: before }: Adapter, to: Target): Promise<void> {
  const own = loaded.specs.filter(({ held }) => held.startsWith(before))
  await write(loaded, { config, parts, own, on: base.name, original: (name) => base.specs.find((spec) => spec.name === name) }, to)
}

/**
 * Writes modules of a model without an adapter, its head among them, as an adapter that brings them whole.
 *
 * @param on what it is for, for people.
 */
export async function saveAsAdapter(loaded: Loaded, modules: readonly string[], on: string, to: Target): Promise<void> {
  loaded.assertLive()
  const { head, specs, config: bert } = loaded
  const config = checkLoraConfig({ target_modules: [], modules_to_save: modules }, head)
  const parts = partsOf(config, specs, head, bert, true)
  await write(loaded, { config, parts, own: specs.filter(({ name }) => parts.saved.has(name)), on }, to)
}

interface ToWrite {
  readonly config: CheckedConfig
  readonly parts: Parts
  readonly own: readonly PlacedSpec[]
  readonly on: string
  /** Of the base, what a copy stands in place of. */
  readonly original?: (name: string) => PlacedSpec | undefined
}

async function write({ engine, head, config: bert }: Loaded, { config, parts, own, on, original }: ToWrite, to: Target): Promise<void> {
  const sink = openSink(to)
  const { store } = engine
  const prefix = head.architecture === 'BertModel' ? '' : 'bert.'
  const layers = new Set(parts.branches.map(({ module }) => module))
  const tensors = own.flatMap(({ name, held, shape, copies = [], aliases = [] }) => {
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
    const before = original?.(name)
    const kept = before && store.has(before.held) && before.shape.join() === shape.join() ? before.held : held
    return [
      ...written,
      tensor(`${module}.original_module${rest}`, kept),
      tensor(`${module}.modules_to_save${rest === '.bias' ? '' : '.default'}${rest}`, held),
    ]
  })
  const fields = toAdapterJson({ ...config, base_model_name_or_path: config.base_model_name_or_path ?? on }, head)
  await engine.exclusively(async () => {
    await sink.write(CONFIG, [new TextEncoder().encode(`${JSON.stringify(sorted(fields), null, 2)}\n`)])
    // What the outputs mean; PEFT leaves that to the base, and passes this file over.
    if (bringsHead(head, bert, parts)) await sink.write('config.json', [configFile(bert, head.architecture)])
    await sink.write(WEIGHTS, writeSafetensors(tensors))
  })
}

const sorted = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, isObject(value) ? sorted(value) : value])) // prettier-ignore
