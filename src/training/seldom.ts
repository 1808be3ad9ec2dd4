// What few programs call, in pieces that are loaded when they do.
import type { FewShotOptions, FewShotResult } from './few-shot.ts'
import type { BertPreTrainedModel } from '../models/model.ts'
import type { ContrastivePair } from './contrastive.ts'
import type { HeadTrainingOptions } from './head-training.ts'
import type { SentenceOptions } from './sentence-pass.ts'
import type { SentenceTraining } from './sentence-training.ts'

/** At one place: what is handed to a piece is written out where it is loaded. */
export const loadSentences = () => import('./sentences.ts')

/**
 * Turns some labelled texts, 8 to 64 a class, into a classifier.
 *
 *     const { model, tokenizer } = await fewShot(['great', 'awful', 'lovely', 'poor'], ['good', 'bad', 'good', 'bad'])
 *     await model.savePretrained('my-classifier', { tokenizer }) // pipeline('text-classification', 'my-classifier')
 *
 * The same texts give the same bits on every engine.
 *
 * @param labels a name or a number for each text.
 * @throws BertletError on a text that is none, a class without texts, and a single class.
 */
export async function fewShot(
  texts: readonly string[],
  labels: readonly (string | number)[],
  options: FewShotOptions = {},
): Promise<FewShotResult> {
  return (await loadSentences()).fewShot(texts, labels, options)
}

/** The pairs that an epoch of fewShot's contrastive tuning goes through, by the texts' numbers. */
export async function contrastivePairs(classes: ArrayLike<number>, seed: number, epoch = 0): Promise<ContrastivePair[]> {
  return (await loadSentences()).contrastivePairs(classes, seed, epoch)
}

/**
 * Steps of a loss on sentence embeddings, a level below the Trainer.
 *
 *     const training = await sentenceTraining(model, { loss: 'MultipleNegativesRankingLoss' }, { seed: 1 })
 *     const { loss } = await training.step({ input_ids: [[anchor, positive], [anchor2, positive2]] }, 2e-5)
 */
export async function sentenceTraining(
  model: BertPreTrainedModel,
  sentence: SentenceOptions,
  options: HeadTrainingOptions = {},
): Promise<SentenceTraining> {
  const { SentenceTraining: Training } = await loadSentences()
  return new Training(model, sentence, options)
}
