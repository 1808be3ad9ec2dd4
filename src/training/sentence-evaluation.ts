import type { BertPreTrainedModel } from '../models/model.ts'
import { Tensor } from '../models/tensor.ts'
import { pick, type Dataset } from './dataset.ts'
import { countTokens, type Evaluation, type EvaluationOptions } from './evaluation.ts'
import { SentencePass, type SentenceOptions } from './sentence-pass.ts'
import { prepareSentences } from './sentence-training.ts'

/**
 * Runs a data set of texts in columns through a model, without dropout. The loss is the mean over its batches, each weighed by its examples, since a loss
 * looks at a batch as a whole; predictions are the cosines of each example's first two texts, [N].
 */
export async function evaluateSentences<F>(
  model: BertPreTrainedModel,
  sentences: SentenceOptions,
  dataset: Dataset<F>,
  { collate, batch_size, keep, signal, onBatch }: EvaluationOptions<F>,
): Promise<Evaluation> {
  const pass = new SentencePass(model.loaded, sentences, false)
  const [cosines, labels]: [number[], number[]] = [[], []]
  let [sum, tokens] = [0, 0]
  try {
    for (let first = 0; first < dataset.length; first += batch_size) {
      signal?.throwIfAborted()
      const indices = Array.from({ length: Math.min(batch_size, dataset.length - first) }, (_, i) => first + i)
      const inputs = await collate(await pick(dataset, indices, 0))
      const part = prepareSentences(model.loaded, pass, inputs)
      const embeddings = await pass.embed([part], { seed: 0, step: 0 }, signal)
      sum += (await pass.loss(embeddings, [part], signal)).loss * indices.length
      tokens += countTokens(inputs)
      if (keep) {
        cosines.push(...cosinesOf(embeddings, model.config.hidden_size, part.columns))
        labels.push(...(part.labels ?? []))
      }
      await onBatch?.(first + indices.length)
    }
  } finally {
    pass.forget()
  }
  const column = (values: number[]): Tensor => new Tensor(Float32Array.from(values), [values.length])
  return { loss: sum / dataset.length, tokens, ...(keep && { predictions: column(cosines), label_ids: column(labels) }) }
}

/** Of the first two rows of each `columns` rows. */
function cosinesOf(rows: Float32Array, width: number, columns: number): number[] {
  const product = (a: number, b: number): number => {
    let sum = 0
    for (let j = 0; j < width; j++) sum += rows[a * width + j]! * rows[b * width + j]!
    return sum
  }
  return Array.from({ length: rows.length / width / columns }, (_, i) => {
    const [a, b] = [i * columns, i * columns + 1]
    return product(a, b) / Math.max(Math.sqrt(product(a, a) * product(b, b)), 1e-24)
  })
}
