import type { Graph } from '../graph/graph.ts'
import { dropout, dropoutMaps, type DropoutPlaces, type MapDropout } from '../graph/dropout.ts'
import { SEQUENCES, TOKENS, type Tensor } from '../graph/tensor.ts'
import type { Chunk, PackedBatch } from './batch.ts'
import type { Selection } from './selection.ts'

/** Inputs that masks are drawn from. */
const INPUTS = {
  seeds: 'dropout.seeds',
  tokenExamples: 'dropout.examples',
  tokenPlaces: 'dropout.places',
  sequenceExamples: 'dropout.sequences',
  sequencePlaces: 'dropout.firsts',
  selectedExamples: 'dropout.selected_examples',
  selectedPlaces: 'dropout.selected_places',
} as const

/** Adapters count their own uses from here: those of the base keep their masks. */
const ADAPTERS = 1 << 16

/** Dropout of one graph: uses are numbered in the order of the forward, whether or not their probability is zero. */
export class Dropout {
  private uses = 0
  private adapters = ADAPTERS

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

  /** Of what an adapter reads: rows of tokens, sequences or selected tokens. */
  adapter(x: Tensor, p: number): Tensor {
    const stream = this.adapters++
    if (p === 0) return x
    const rows = x.shape[0]!
    const [examples, places] =
      rows === TOKENS
        ? [INPUTS.tokenExamples, INPUTS.tokenPlaces]
        : rows === SEQUENCES
          ? [INPUTS.sequenceExamples, INPUTS.sequencePlaces]
          : [INPUTS.selectedExamples, INPUTS.selectedPlaces]
    return dropout(this.g, x, p, stream, this.places(examples, places, rows))
  }

  /** Of attention maps, whichever op computes them. */
  maps(p: number): MapDropout | undefined {
    const stream = this.uses++
    return p === 0 ? undefined : { p, stream, places: this.places(INPUTS.sequenceExamples, INPUTS.sequencePlaces, SEQUENCES) }
  }

  /** Maps [seq][head][len][len] with such a mask. */
  masked(x: Tensor, offsets: Tensor, maps: MapDropout): Tensor {
    return dropoutMaps(this.g, x, offsets, maps)
  }

  private places(examples: string, places: string, rows: number): DropoutPlaces {
    const { g } = this
    return { examples: g.input(examples, [rows]), places: g.input(places, [rows]), seeds: g.input(INPUTS.seeds, [2]) }
  }
}

/** What a chunk's masks are drawn from. Examples are counted through the whole step, `first` being the batch's; so packing changes no mask. */
export function dropoutInputs(
  batch: PackedBatch,
  chunk: Chunk,
  { first, seed, step, selection }: { first: number; seed: number; step: number; selection?: Selection | undefined },
): Record<string, Int32Array> {
  const { firstSequence, lastSequence, firstToken, lastToken } = chunk
  const examples = new Int32Array(lastToken - firstToken)
  const places = new Int32Array(lastToken - firstToken)
  for (let s = firstSequence; s < lastSequence; s++) {
    for (let t = batch.offsets[s]!; t < batch.offsets[s + 1]!; t++) {
      examples[t - firstToken] = first + s
      places[t - firstToken] = t - batch.offsets[s]!
    }
  }
  const selected = selection?.tokens.subarray(chunk.firstSelected, chunk.lastSelected)
  const sequences = Int32Array.from({ length: lastSequence - firstSequence }, (_, i) => first + firstSequence + i)
  return {
    [INPUTS.seeds]: Int32Array.of(seed, step),
    [INPUTS.tokenExamples]: examples,
    [INPUTS.tokenPlaces]: places,
    [INPUTS.sequenceExamples]: sequences,
    [INPUTS.sequencePlaces]: new Int32Array(sequences.length),
    ...(selected && {
      [INPUTS.selectedExamples]: selected.map((t) => examples[t - firstToken]!),
      [INPUTS.selectedPlaces]: selected.map((t) => places[t - firstToken]!),
    }),
  }
}
