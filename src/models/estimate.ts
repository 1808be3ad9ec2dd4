import { Engine, resolveThreads, runBytes, SYNC_BYTES } from '../engine/engine.ts'
import { weightBytes } from '../engine/store.ts'
import { lower } from '../graph/plan.ts'
import type { Layout } from '../graph/tensor.ts'
import { readPlan } from './adapter-files.ts'
import { adapterSpec } from './adapter-plan.ts'
import { roundUp } from './batch.ts'
import { BertConfig } from './config.ts'
import { resolveDtype } from './dtype.ts'
import { headFor, headParameters, type Head } from './heads.ts'
import { place, readConfig, trunkLayout, type PlacedSpec } from './load.ts'
import { checkLoadOptions, withLabels, type LoadOptions } from './options.ts'
import { residentLayout, trunkParameters } from './parameters.ts'
import { openSource, type ModelSource } from './source.ts'
import { headVariant, inferenceGraph, type Site } from './variant.ts'

/** Bytes, told before anything is loaded. */
export interface Estimate {
  readonly weights: number
  /** Activations and scratch of a full chunk. */
  readonly arena: number
  readonly plan: number
  readonly total: number
}

/** The bytes that a model takes, by the same planner that will lay it out; only the config is read. */
export async function estimate(from: ModelSource | BertConfig, own: Head, options: LoadOptions): Promise<Estimate> {
  const { budget, attention, precision, dtype: asked } = checkLoadOptions(options)
  const { threads } = resolveThreads(options.threads)
  const read = from instanceof BertConfig ? from : await readConfig(openSource(from, options), options.signal)
  const config = withLabels(read, options)
  const head = headFor(own, config)
  const { dtype } = await resolveDtype(config, asked)
  const trunk = trunkLayout(head, config, dtype)
  const specs = place([...trunkParameters(config, trunk), ...headParameters(head, config)], '')
  const plain = { held: specs, adapted: [] as readonly PlacedSpec[], site: { head, config, trunk, place: '', poolerPlace: '' } }
  const { held, adapted, site } = options.adapter === undefined ? plain : await withAdapter(plain.site, specs, options)
  const engine = await Engine.create(0, precision, dtype)
  try {
    const { base, tile } = engine.store.kernels
    const longest = Math.min(budget, config.max_position_embeddings)
    const sequences = Math.max(1, Math.floor(budget / longest))
    const bound = roundUp({ tokens: budget, sequences, longest, squares: 0, selected: 0 })
    const variant = headVariant(site, attention, {})
    const plan = lower(inferenceGraph(variant), bound, tile, () => 0)
    const sum = (all: readonly { shape: readonly number[]; layout: Layout }[]): number =>
      all.reduce((bytes, spec) => bytes + weightBytes(spec), 0)
    const weights = sum(held.map((spec) => ({ shape: spec.shape, layout: residentLayout(spec, dtype) }))) + sum(adapted.map(adapterSpec))
    const arena = runBytes(plan, threads)
    const total = base + SYNC_BYTES + weights + plan.words.byteLength + arena
    return { weights, arena, plan: plan.words.byteLength, total }
  } finally {
    await engine.dispose()
  }
}

/** What stays of the checkpoint, and what an adapter puts beside it. */
async function withAdapter(base: Site, specs: readonly PlacedSpec[], options: LoadOptions) {
  const { adapter, revision: _, subfolder: __, ...beside } = options
  const source = openSource(adapter!, beside)
  const { bert, head, own, shared, layout } = await readPlan({ ...base, specs }, source, 'adapter/', options, options.signal)
  return { held: shared, adapted: own, site: { ...base, head, config: bert, trunk: { ...base.trunk, adapter: layout } } }
}
