import { BertletError, wholeOf } from '../errors.ts'
import { BertConfig } from './config.ts'
import { initialize } from './initialize.ts'
import type { Loaded, PlacedSpec } from './load.ts'

/** Cuts or adds words: every parameter whose first dimension is the vocabulary. Rows that stay keep their bits. */
export async function resizeVocabulary(loaded: Loaded, vocab_size: number, seed: number): Promise<void> {
  const { engine, config, id } = loaded
  wholeOf('resizeTokenEmbeddings', vocab_size, 1, 1 << 24, ', a number of words')
  if (engine.shared || loaded.adapter !== undefined) {
    throw new BertletError(
      'invalid_argument',
      'resizeTokenEmbeddings: other models work on this trunk',
      'Dispose of them first, and make them again from the resized model',
    )
  }
  const { dtype = 'f32' } = loaded.trunk
  if (dtype !== 'f32') {
    throw new BertletError(
      'unsupported',
      `resizeTokenEmbeddings: expected weights in f32, got ${dtype}`,
      'Load with dtype f32, resize, save, and quantise that',
    )
  }
  await engine.exclusively(async () => {
    const { store } = engine
    const { pad_token_id: pad } = config
    const next = new BertConfig({ ...config.toJSON(), vocab_size, pad_token_id: pad !== null && pad < vocab_size ? pad : null }, 'config')
    // Plans name the old addresses.
    engine.forget(`${id}|`)
    const kept = Math.min(vocab_size, config.vocab_size)
    const resized = loaded.specs.map((spec): PlacedSpec => {
      if (!hasVocabulary(spec)) return spec
      const { held, layout } = spec
      const shape = [vocab_size, ...spec.shape.slice(1)]
      const width = shape[1] ?? 1
      const rows = store.read(held).subarray(0, kept * width)
      store.drop(held)
      const weight = store.hold({ name: held, shape, layout: layout === 'panel' ? 'panel' : 'rows' })
      const grown = { ...spec, shape }
      if (shape.length > 1) {
        store.writeRows(held, 0, rows)
        if (kept < vocab_size) initialize(store, weight, grown, config.initializer_range, seed, kept)
      } else {
        const values = new Float32Array(vocab_size)
        values.set(rows)
        store.write(held, values)
      }
      return grown
    })
    loaded.specs = resized
    loaded.config = next
  })
}

const hasVocabulary = ({ name }: PlacedSpec): boolean =>
  name === 'embeddings.word_embeddings.weight' || name === 'cls.predictions.bias' || /^cls\.predictions\.decoder\.(weight|bias)$/.test(name)
