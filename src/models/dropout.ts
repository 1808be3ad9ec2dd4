import type { Graph } from '../graph/graph.ts'
import { dropout, type DropoutPlaces, type MapDropout } from '../graph/ops.ts'
import { SEQUENCES, TOKENS, type Tensor } from '../graph/tensor.ts'
import type { Chunk, PackedBatch } from './batch.ts'

/** Inputs that masks are drawn from. */
const INPUTS = {
  seeds: 'dropout.seeds',
  tokenExamples: 'dropout.examples',
  tokenPlaces: 'dropout.places',
  sequenceExamples: 'dropout.sequences',
  sequencePlaces: 'dropout.firsts',
} as const

/** Dropout of one graph: uses are numbered in the order of the forward, whether or not their probability is zero. */
export class Dropout {
  private uses = 0

  constructor(private readonly g: Graph) {}

  /** x [T][H]. */
  tokens(x: Tensor, p: number): Tensor {
    const stream = this.uses++
    return p === 0 ? x : dropout(this.g, x, p, stream, this.places(INPUTS.tokenExamples, INPUTS.tokenPlaces, TOKENS))
  }

  /** x [B][H]. */
  sequences(x: Tensor, p: number): Tensor {
    const stream = this.uses++
    return p === 0 ? x : dropout(this.g, x, p, stream, this.places(INPUTS.sequenceExamples, INPUTS.sequencePlaces, SEQUENCES))
  }

  /** Of attention maps, whichever op computes them. */
  maps(p: number): MapDropout | undefined {
    const stream = this.uses++
    return p === 0 ? undefined : { p, stream, places: this.places(INPUTS.sequenceExamples, INPUTS.sequencePlaces, SEQUENCES) }
  }

  private places(examples: string, places: string, rows: number): DropoutPlaces {
    const { g } = this
    return { examples: g.input(examples, [rows]), places: g.input(places, [rows]), seeds: g.input(INPUTS.seeds, [2]) }
  }
}

/** What a chunk's masks are drawn from. Examples are counted through the whole step, `first` being the batch's; so packing changes no mask. */
export function dropoutInputs(batch: PackedBatch, chunk: Chunk, first: number, seed: number, step: number): Record<string, Int32Array> {
  const { firstSequence, lastSequence, firstToken, lastToken } = chunk
  const examples = new Int32Array(lastToken - firstToken)
  const places = new Int32Array(lastToken - firstToken)
  for (let s = firstSequence; s < lastSequence; s++) {
    for (let t = batch.offsets[s]!; t < batch.offsets[s + 1]!; t++) {
      examples[t - firstToken] = first + s
      places[t - firstToken] = t - batch.offsets[s]!
    }
  }
  const sequences = Int32Array.from({ length: lastSequence - firstSequence }, (_, i) => first + firstSequence + i)
  return {
    [INPUTS.seeds]: Int32Array.of(seed, step),
    [INPUTS.tokenExamples]: examples,
    [INPUTS.tokenPlaces]: places,
    [INPUTS.sequenceExamples]: sequences,
    [INPUTS.sequencePlaces]: new Int32Array(sequences.length),
  }
}
