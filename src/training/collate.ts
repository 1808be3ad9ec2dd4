import { expected, Words } from '../errors.ts'
import { labelsOf, type LabelInputs } from '../models/labels.ts'
import type { DataCollator, Feature } from './dataset.ts'
import { IGNORED } from './masking.ts'

/** Heads with a label a token: their labels are padded as the tokens are. */
const OF_TOKENS = ['BertForMaskedLM', 'BertForPreTraining', 'BertForTokenClassification']
const ROWS = ['input_ids', 'attention_mask', 'token_type_ids'] as const

type Row = ArrayLike<number>

/**
 * What a Trainer does with features unless it is told otherwise: rows are padded to the longest, with an attention mask, and the labels that
 * the model takes are stacked.
 *
 *     const collate = dataCollatorFor('BertForSequenceClassification')
 *     const inputs = collate([{ input_ids: [2, 5, 3], label: 1 }, { input_ids: [2, 3], label: 0 }])
 */
export function dataCollatorFor(architecture: string): DataCollator {
  const takes = labelsOf(architecture)
  const perToken = OF_TOKENS.includes(architecture)
  return (features) => {
    const many = architecture === 'BertForMultipleChoice'
    const rows = features.map((feature, i) => rowsOf(feature, i, many))
    const longest = Math.max(...rows.flat().map(({ input_ids }) => input_ids.length))
    const inputs: Record<string, unknown> = {}
    for (const name of ROWS) {
      if (name === 'token_type_ids' && !rows.flat().some((row) => row.token_type_ids !== undefined)) continue
      const padded = rows.map((each) => each.map((row) => pad(row[name] ?? filled(row.input_ids.length, name), longest, 0)))
      inputs[name] = many ? padded : padded.flat()
    }
    for (const name of takes) {
      const labels = features.map((feature) => labelOf(feature, name))
      const absent = labels.findIndex((label) => label === undefined)
      if (labels.every((label) => label === undefined)) continue
      if (absent >= 0) throw expected(`features[${absent}]`, `${name}, as others have`, features[absent])
      inputs[name] = perToken && name === 'labels' ? labels.map((label, i) => tokenLabels(label, rows[i]![0]!, i, longest)) : labels
    }
    return inputs
  }
}

type Rows = Partial<Record<(typeof ROWS)[number], Row>> & { input_ids: Row }

/** The rows of a feature: its choices, or itself. */
function rowsOf(feature: Feature, i: number, many: boolean): Rows[] {
  const isRow = (value: unknown): value is Row => typeof (value as Row)?.length === 'number' && typeof (value as Row)[0] === 'number'
  const ids = feature?.input_ids
  const good = many ? Array.isArray(ids) && ids.length > 0 && (ids as unknown[]).every(isRow) : isRow(ids)
  if (!good) throw expected(`features[${i}].input_ids`, many ? 'rows of token ids, one a choice' : 'token ids', ids)
  return Array.from({ length: many ? ids.length : 1 }, (_, choice) => {
    const row: Record<string, Row> = {}
    for (const name of ROWS) {
      const value = feature[name]
      if (value === undefined || value === null) continue
      const list = (many ? value[choice] : value) as Row
      if (isRow(list) && (row.input_ids === undefined || list.length === row.input_ids.length)) row[name] = list
      else throw expected(`features[${i}].${name}`, `${row.input_ids?.length ?? 'as many'} numbers, as input_ids has`, list)
    }
    return row as Rows
  })
}

const filled = (length: number, name: string): Row => new Array<number>(length).fill(name === 'attention_mask' ? 1 : 0)

function pad(row: Row, length: number, value: number): number[] {
  return [...Array.from(row), ...new Array<number>(length - row.length).fill(value)]
}

function labelOf(feature: Feature, name: keyof LabelInputs): unknown {
  if (name === 'labels') return feature.labels ?? feature.label ?? feature.label_ids
  return feature[name as 'start_positions']
}

function tokenLabels(label: unknown, { input_ids }: Rows, i: number, longest: number): number[] {
  const length = (label as Row).length
  if (typeof label === 'object' && length === input_ids.length) return pad(label as Row, longest, IGNORED)
  const got = length === undefined ? label : new Words(`${length}`)
  throw expected(`features[${i}].labels`, `a label for each of ${input_ids.length} tokens`, got, '-100 is for tokens that do not count')
}
