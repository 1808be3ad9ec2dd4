import { checkOptions, wholeOf } from '../errors.ts'
import type { Loaded } from '../models/load.ts'
import { problemType } from '../models/losses.ts'
import type { TrainingInputs } from './prepared.ts'

/** A batch by its size alone. */
export interface BatchShape {
  /** Examples; by default what a full chunk holds. */
  readonly batch_size?: number
  /** Tokens of each; by default the model's `budget` or its longest text, whichever is less. */
  readonly sequence_length?: number
  /** Of heads that score words: labelled tokens of each example; 15 % by default. */
  readonly predictions_per_seq?: number
  /** Of BertForMultipleChoice; 2 by default. */
  readonly num_choices?: number
}

const SHAPE: readonly (keyof BatchShape)[] = ['batch_size', 'sequence_length', 'predictions_per_seq', 'num_choices']

/** Inputs of a shape with labels of the head's kind; their values do not matter. */
export function inputsOfShape({ head, config, budget }: Loaded, shape: BatchShape): TrainingInputs {
  checkOptions('the shape of a batch', shape, SHAPE)
  const whole = (name: keyof BatchShape, value: number): number => wholeOf(name, value, 1)
  const length = whole('sequence_length', shape.sequence_length ?? Math.min(budget, config.max_position_embeddings))
  const choices = head.architecture === 'BertForMultipleChoice' ? whole('num_choices', shape.num_choices ?? 2) : 1
  const rows = whole('batch_size', shape.batch_size ?? Math.max(1, Math.floor(budget / (length * choices))))
  const predicted = Math.min(length, whole('predictions_per_seq', shape.predictions_per_seq ?? Math.ceil(0.15 * length)))
  const table = <T>(value: T, n = length): T[][] => Array.from({ length: rows }, () => new Array<T>(n).fill(value))
  const column = new Array<number>(rows).fill(0)
  const words = table(0).map((row) => row.map((id, at) => (at < predicted ? id : -100)))
  const input_ids = table(0)
  switch (head.architecture) {
    case 'BertForMaskedLM':
      return { input_ids, labels: words }
    case 'BertForPreTraining':
      return { input_ids, labels: words, next_sentence_label: column }
    case 'BertForTokenClassification':
      return { input_ids, labels: table(0) }
    case 'BertForQuestionAnswering':
      return { input_ids, start_positions: column, end_positions: column }
    case 'BertForMultipleChoice':
      return { input_ids: input_ids.map((row) => new Array<number[]>(choices).fill(row)), labels: column }
    case 'BertForSequenceClassification': {
      const classes = problemType(config, column) === 'single_label_classification' || config.num_labels === 1
      return { input_ids, labels: classes ? column : table(0, config.num_labels) }
    }
    default:
      return { input_ids, labels: column }
  }
}
