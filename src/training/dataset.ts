import { expected } from '../errors.ts'
import type { TrainingInputs } from './head-training.ts'
import { IGNORED } from './masking.ts'
import { RandomStream } from './random.ts'

/** One example, not padded. Beside these fields it may hold others; the collator takes those that the model knows. */
export interface Feature {
  readonly input_ids: ArrayLike<number> | readonly ArrayLike<number>[]
  readonly token_type_ids?: ArrayLike<number> | readonly ArrayLike<number>[]
  readonly attention_mask?: ArrayLike<number> | readonly ArrayLike<number>[]
  /** A class, a number, one class a token, or a number for each label. `label` and `label_ids` mean the same. */
  readonly labels?: number | ArrayLike<number>
  readonly label?: number | ArrayLike<number>
  readonly label_ids?: number | ArrayLike<number>
  readonly next_sentence_label?: number
  readonly start_positions?: number
  readonly end_positions?: number
}

/** What an example takes. */
export interface ExampleSize {
  readonly tokens: number
  /** Of heads that score words: tokens with a label. */
  readonly labelled?: number
}

/** Examples by number. `epoch` is for those that are made anew each time, such as masked words. */
export interface Dataset<F = Feature> {
  readonly length: number
  get(index: number, epoch: number): F | Promise<F>
  /** Where it is known without making the example: then a Trainer takes the memory of its largest batch before the first step, or says that it does not fit. */
  size?(index: number): ExampleSize
  /** What batch_sampler 'no_duplicates' keeps apart: texts, in any form in which equal ones are equal. */
  texts?(index: number): readonly string[]
}

/** Features to what the model takes. */
export type DataCollator<F = Feature> = (features: readonly F[]) => TrainingInputs | Promise<TrainingInputs>

/** An array as a Dataset; a Dataset as it is. */
export function toDataset<F>(name: string, given: Dataset<F> | readonly F[]): Dataset<F> {
  const dataset = Array.isArray(given)
    ? {
        length: given.length,
        get: (i: number): F => (given as readonly F[])[i]!,
        size: (i: number) => sizeOf((given as readonly Partial<Feature>[])[i]!),
      }
    : (given as Dataset<F>)
  if (typeof dataset?.get !== 'function' || !Number.isInteger(dataset.length))
    throw expected(name, 'an array of features, or an object with length and get(index, epoch)', given)
  if (dataset.length > 0) return dataset
  throw expected(name, 'at least one example', given, 'There is nothing to learn from nothing')
}

/** Of a feature; what is wrong with one is told when it is collated. */
function sizeOf({ input_ids, attention_mask, labels, label, label_ids }: Partial<Feature>): ExampleSize {
  const tokens = attention_mask === undefined || attention_mask === null ? count(input_ids) : count(attention_mask, 0)
  return { tokens, labelled: count(labels ?? label ?? label_ids, IGNORED) }
}

/** Numbers of a row, or of a row of rows, but for those that are `not`. */
function count(value: unknown, not?: number): number {
  const { length } = (value ?? {}) as ArrayLike<unknown>
  if (typeof length !== 'number' || typeof value === 'string') return 0
  const row = value as ArrayLike<unknown>
  if (not === undefined && typeof row[0] === 'number') return length
  let sum = 0
  for (let i = 0; i < length; i++) sum += typeof row[i] === 'number' ? Number(row[i] !== not) : count(row[i], not)
  return sum
}

/** In the counter's last word, beside those of PretrainingData. */
const ORDER = 0x64_00_00_04

/** The order in which an epoch sees the examples: of (seed, epoch) alone. */
export function epochOrder(length: number, seed: number, epoch: number): Uint32Array {
  return new RandomStream(seed, [0, epoch, ORDER]).shuffle(Uint32Array.from({ length }, (_, i) => i))
}

/** The examples of a list of indices. */
export async function pick<F>(dataset: Dataset<F>, indices: ArrayLike<number>, epoch: number): Promise<F[]> {
  const features: F[] = []
  for (let i = 0; i < indices.length; i++) features.push(await dataset.get(indices[i]!, epoch))
  return features
}
