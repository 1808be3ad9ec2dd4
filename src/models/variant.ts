import { fuse } from '../graph/fuse.ts'
import { Graph } from '../graph/graph.ts'
import type { Tensor } from '../graph/tensor.ts'
import { bert, Parameters, type Encoded } from './bert.ts'
import { lossKey, lossName, type LossTerm } from './labels.ts'
import type { Dropout } from './dropout.ts'
import { buildHead } from './heads.ts'
import type { Loaded } from './load.ts'
import type { AttentionImplementation } from './options.ts'

/** A variant of a model's graph: what is computed and kept. Variants of equal key are equal. */
export interface Variant {
  readonly key: string
  readonly attention: AttentionImplementation
  readonly build: (g: Graph) => void
}

/** What a call keeps, and on what it runs. */
export interface Kept {
  readonly hidden?: boolean
  readonly attentions?: boolean
  readonly selected?: boolean
  readonly embeds?: boolean
  readonly terms?: readonly LossTerm[]
  /** Puts the terms into the graph: losses.ts, which is loaded with the first labels. */
  readonly buildLoss?: typeof import('./losses.ts').buildLoss | undefined
  /** Training with the config's dropout. */
  readonly dropout?: ((g: Graph) => Dropout) | undefined
}

export type Site = Pick<Loaded, 'head' | 'config' | 'trunk' | 'place' | 'poolerPlace'>

/** A head's graph, with what is to be kept of the trunk. */
export function headVariant(site: Site, attention: AttentionImplementation, kept: Kept): Variant {
  const { hidden = false, attentions = false, selected = false, embeds = false, terms = [], buildLoss } = kept
  const { architecture, pooler } = site.head
  return {
    key: [architecture, pooler, hidden, attentions, selected, embeds, lossKey(terms)].join('.'),
    attention,
    build: (g) => {
      const { encoded, outputs } = forward(g, site, attention, kept, true)
      for (const [name, tensor] of Object.entries(outputs)) g.output(name, tensor)
      if (hidden) encoded.hidden.forEach((tensor, i) => g.output(`hidden_states.${i}`, tensor))
      if (attentions) encoded.attentions.forEach((tensor, i) => g.output(`attentions.${i}`, tensor))
      // The host fills each with the sum so far: chunks add to it in their order, so any cut gives the same bits.
      const totals = terms.map((_, i) => g.input(lossName(i), [1], 'f32'))
      buildLoss?.(g, terms, outputs, totals, selected)
      totals.forEach((total, i) => g.output(lossName(i), total))
    },
  }
}

export function forward(
  g: Graph,
  site: Site,
  attention: AttentionImplementation,
  { hidden = false, embeds = false, selected = false, dropout }: Kept,
  inference = false,
): { encoded: Encoded; outputs: Record<string, Tensor> } {
  const { head, config, trunk, place, poolerPlace } = site
  const drop = dropout?.(g)
  const encoded = bert(g, config, trunk, { embeds, drop, attention, inference, firstOnly: head.firstOnly === true && !hidden })
  const outputs = buildHead(
    head,
    { g, config, trunk, selected, drop, p: new Parameters(g, place, trunk, drop), last: encoded.hidden.at(-1)! },
    new Parameters(g, poolerPlace, trunk, drop),
  )
  return { encoded, outputs }
}

export function inferenceGraph(variant: Variant): Graph {
  const g = new Graph()
  variant.build(g)
  fuse(g)
  return g
}
