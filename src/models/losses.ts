// Labels to loss, with the semantics of Hugging Face transformers: what each head is held against, and the part of the graph that does it.
import { ElementLoss } from '../../assembly/abi.ts'
import { BertletError, expected, Words } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { crossEntropy, elementLoss, spanCrossEntropy } from '../graph/losses.ts'
import { SELECTED, SEQUENCES, TOKENS, type Tensor } from '../graph/tensor.ts'
import type { Chunk, PackedBatch } from './batch.ts'
import type { BertConfig, ProblemType } from './config.ts'
import { labelsOf, lossName, type Column, type LabelInputs, type LossTerm } from './labels.ts'
import type { AttentionImplementation } from './options.ts'
import { isGiven, rectangle, type Matrix } from './rectangle.ts'
import type { Selection } from './selection.ts'
import { forward, type Kept, type Site } from './variant.ts'

const TERM = { per: 'sequence', size: 1, column: 0, width: 1, weight: 1 } as const

/** The terms of a head's loss; none without labels. */
export function lossTerms(architecture: string, config: BertConfig, inputs: LabelInputs, batch: PackedBatch, choices: number): LossTerm[] {
  const { labels } = inputs
  if (!labelsOf(architecture).some((name) => isGiven(inputs[name]))) return []
  const words = (output: string): LossTerm[] =>
    isGiven(labels)
      ? [{ ...TERM, output, kind: 'rows', per: 'token', ...counted(tokenLabels(labels as Matrix, batch, config.vocab_size)) }]
      : []
  const classes = (name: keyof LabelInputs, output: string, limit: number, rows = batch.rows): LossTerm => ({
    ...TERM,
    output,
    kind: 'rows',
    ...counted(column(name, inputs[name] as Column, rows, limit)),
  })
  switch (architecture) {
    case 'BertForMaskedLM':
      return words('logits')
    case 'BertForPreTraining':
      return [
        ...words('prediction_logits'),
        ...(isGiven(inputs.next_sentence_label) ? [classes('next_sentence_label', 'seq_relationship_logits', 2)] : []),
      ]
    case 'BertForNextSentencePrediction':
      return [classes('labels', 'logits', 2)]
    case 'BertForTokenClassification':
      return [
        { ...TERM, output: 'logits', kind: 'rows', per: 'token', ...counted(tokenLabels(labels as Matrix, batch, config.num_labels)) },
      ]
    case 'BertForMultipleChoice': {
      const values = column('labels', labels as Column, batch.rows / choices, choices)
      return [{ ...TERM, output: 'logits', kind: 'span', per: 'group', size: choices, ...counted(values) }]
    }
    case 'BertForQuestionAnswering':
      return (['start_positions', 'end_positions'] as const).map((name, which) => {
        const value = inputs[name]
        if (!isGiven(value)) throw expected(architecture, 'start_positions and end_positions', new Words(`no ${name}`))
        return { ...TERM, output: 'logits', kind: 'span', column: which, weight: 0.5, ...counted(positions(name, value, batch)) }
      })
    default:
      return [classification(config, labels!, batch, classes)]
  }
}

/** What `problem_type` null means, as transformers infers it: one output is regression, whole numbers are classes, else several labels. */
export function problemType({ problem_type, num_labels }: BertConfig, labels: unknown): ProblemType {
  if (problem_type !== null) return problem_type
  if (num_labels === 1) return 'regression'
  return isTable(labels) ? 'multi_label_classification' : 'single_label_classification'
}

const isTable = (labels: unknown): boolean =>
  Array.isArray(labels) ? typeof labels[0] === 'object' : ((labels as { dims?: readonly number[] }).dims?.length ?? 1) > 1

function classification(
  config: BertConfig,
  labels: NonNullable<LabelInputs['labels']>,
  batch: PackedBatch,
  classes: (name: 'labels', output: string, limit: number) => LossTerm,
): LossTerm {
  const type = problemType(config, labels)
  if (type === 'single_label_classification') return classes('labels', 'logits', config.num_labels)
  const width = config.num_labels
  const values = targets(labels, batch.rows, width, type)
  const kind = type === 'regression' ? 'squared' : 'binary'
  return { ...TERM, output: 'logits', kind, width, values, count: values.length }
}

function counted(values: Int32Array): { values: Int32Array; count: number } {
  const count = values.reduce((n, label) => n + (label === IGNORED ? 0 : 1), 0)
  return { values, count }
}

const IGNORED = -100

function label(place: string, value: number, limit: number): number {
  if (value === IGNORED || (Number.isInteger(value) && value >= 0 && value < limit)) return value
  throw expected(place, `a whole number from 0 to ${limit - 1}, or -100 for what does not count`, value)
}

/** [B, L] to one label a packed token; labels of masked tokens do not count. */
function tokenLabels(labels: Matrix, batch: PackedBatch, limit: number): Int32Array {
  const r = rectangle('labels', labels)
  if (r.rows !== batch.rows || r.columns !== batch.columns) {
    throw expected('labels', `the shape of input_ids, [${batch.rows}, ${batch.columns}]`, new Words(`[${r.rows}, ${r.columns}]`))
  }
  const values = new Int32Array(batch.column.length)
  for (let row = 0; row < batch.rows; row++) {
    for (let t = batch.offsets[row]!; t < batch.offsets[row + 1]!; t++) {
      const at = batch.column[t]!
      values[t] = label(`labels[${row}][${at}]`, r.at(row, at), limit)
    }
  }
  return values
}

function list(name: string, value: Column, rows: number): number[] {
  const data = 'data' in (value as object) ? (value as { data: ArrayLike<number> }).data : (value as ArrayLike<number | bigint>)
  if (typeof data.length !== 'number' || data.length !== rows) throw expected(name, `${rows} numbers, one a row`, value)
  return Array.from(data, Number)
}

function column(name: string, value: Column, rows: number, limit: number): Int32Array {
  return Int32Array.from(list(name, value, rows), (x, row) => label(`${name}[${row}]`, x, limit))
}

/** Columns of the caller's rectangle to tokens counted from their row's first; as transformers, what is beyond does not count, and below 0 is 0. */
function positions(name: string, value: Column, batch: PackedBatch): Int32Array {
  return Int32Array.from(list(name, value, batch.rows), (wanted, row) => {
    if (!Number.isInteger(wanted)) throw expected(`${name}[${row}]`, 'a column', wanted)
    if (wanted >= batch.columns) return IGNORED
    const place = batch.column.subarray(batch.offsets[row], batch.offsets[row + 1]).indexOf(Math.max(wanted, 0))
    // What the mask removes is beyond the row, as it would be if the row were alone.
    return place < 0 ? IGNORED : place
  })
}

function targets(labels: NonNullable<LabelInputs['labels']>, rows: number, width: number, type: ProblemType): Float32Array {
  const flat = Array.isArray(labels)
    ? (labels as readonly unknown[]).flat()
    : 'data' in (labels as object)
      ? (labels as { data: ArrayLike<number> }).data
      : labels
  const values = Float32Array.from(flat as ArrayLike<number>, Number)
  if (values.length !== rows * width) {
    throw expected('labels', `${rows} rows of ${width} numbers, for ${type.replaceAll('_', ' ')}`, new Words(`${values.length} numbers`))
  }
  const odd = values.findIndex((x) => !Number.isFinite(x) || (type !== 'regression' && (x < 0 || x > 1)))
  if (odd >= 0)
    throw expected(
      `labels[${Math.floor(odd / width)}][${odd % width}]`,
      type === 'regression' ? 'a finite number' : 'a number from 0 to 1',
      values[odd],
    )
  return values
}

/** Adds each term to its total; each has a scale of its own, the input `scale.i`. */
export function buildLoss(
  g: Graph,
  terms: readonly LossTerm[],
  outputs: Readonly<Record<string, Tensor>>,
  totals: readonly Tensor[],
  selected: boolean,
): void {
  terms.forEach(({ output, kind, per, width, column: c }, i) => {
    const [logits, total] = [outputs[output]!, totals[i]!]
    const scale = g.input(`scale.${i}`, [1], 'f32')
    const rows = per === 'token' ? (selected ? SELECTED : TOKENS) : kind === 'span' ? SELECTED : SEQUENCES
    if (kind === 'rows') crossEntropy(g, logits, g.input(`labels.${i}`, [rows]), scale, total)
    else if (kind === 'span') {
      const spans = { starts: g.input('starts', [SELECTED]), ends: g.input('ends', [SELECTED]), labels: g.input(`labels.${i}`, [SELECTED]) }
      spanCrossEntropy(g, logits, c, spans, scale, total)
    } else {
      const values = g.input(`labels.${i}`, [SEQUENCES, width], 'f32')
      elementLoss(g, kind === 'squared' ? ElementLoss.Squared : ElementLoss.Binary, logits, values, scale, total)
    }
  })
}

/** What a chunk's loss reads. `scales` are 1 / labels of the whole step, weighted. */
export function lossInputs(
  terms: readonly LossTerm[],
  scales: readonly number[],
  batch: PackedBatch,
  chunk: Chunk,
  selection: Selection | undefined,
): Record<string, Int32Array | Float32Array> {
  const inputs: Record<string, Int32Array | Float32Array> = {}
  const { firstSequence, lastSequence, firstToken, lastToken } = chunk
  terms.forEach(({ kind, per, size, values, width }, i) => {
    const [first, last] = [firstSequence / size, lastSequence / size]
    inputs[`scale.${i}`] = Float32Array.of(scales[i]!)
    if (per !== 'token') inputs[`labels.${i}`] = values.subarray(first * width, last * width)
    else if (selection === undefined) inputs[`labels.${i}`] = values.subarray(firstToken, lastToken)
    else inputs[`labels.${i}`] = Int32Array.from(selection.tokens.subarray(chunk.firstSelected, chunk.lastSelected), (t) => values[t]!)
    if (kind !== 'span') return
    const bounds = (which: number): Int32Array =>
      Int32Array.from({ length: last - first }, (_, k) =>
        per === 'group' ? (k + which) * size : batch.offsets[firstSequence + k + which]! - firstToken,
      )
    inputs.starts = bounds(0)
    inputs.ends = bounds(1)
  })
  return inputs
}

/** 1 / labels of each term, weighted; a term without labels that count is refused. */
export function lossScales(terms: readonly LossTerm[]): number[] {
  return terms.map(({ count, weight, output }) => {
    if (count > 0) return Math.fround(weight / count)
    throw new BertletError(
      'invalid_argument',
      `labels: expected at least one that counts for ${output}, got only -100`,
      'A mean over nothing is no loss',
    )
  })
}

/** The forward for training: its losses are states, one a term. */
export function lossGraph(site: Site, attention: AttentionImplementation, kept: Kept): (g: Graph) => readonly Tensor[] {
  const { terms = [], selected = false } = kept
  return (g) => {
    const { outputs } = forward(g, site, attention, kept)
    const totals = terms.map((_, i) => g.state(`${site.place}${lossName(i)}`, [1]))
    buildLoss(g, terms, outputs, totals, selected)
    return totals
  }
}
