// A data set through a model: the loss over all of it, and what the model says.
import { BertletError, expected, Words } from '../errors.ts'
import { labelsOf, lossParts, type LabelInputs } from '../models/labels.ts'
import type { BertPreTrainedModel, ModelOutput } from '../models/model.ts'
import { Tensor, type TensorData } from '../models/tensor.ts'
import type { DataCollator, Dataset } from './dataset.ts'
import { pick } from './dataset.ts'
import type { TrainingInputs } from './head-training.ts'
import { IGNORED } from './masking.ts'

/** A head's only output, or its outputs by name. */
export type Predictions = Tensor | Readonly<Record<string, Tensor>>
/** The head's only labels, or its labels by name. */
export type LabelIds = Tensor | Readonly<Record<string, Tensor>>

/** What compute_metrics is given, as transformers' EvalPrediction. */
export interface EvalPrediction {
  /** [N, ...], padded with -100. Of heads that score words, [R, V] at the labelled positions alone. */
  readonly predictions: Predictions
  readonly label_ids: LabelIds
}

/** Names to numbers; each comes out with `eval_` before its name. */
export type ComputeMetrics = (prediction: EvalPrediction) => Record<string, number> | Promise<Record<string, number>>

/** What is kept of a batch's outputs, e.g. the best word in place of all scores. Tensors' first dimension must stay. */
export type PreprocessLogits = (outputs: Readonly<Record<string, Tensor>>, inputs: TrainingInputs) => Readonly<Record<string, Tensor>>

export interface EvaluationOptions<F> {
  readonly collate: DataCollator<F>
  readonly batch_size: number
  /** Whether outputs and labels are kept. */
  readonly keep: boolean
  readonly preprocess?: PreprocessLogits | undefined
  readonly signal?: AbortSignal | undefined
  readonly onBatch?: (done: number) => void | Promise<void>
}

export interface Evaluation {
  /** The mean over every label that counts, each kind of labels by itself, however the data are cut; undefined without labels. */
  readonly loss: number | undefined
  readonly predictions?: Predictions
  readonly label_ids?: LabelIds
  readonly tokens: number
}

/** Runs a data set through a model, without dropout. */
export async function evaluateDataset<F>(
  model: BertPreTrainedModel,
  dataset: Dataset<F>,
  { collate, batch_size, keep, preprocess, signal, onBatch }: EvaluationOptions<F>,
): Promise<Evaluation> {
  const { architecture, decodes } = model.loaded.head
  const names = labelsOf(architecture)
  const [outputs, labels] = [new Gatherer(), new Gatherer()]
  const terms: { sum: number; weight: number }[] = []
  let tokens = 0
  for (let first = 0; first < dataset.length; first += batch_size) {
    signal?.throwIfAborted()
    const indices = Array.from({ length: Math.min(batch_size, dataset.length - first) }, (_, i) => first + i)
    const inputs = await collate(await pick(dataset, indices, 0))
    const given = names.filter((name) => inputs[name] !== undefined)
    // A batch without labels that count has outputs and no loss.
    const counts = given.some((name) => anyCounts(inputs[name]))
    const asked = counts ? inputs : without(inputs, given)
    const words = decodes ? labelledColumns(inputs) : undefined
    const { loss, ...rest } = await call(model, { ...asked, ...(words && { logits_positions: words }), signal })
    if (counts)
      lossParts.get(loss!)!.forEach(({ mean, count }, i) => {
        const term = (terms[i] ??= { sum: 0, weight: 0 })
        term.sum += mean * count
        term.weight += count
      })
    tokens += countTokens(inputs)
    if (keep) {
      const results = rest as Record<string, Tensor>
      outputs.add(preprocess ? preprocess(results, inputs) : results)
      labels.add(Object.fromEntries(given.map((name) => [name, labelTensor(inputs, name, words)])))
    }
    await onBatch?.(first + indices.length)
  }
  const loss = terms.length > 0 ? terms.reduce((total, { sum, weight }) => total + sum / weight, 0) : undefined
  if (loss !== undefined && !Number.isFinite(loss)) throw notFinite(loss)
  return { loss, tokens, ...(keep && { predictions: outputs.result(), label_ids: labels.result() }) }
}

type Call = (inputs: TrainingInputs) => Promise<ModelOutput & Record<string, Tensor>>

const call = (model: BertPreTrainedModel, inputs: TrainingInputs): ReturnType<Call> => (model as unknown as Call)(inputs)

const notFinite = (loss: number): BertletError =>
  new BertletError(
    'not_finite',
    `evaluation: expected a finite loss, got ${loss}`,
    'The weights have grown without bound: go back to an earlier checkpoint and lower learning_rate',
  )

function without(inputs: TrainingInputs, names: readonly string[]): TrainingInputs {
  return Object.fromEntries(Object.entries(inputs).filter(([name]) => !names.includes(name)))
}

function anyCounts(value: unknown): boolean {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value) !== IGNORED
  const list = Array.isArray(value) ? (value as unknown[]) : Array.from(((value as Tensor)?.data ?? value) as ArrayLike<number>)
  return list.some(anyCounts)
}

/** Real tokens of a batch. */
export function countTokens({ attention_mask, input_ids }: TrainingInputs): number {
  const count = (value: unknown): number => {
    if (typeof value === 'number' || typeof value === 'bigint') return Number(attention_mask ? value : 1)
    const list = Array.isArray(value) ? (value as unknown[]) : Array.from(((value as Tensor)?.data ?? value ?? []) as ArrayLike<number>)
    return list.reduce<number>((sum, each) => sum + count(each), 0)
  }
  return count(attention_mask ?? input_ids)
}

/** Rows of a matrix, whatever holds it. */
function matrix(value: unknown): ArrayLike<number>[] {
  if (Array.isArray(value)) return value as ArrayLike<number>[]
  const { data, dims } = value as Tensor
  return Array.from({ length: dims[0]! }, (_, i) => data.subarray(i * dims[1]!, (i + 1) * dims[1]!))
}

/** Columns of each row whose label counts. */
function labelledColumns({ labels, attention_mask }: TrainingInputs): number[][] | undefined {
  if (labels === undefined || labels === null) return undefined
  const mask = attention_mask ? matrix(attention_mask) : undefined
  const columns = matrix(labels).map((row, r) =>
    Array.from(row, Number).flatMap((label, c) => (label !== IGNORED && (mask === undefined || mask[r]![c] === 1) ? [c] : [])),
  )
  if (columns.some(({ length }) => length > 0)) return columns
  throw expected('labels', 'a word to be found in every batch of an evaluation', new Words('only -100'))
}

function labelTensor(inputs: TrainingInputs, name: keyof LabelInputs, words: number[][] | undefined): Tensor<TensorData> {
  const value = inputs[name] as unknown
  if (words !== undefined && name === 'labels') {
    const rows = matrix(value)
    const list = words.flatMap((columns, r) => columns.map((c) => Number(rows[r]![c])))
    return new Tensor(Int32Array.from(list), [list.length])
  }
  const rows = Array.isArray(value) ? (value as unknown[]) : Array.from(((value as Tensor).data ?? value) as ArrayLike<number>)
  const flat = rows.flatMap((row) => (typeof row === 'object' ? Array.from(row as ArrayLike<number>, Number) : Number(row)))
  const width = flat.length / rows.length
  const dims = typeof rows[0] === 'object' ? [rows.length, width] : [rows.length]
  return new Tensor(flat.every(Number.isInteger) ? Int32Array.from(flat) : Float32Array.from(flat), dims)
}

/** Batches' tensors one under the other; where rows differ in length, the shorter are padded with -100. */
class Gatherer {
  private readonly parts = new Map<string, Tensor<TensorData>[]>()

  add(tensors: Readonly<Record<string, Tensor<TensorData>>>): void {
    for (const [name, tensor] of Object.entries(tensors)) {
      if (!(tensor instanceof Tensor)) throw expected(`predictions.${name}`, 'a Tensor', tensor)
      this.parts.set(name, [...(this.parts.get(name) ?? []), tensor])
    }
  }

  /** One tensor when there is one, else all by name. */
  result(): Predictions {
    const all = Object.fromEntries([...this.parts].map(([name, list]) => [name, stack(list)]))
    const names = Object.keys(all)
    return names.length === 1 ? all[names[0]!]! : all
  }
}

function stack(list: readonly Tensor<TensorData>[]): Tensor {
  const rows = list.reduce((sum, { dims }) => sum + dims[0]!, 0)
  const columns = list[0]!.dims.length > 1 ? Math.max(...list.map(({ dims }) => dims[1]!)) : 1
  const width = list[0]!.dims.slice(2).reduce((product, n) => product * n, 1)
  const floats = list.some(({ type }) => type === 'float32')
  const size = rows * columns * width
  const data = floats ? new Float32Array(size) : new Int32Array(size)
  if (list.some(({ dims }) => (dims[1] ?? 1) < columns)) data.fill(IGNORED)
  let row = 0
  for (const tensor of list) {
    const step = (tensor.dims[1] ?? 1) * width
    for (let r = 0; r < tensor.dims[0]!; r++) data.set(tensor.data.subarray(r * step, (r + 1) * step), row++ * columns * width)
  }
  return new Tensor(data, [rows, ...(list[0]!.dims.length > 1 ? [columns] : []), ...list[0]!.dims.slice(2)]) as Tensor
}
