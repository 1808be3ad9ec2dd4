// Pre-training of one model, and what it is held against: loss of masked words and accuracy of next sentences on documents held out.
import { HeadTraining, learningRateAt } from '../../dist/training.js'

const IGNORED = -100
/** Rows of one evaluation call. */
const EVALUATED = 64

/** Rows of instances, padded on the right, as a model takes them. */
export function collate(instances) {
  const longest = Math.max(...instances.map(({ input_ids }) => input_ids.length))
  const padded = (values, filler) => [...values, ...new Array(longest - values.length).fill(filler)]
  return {
    input_ids: instances.map(({ input_ids }) => padded(input_ids, 0)),
    attention_mask: instances.map(({ input_ids }) => padded(new Array(input_ids.length).fill(1), 0)),
    token_type_ids: instances.map(({ token_type_ids }) => padded(token_type_ids, 0)),
    labels: instances.map(({ labels }) => padded(labels, IGNORED)),
    next_sentence_label: instances.map(({ next_sentence_label }) => next_sentence_label),
  }
}

export async function allInstances(data) {
  const instances = []
  for (let i = 0; i < data.length; i++) instances.push(await data.get(i))
  return instances
}

/** So many instances, drawn by the data's seed. */
export async function sample(data, count) {
  const instances = []
  for (const index of data.order().subarray(0, count)) instances.push(await data.get(index))
  return instances
}

const targetsOf = (instances) => instances.flatMap(({ labels }) => labels.filter((label) => label !== IGNORED))

/**
 * What knowing no context costs, in nats a masked word: `entropy`, of the held-out targets' own distribution, which no guess without context
 * can beat; and `unigram`, the cross-entropy of those targets under the frequencies of the training tokens, each count one more.
 */
export function baselines(trained, heldOut, size) {
  const targets = targetsOf(heldOut)
  const own = new Map()
  for (const id of targets) own.set(id, (own.get(id) ?? 0) + 1)
  const counts = new Float64Array(size).fill(1)
  for (const { input_ids, labels } of trained) input_ids.forEach((id, i) => counts[labels[i] === IGNORED ? id : labels[i]]++)
  const total = counts.reduce((a, b) => a + b)
  return {
    targets: targets.length,
    entropy: -[...own.values()].reduce((sum, n) => sum + (n / targets.length) * Math.log(n / targets.length), 0),
    unigram: -targets.reduce((sum, id) => sum + Math.log(counts[id] / total), 0) / targets.length,
  }
}

/** Means over all masked words and all pairs. */
export async function evaluate(model, instances) {
  let [loss, words, right] = [0, 0, 0]
  for (let i = 0; i < instances.length; i += EVALUATED) {
    const part = instances.slice(i, i + EVALUATED)
    const { input_ids, attention_mask, token_type_ids, next_sentence_label } = collate(part)
    const logits_positions = part.map(({ masked_lm_positions }) => masked_lm_positions)
    const { prediction_logits, seq_relationship_logits } = await model({ input_ids, attention_mask, token_type_ids, logits_positions })
    const targets = targetsOf(part)
    const size = prediction_logits.dims[1]
    targets.forEach((id, row) => {
      const scores = prediction_logits.data.subarray(row * size, (row + 1) * size)
      let [most, sum] = [-Infinity, 0]
      for (const score of scores) most = Math.max(most, score)
      for (const score of scores) sum += Math.exp(score - most)
      loss += most + Math.log(sum) - scores[id]
    })
    words += targets.length
    part.forEach((_, row) => {
      const [next, random] = seq_relationship_logits.data.subarray(2 * row, 2 * row + 2)
      if ((random > next ? 1 : 0) === next_sentence_label[row]) right++
    })
  }
  return { mlm_loss: loss / words, nsp_accuracy: right / instances.length }
}

/** Accuracy's distance from chance in standard errors of a fair coin. */
export const errorsAboveChance = (accuracy, pairs) => (accuracy - 0.5) / (0.5 / Math.sqrt(pairs))

/** Trains in place and yields what a log has a line for. `every`: steps between evaluations on `some` of what is held out; the last sees all. */
export async function* pretrain(model, data, heldOut, { steps, batch, learning_rate, seed, every, some = heldOut }) {
  const training = new HeadTraining(model, { weight_decay: 0.01, max_grad_norm: 1, seed })
  // Up over a tenth of the steps, then down to 0.
  const schedule = { learning_rate, lr_scheduler_type: 'linear', warmup_steps: Math.ceil(steps / 10), total_steps: steps }
  const start = performance.now()
  let [tokens, loss, since] = [0, 0, 0]
  const line = async (step) => ({
    step,
    tokens,
    ...(step > 0 && { loss: loss / since }),
    ...(await evaluate(model, step === steps ? heldOut : some)),
    seconds: Math.round((performance.now() - start) / 1000),
  })
  yield await line(0)
  let step = 0
  for (let epoch = 0; step < steps; epoch++) {
    let rows = []
    for await (const instance of data.instances({ epoch })) {
      if (rows.push(instance) < batch) continue
      const { loss: told } = await training.step(collate(rows), learningRateAt(step, schedule))
      loss += told
      since++
      tokens += rows.reduce((sum, { input_ids }) => sum + input_ids.length, 0)
      rows = []
      if (++step % every === 0 || step === steps) {
        yield await line(step)
        ;[loss, since] = [0, 0]
      }
      if (step === steps) break
    }
  }
  await training.dispose()
}
