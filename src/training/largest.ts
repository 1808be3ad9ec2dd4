// The batches that take the most memory. The order of examples is that of the seed, so they are known before the first step, and what does not fit
// is told then and not hours later.
import { chunks } from '../models/batch.ts'
import type { Batches } from './batches.ts'
import type { Dataset } from './dataset.ts'
import { turn } from './turn.ts'

/** A part of a step. */
export interface Batch {
  /** From 1. */
  readonly step: number
  readonly epoch: number
  readonly indices: Uint32Array
}

/** How a training is cut. */
export interface Cut {
  readonly batches: Batches
  readonly steps: number
  /** Tokens that run together. */
  readonly budget: number
}

/** What a chunk's memory is made of. */
const MEASURES = ['tokens', 'sequences', 'longest', 'selected'] as const

/** Examples that are looked at, if that is an epoch or more: later ones would change little, and are told at their step if they do. */
const FAR = 1 << 20
/** Examples between two turns of the event loop. */
const PAUSE = 1 << 16

/** For each measure a batch with the chunk in which it is the most; nothing of a data set that does not tell its sizes. */
export async function largestBatches<F>(
  dataset: Dataset<F>,
  { batches, steps, budget }: Cut,
  signal: AbortSignal | undefined,
): Promise<Batch[]> {
  if (dataset.size === undefined) return []
  const { length } = dataset
  const [tokens, labelled] = [new Int32Array(length), new Int32Array(length)]
  for (let i = 0; i < length; i++) ({ tokens: tokens[i], labelled: labelled[i] = 0 } = dataset.size(i))
  const most = MEASURES.map(() => -1)
  const found: Batch[] = []
  let seen = 0
  for (let epoch = 0, step = 0; step < steps && (epoch === 0 || seen < FAR); epoch++) {
    if (Math.floor(seen / PAUSE) < Math.floor((seen += length) / PAUSE)) await turn(signal)
    for (const parts of batches.steps(epoch)) {
      if (step++ === steps) break
      for (const indices of parts) {
        const [offsets, selected] = [sums(indices, tokens), sums(indices, labelled)]
        for (const { dims } of chunks({ offsets }, budget, { selection: { offsets: selected, tokens: selected } })) {
          MEASURES.forEach((name, i) => {
            if (dims[name] <= most[i]!) return
            most[i] = dims[name]
            found[i] = { step, epoch, indices }
          })
        }
      }
    }
  }
  return [...new Set(found)]
}

/** Running sums of the values at `indices`, from 0. */
function sums(indices: Uint32Array, values: Int32Array): Int32Array {
  const out = new Int32Array(indices.length + 1)
  indices.forEach((index, i) => (out[i + 1] = out[i]! + values[index]!))
  return out
}
