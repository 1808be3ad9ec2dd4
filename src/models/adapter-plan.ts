// What an adapter would be on a base: its parameters, and what the base keeps. Told from configs alone; no memory is touched.
import { BertletError, expected, Words } from '../errors.ts'
import { moduleOf, partsOf, type Branch, type CheckedConfig, type Parts } from './adapter-config.ts'
import type { AdapterLayout, TrunkLayout } from './bert.ts'
import type { BertConfig } from './config.ts'
import { headFor, headParameters, type Head } from './heads.ts'
import { place, type PlacedSpec } from './load.ts'
import { trunkParameters, type ParameterSpec } from './parameters.ts'

/** A model that an adapter is put on. */
export interface Base {
  readonly head: Head
  readonly trunk: TrunkLayout
  readonly specs: readonly PlacedSpec[]
}

export interface AdapterPlan {
  /** Of base and adapter together. */
  readonly head: Head
  readonly parts: Parts
  /** The adapter's own weights. */
  readonly own: readonly PlacedSpec[]
  /** Those of the base that it computes with. */
  readonly shared: readonly PlacedSpec[]
  readonly layout: AdapterLayout
}

/**
 * Places an adapter on a base.
 *
 * @param bert the base's config, with what the adapter says of the head.
 * @param before what stands before the names of its weights in the store.
 * @param strict every name in the config must mean something.
 */
export function planAdapter(base: Base, config: CheckedConfig, bert: BertConfig, before: string, strict: boolean): AdapterPlan {
  const head = headFor(base.head, bert)
  const all = [...trunkParameters(bert, base.trunk), ...headParameters(head, bert)]
  const parts = partsOf(config, all, head, bert, strict)
  const own = [...place(parts.branches.flatMap(lowRank), before), ...place(parts.copies, before)]
  const instead = new Map(parts.copies.map(({ name }) => [name, `${before}${name}`]))
  const wanted = new Map(all.map((spec) => [spec.name, spec]))
  const shared = base.specs.filter(({ name }) => wanted.has(name) && !instead.has(name))
  for (const { name, shape } of shared) {
    const { shape: asked } = wanted.get(name)!
    if (asked.join() === shape.join()) continue
    throw expected('num_labels', `${shape[0]}, the base's, as the adapter has no ${moduleOf(name)} of its own`, new Words(`${asked[0]}`))
  }
  for (const { name } of shared) wanted.delete(name)
  for (const name of instead.keys()) wanted.delete(name)
  if (wanted.size > 0)
    throw new BertletError(
      'not_found',
      `withAdapter: expected a base with ${[...wanted.keys()].join(', ')}, which the adapter has not`,
      'Put it on the model that it was trained on',
    )
  return { head, parts, own, shared, layout: layoutOf(parts.branches, config, before, instead) }
}

const lowRank = ({ module, n, k, r }: Branch): ParameterSpec[] => [
  { name: `${module}.lora_A.weight`, shape: [r, k], layout: 'panel', init: 'normal', why: WHY },
  { name: `${module}.lora_B.weight`, shape: [n, r], layout: 'panel', init: 'zeros', why: WHY },
]
const WHY = 'as adapter_config.json and the base say'

/** How the store holds an adapter's weights: in f32 always. */
export const adapterSpec = ({ held: name, shape, layout }: PlacedSpec) => ({
  name,
  shape,
  layout: layout === 'panel' ? ('panel' as const) : ('rows' as const),
})

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

/** Whether an adapter brings the head, or the part of it that is no pooler: then it says what the outputs mean. */
export const bringsHead = (head: Head, bert: BertConfig, { saved }: Pick<Parts, 'saved'>): boolean =>
  head.parameters(bert).some(({ name }) => saved.has(name))
