// A batch whose rows have adapters of their own, as PEFT's `adapter_names`: rows of one adapter run together, and come back in the caller's order.
import { BertletError, expected, nearest, show, Words } from '../errors.ts'
import { BASE_ROWS } from './adapters.ts'
import type { Loaded } from './load.ts'
import type { Tensor } from './tensor.ts'

type Inputs = Readonly<Record<string, unknown>>
type Outputs = Readonly<Record<string, unknown>>

/** What has a row for each row of the batch. */
const BY_ROWS = ['input_ids', 'inputs_embeds', 'attention_mask', 'token_type_ids', 'position_ids', 'logits_positions'] as const

/** What a model hands over: what its head takes as labels, how it makes a tensor, and how it answers rows that have the same adapter. */
interface Ways {
  readonly labels: readonly string[]
  readonly tensor: typeof Tensor
  readonly run: (on: Loaded, inputs: Inputs) => Promise<object>
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

/** Answers a call that names an adapter for every row. */
export async function mixed(loaded: Loaded, call: Inputs, { labels, tensor, run }: Ways): Promise<object> {
  const { adapter_names: names, ...inputs } = call
  const base = loaded.adapter?.base ?? loaded
  const rows = rowsOf(inputs)
  if (!Array.isArray(names) || names.length !== rows) throw expected('adapter_names', `${rows} names, one a row`, names)
  const label = labels.find((name) => isGiven(inputs[name]))
  if (label !== undefined)
    throw new BertletError(
      'invalid_argument',
      `adapter_names: expected no ${label}`,
      'A loss over several adapters is none: call each on its rows',
    )
  const groups = new Map<Loaded, number[]>()
  for (const [row, name] of (names as unknown[]).entries()) {
    const on = find(base, name, row)
    groups.set(on, [...(groups.get(on) ?? []), row])
  }
  const parts: Part[] = []
  for (const [on, own] of groups) {
    const chosen = Object.fromEntries(
      Object.entries(inputs).map(([key, value]) => [key, isByRows(key, value) ? select(value, own) : value]),
    )
    parts.push({ rows: own, outputs: (await run(on, chosen)) as Outputs })
  }
  const positions = inputs.logits_positions as readonly ArrayLike<number>[] | null | undefined
  return join(
    parts,
    positions?.map(({ length }) => length),
    rows,
    tensor,
  )
}

interface Part {
  readonly rows: readonly number[]
  readonly outputs: Outputs
}

function find(base: Loaded, name: unknown, row: number): Loaded {
  const on = name === BASE_ROWS ? base : base.adapters.get(name as string)
  if (on !== undefined && !on.disposed) return on
  const known = [...base.adapters.keys(), BASE_ROWS]
  const near = nearest(String(name), known)
  const fix = `${near === undefined ? '' : `Did you mean ${near}? `}There are ${known.join(', ')}`
  throw expected(
    `adapter_names[${row}]`,
    'the name of an adapter on this base',
    on === undefined ? name : new Words(`${show(name)}, which is disposed of`),
    fix,
  )
}

const isByRows = (key: string, value: unknown): boolean => (BY_ROWS as readonly string[]).includes(key) && isGiven(value)

function rowsOf(inputs: Inputs): number {
  const value = inputs.input_ids ?? inputs.inputs_embeds
  const rows = Array.isArray(value) ? value.length : (value as { dims?: readonly number[] } | undefined)?.dims?.[0]
  if (Number.isInteger(rows)) return rows!
  throw expected('adapter_names', 'input_ids beside them', value)
}

/** Rows of nested arrays, or of values with dims. */
function select(value: unknown, rows: readonly number[]): unknown {
  if (Array.isArray(value)) return rows.map((row) => value[row] as unknown)
  const { data, dims } = value as { data: ArrayLike<unknown>; dims: readonly number[] }
  const width = data.length / dims[0]!
  return {
    data: rows.flatMap((row) => Array.from({ length: width }, (_, i) => data[row * width + i])),
    dims: [rows.length, ...dims.slice(1)],
  }
}

/** Each output as if one call had given it. `lengths`: rows of word scores that each row of the batch has. */
function join(parts: readonly Part[], lengths: readonly number[] | undefined, rows: number, tensor: typeof Tensor): Outputs {
  const merge = (values: readonly unknown[], count: (row: number) => number): unknown => {
    const [first] = values
    if (!Array.isArray(first)) return new tensor(...merged(values as Tensor[], parts, count, rows))
    return first.map((_, i) => merge(values.map((value) => (value as unknown[])[i]), count)) // prettier-ignore
  }
  return Object.fromEntries(
    Object.keys(parts[0]!.outputs).map((name) => {
      const count = (row: number): number => (lengths !== undefined && WORD_SCORES.includes(name) ? lengths[row]! : 1)
      return [name, merge(parts.map(({ outputs }) => outputs[name]), count)] // prettier-ignore
    }),
  )
}

/** Outputs that stand one after the other for chosen positions. */
const WORD_SCORES = ['logits', 'prediction_logits']

/** Data and dims. */
function merged(
  tensors: readonly Tensor[],
  parts: readonly Part[],
  count: (row: number) => number,
  rows: number,
): [data: Float32Array<ArrayBuffer>, dims: number[]] {
  const rest = tensors[0]!.dims.slice(1)
  const odd = tensors.find(({ dims }) => dims.slice(1).join() !== rest.join())
  if (odd !== undefined) {
    const fix = 'Only adapters with heads of one width can answer one batch'
    throw expected('adapter_names', `outputs of one shape, [.., ${rest.join(', ')}]`, `[.., ${odd.dims.slice(1).join(', ')}]`, fix)
  }
  const starts = [0]
  for (let row = 0; row < rows; row++) starts.push(starts[row]! + count(row))
  const width = rest.reduce((product, n) => product * n, 1)
  const data = new Float32Array(starts[rows]! * width)
  for (const [i, { data: values }] of tensors.entries()) {
    let at = 0
    for (const row of parts[i]!.rows) {
      data.set(values.subarray(at, (at += count(row) * width)), starts[row]! * width)
    }
  }
  return [data, [starts[rows]!, ...rest]]
}
