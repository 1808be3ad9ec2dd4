// Texts to the smoothing of a model in 8 bits, and what it is worth on texts that it has not seen.
import { BertletError } from '../errors.ts'
import { AutoModel, BertModel, inspect, Tokenizer, type Source } from '../index.node.ts'
import { calibrate } from '../training.ts'
import { batches as textBatches } from './lines.ts'

/** Of vectors to f32's. */
export interface Cosines {
  readonly mean: number
  readonly worst: number
}

export interface Smoothed {
  /** To be loaded in 8 bits. */
  readonly source: Source
  readonly cosines: { readonly texts: number; readonly plain: Cosines; readonly smoothed: Cosines }
}

const BATCH = 32
/** Texts that are looked at: more change nothing. */
const MOST = 2048
/** Every so many texts is kept to measure on. */
const HELD = 5

export async function smoothed(from: Source, file: string, signal: AbortSignal): Promise<Smoothed> {
  const texts: string[] = []
  for await (const entries of textBatches([], { file }, MOST, signal)) {
    texts.push(...entries.map(({ text }) => text).filter((text) => text.trim() !== ''))
    if (texts.length >= MOST) break
  }
  if (texts.length < HELD)
    throw new BertletError(
      'invalid_file',
      `${file}: expected ${HELD} texts or more, one a line, got ${texts.length}`,
      'A few hundred are enough',
    )
  const held = texts.filter((_, i) => i % HELD === 0)
  const seen = texts.filter((_, i) => i % HELD !== 0)
  const tokenizer = await Tokenizer.fromPretrained(from, { signal })
  const { config, missing } = await inspect(from, { signal })
  const max_length = Math.min(tokenizer.model_max_length ?? Infinity, config.max_position_embeddings)
  const batchesOf = (list: readonly string[]) =>
    Array.from({ length: Math.ceil(list.length / BATCH) }, (_, i) =>
      tokenizer(list.slice(i * BATCH, (i + 1) * BATCH), { padding: true, truncation: true, max_length }),
    )
  /** The mean of each text's last hidden states, as unit vectors. */
  const vectorsOf = async (source: Source, dtype: 'f32' | 'int8'): Promise<Float64Array[]> => {
    const model = await BertModel.fromPretrained(source, { dtype, add_pooling_layer: false, signal })
    try {
      const vectors: Float64Array[] = []
      for (const inputs of batchesOf(held)) vectors.push(...means(await model({ ...inputs, signal }), inputs.attention_mask))
      return vectors
    } finally {
      await model.dispose()
    }
  }

  const add_pooling_layer = !missing.some((name) => name.startsWith('pooler.'))
  const model = await AutoModel.fromPretrained(from, { dtype: 'f32', add_pooling_layer, signal })
  let source: Source
  try {
    source = await calibrate(model, batchesOf(seen), { signal })
  } finally {
    await model.dispose()
  }
  const exact = await vectorsOf(from, 'f32')
  const [plain, smooth] = [await vectorsOf(from, 'int8'), await vectorsOf(source, 'int8')]
  return { source, cosines: { texts: held.length, plain: compare(plain, exact), smoothed: compare(smooth, exact) } }
}

function means(
  { last_hidden_state: { data, dims } }: { last_hidden_state: { data: Float32Array; dims: readonly number[] } },
  mask: readonly ArrayLike<number>[],
): Float64Array[] {
  const [rows, columns, width] = dims as [number, number, number]
  return Array.from({ length: rows }, (_, row) => {
    const sum = new Float64Array(width)
    for (let column = 0; column < columns; column++) {
      if (mask[row]![column] === 1) for (let j = 0; j < width; j++) sum[j]! += data[(row * columns + column) * width + j]!
    }
    const norm = Math.hypot(...sum)
    return sum.map((x) => x / norm)
  })
}

function compare(vectors: readonly Float64Array[], exact: readonly Float64Array[]): Cosines {
  const cosines = vectors.map((vector, i) => vector.reduce((sum, x, j) => sum + x * exact[i]![j]!, 0))
  return { mean: cosines.reduce((sum, x) => sum + x, 0) / cosines.length, worst: Math.min(...cosines) }
}
