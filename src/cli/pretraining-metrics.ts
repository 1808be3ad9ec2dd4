// How good a model is at what it was pre-trained on, and what one gets without a model.
import { Tensor } from '../index.node.ts'
import type { ComputeMetrics, PretrainingData, PreprocessLogits } from '../training.ts'

const IGNORED = -100

/** Of a batch's scores only what the metrics need: the loss of each masked word, and whether each pair was judged rightly. */
export const shrink: PreprocessLogits = (outputs, inputs) => {
  const words = outputs.prediction_logits ?? outputs.logits!
  const targets = (inputs.labels as readonly (readonly number[])[]).flatMap((row) => row.filter((id) => id !== IGNORED))
  const nll = Float32Array.from(targets, (id, row) => loss(words.data, row, words.dims[1]!, id))
  const pairs = outputs.seq_relationship_logits
  const labels = inputs.next_sentence_label as readonly number[]
  return {
    nll: new Tensor(nll, [nll.length]),
    ...(pairs && {
      right: new Tensor(
        Float32Array.from(labels, (label, i) => (pairs.data[2 * i + label]! > pairs.data[2 * i + 1 - label]! ? 1 : 0)),
        [labels.length],
      ),
    }),
  }
}

/** -ln of a word's softmax probability. */
function loss(scores: ArrayLike<number>, row: number, width: number, id: number): number {
  const first = row * width
  let most = -Infinity
  for (let i = 0; i < width; i++) most = Math.max(most, scores[first + i]!)
  let total = 0
  for (let i = 0; i < width; i++) total += Math.exp(scores[first + i]! - most)
  return Math.log(total) + most - scores[first + id]!
}

/** Nats a masked word, the share of words' pairs judged rightly with the standard error of that share, and the yardsticks of `unigram`. */
export const pretrainingMetrics =
  (unigram: Readonly<Record<string, number>>): ComputeMetrics =>
  ({ predictions }) => {
    const { nll, right } = (predictions instanceof Tensor ? { nll: predictions } : predictions) as { nll: Tensor; right?: Tensor }
    const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, x) => sum + x, 0) / values.length
    const accuracy = right && mean(right.data)
    return {
      mlm_loss: mean(nll.data),
      masked_tokens: nll.data.length,
      ...unigram,
      ...(accuracy !== undefined && {
        nsp_accuracy: accuracy,
        nsp_standard_error: Math.sqrt((accuracy * (1 - accuracy)) / right!.data.length),
        pairs: right!.data.length,
      }),
    }
  }

/**
 * What a model that knows only how frequent words are would get, in nats, counted on the very text that it is measured on:
 * `unigram_entropy` is the mean of -ln p over the masked words, p = (count + 1) / (tokens + words of the vocabulary), counts of all tokens of the
 * measured text but [CLS] and [SEP]; `unigram_entropy_unsmoothed` is the entropy of that text's own frequencies, the least that such a model can get.
 */
export async function unigram(data: PretrainingData, vocabulary: number): Promise<Record<string, number>> {
  const counts = new Float64Array(vocabulary)
  const targets: number[] = []
  let tokens = 0
  for (let i = 0; i < data.length; i++) {
    const { input_ids, labels, token_type_ids } = await data.get(i, 0)
    const separator = token_type_ids.indexOf(1) - 1
    input_ids.forEach((id, at) => {
      if (at === 0 || at === separator || at === input_ids.length - 1) return
      const masked = labels[at] !== IGNORED
      const original = masked ? labels[at]! : id
      if (masked) targets.push(original)
      counts[original]!++
      tokens++
    })
  }
  const smooth = targets.reduce((sum, id) => sum - Math.log((counts[id]! + 1) / (tokens + vocabulary)), 0)
  const own = counts.reduce((sum, count) => (count === 0 ? sum : sum - (count / tokens) * Math.log(count / tokens)), 0)
  return { unigram_entropy: smooth / targets.length, unigram_entropy_unsmoothed: own }
}
