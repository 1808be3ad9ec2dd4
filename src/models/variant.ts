import { fuse } from '../graph/fuse.ts'
import { Graph } from '../graph/graph.ts'
import { bert, Parameters } from './bert.ts'
import { buildHead } from './heads.ts'
import type { Loaded } from './load.ts'
import type { AttentionImplementation } from './options.ts'

/** A variant of a model's graph: what is computed and kept. Variants of equal key are equal. */
export interface Variant {
  readonly key: string
  readonly attention: AttentionImplementation
  readonly build: (g: Graph) => void
}

type Site = Pick<Loaded, 'head' | 'config' | 'trunk' | 'place' | 'poolerPlace'>

/** A head's graph, with what is to be kept of the trunk. */
export function headVariant(
  { head, config, trunk, place, poolerPlace }: Site,
  attention: AttentionImplementation,
  { hidden = false, attentions = false, selected = false, embeds = false },
): Variant {
  return {
    key: [head.architecture, head.pooler, hidden, attentions, selected, embeds].join('.'),
    attention,
    build: (g) => {
      const encoded = bert(g, config, trunk, { embeds })
      const site = { g, config, trunk, selected, p: new Parameters(g, place), last: encoded.hidden.at(-1)! }
      const outputs = buildHead(head, site, new Parameters(g, poolerPlace))
      for (const [name, tensor] of Object.entries(outputs)) g.output(name, tensor)
      if (hidden) encoded.hidden.forEach((tensor, i) => g.output(`hidden_states.${i}`, tensor))
      if (attentions) encoded.attentions.forEach((tensor, i) => g.output(`attentions.${i}`, tensor))
    },
  }
}

export function inferenceGraph(variant: Variant): Graph {
  const g = new Graph()
  variant.build(g)
  fuse(g, { attention: variant.attention })
  return g
}
