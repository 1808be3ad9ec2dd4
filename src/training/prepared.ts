import { expected } from '../errors.ts'
import type { Dims } from '../graph/tensor.ts'
import { chunks, packBatch, roundUp, type Chunk, type PackedBatch } from '../models/batch.ts'
import { flattenChoices, type ChoiceInputs } from '../models/choices.ts'
import type { Loaded } from '../models/load.ts'
import type { LossTerm } from '../models/labels.ts'
import { lossTerms } from '../models/losses.ts'
import type { ModelInputs } from '../models/model.ts'
import type { Selection } from '../models/selection.ts'

/** A part of a step: inputs with labels, as the model is called with. */
export type TrainingInputs = ModelInputs | ChoiceInputs

/** A part of a step, packed and cut. */
export interface Prepared {
  readonly batch: PackedBatch
  readonly terms: readonly LossTerm[]
  /** The labelled tokens, for heads that score words. */
  readonly selection: Selection | undefined
  readonly chunks: readonly Chunk[]
}

export function prepare({ head, config, budget }: Loaded, inputs: TrainingInputs): Prepared {
  const many = head.architecture === 'BertForMultipleChoice'
  const { choices: group, flat } = many ? flattenChoices(inputs as ChoiceInputs) : { choices: 1, flat: inputs as ModelInputs }
  const batch = packBatch(flat, config)
  const terms = lossTerms(head.architecture, config, flat, batch, group)
  if (terms.length === 0) throw expected(`training ${head.architecture}`, 'labels in every batch', inputs)
  const selection = head.decodes ? labelled(terms, batch) : undefined
  const spans = terms.some(({ kind }) => kind === 'span')
  return { batch, terms, selection, chunks: [...chunks(batch, budget, { selection, group, spans })] }
}

/** The tokens whose words are to be told. */
function labelled(terms: readonly LossTerm[], { offsets }: PackedBatch): Selection | undefined {
  const words = terms.find(({ per }) => per === 'token')
  if (words === undefined) return undefined
  const tokens: number[] = []
  const starts = new Int32Array(offsets.length)
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) if (words.values[t] !== -100) tokens.push(t)
    starts[row + 1] = tokens.length
  }
  return { offsets: starts, tokens: Int32Array.from(tokens) }
}

/**
 * Dims that hold every chunk and what came before: rounded up, so that a plan is not made anew for every longer text, but to no more than chunks
 * can have.
 */
export function boundOf(parts: readonly Prepared[], budget: number, before?: Dims): Dims {
  const all = [...parts.flatMap((part) => part.chunks.map(({ dims }) => dims)), ...(before ? [before] : [])]
  const most = (name: keyof Dims): number => Math.max(...all.map((dims) => dims[name]))
  const rounded = roundUp({ tokens: most('tokens'), sequences: most('sequences'), longest: most('longest'), squares: 0, selected: 0 })
  const tokens = most('tokens') <= budget ? Math.min(rounded.tokens, budget) : rounded.tokens
  const sequences = Math.min(rounded.sequences, tokens)
  const longest = Math.min(rounded.longest, tokens)
  return { tokens, sequences, longest, squares: longest * tokens, selected: Math.min(quarters(most('selected')), tokens) }
}

/** Up to the next quarter of a power of two: every selected token has a row as wide as the vocabulary. */
function quarters(n: number): number {
  let step = 1
  while (8 * step <= n) step *= 2
  return Math.ceil(n / step) * step
}

export const within = (parts: readonly Prepared[], bound: Dims): boolean =>
  parts.every((part) => part.chunks.every(({ dims }) => (Object.keys(bound) as (keyof Dims)[]).every((name) => dims[name] <= bound[name])))
