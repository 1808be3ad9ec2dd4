import { expected, Words } from '../errors.ts'
import { isGiven } from './rectangle.ts'
import type { ModelInputs } from './model.ts'

/** Values [B, C, L], as callers have them. */
export type Choices =
  | readonly (readonly (readonly (number | bigint)[] | Int32Array | BigInt64Array)[])[]
  | { readonly data: ArrayLike<number> | BigInt64Array; readonly dims: readonly number[] }

/** Vectors [B, C, L, H]. */
export type ChoiceVectors =
  | readonly (readonly (readonly (readonly number[] | Float32Array)[])[])[]
  | { readonly data: ArrayLike<number>; readonly dims: readonly number[] }

const MATRICES = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'] as const

export interface ChoiceInputs extends Omit<ModelInputs, (typeof MATRICES)[number] | 'inputs_embeds'> {
  readonly input_ids?: Choices | null
  readonly inputs_embeds?: ChoiceVectors | null
  readonly attention_mask?: Choices | null
  readonly token_type_ids?: Choices | null
  readonly position_ids?: Choices | null
}

/** The inputs as B * C rows, and C. */
export function flattenChoices(inputs: ChoiceInputs): { choices: number; flat: ModelInputs } {
  let choices: number | undefined
  const flatten = (name: string, value: unknown, rank: number): unknown => {
    const { count, rows } = Array.isArray(value) ? nested(name, value) : withDims(name, value, rank)
    choices ??= count
    if (count === choices) return rows
    throw expected(name, `${choices} choices an example, as the other inputs`, new Words(`${count}`))
  }
  const flat: Record<string, unknown> = { ...inputs }
  for (const name of MATRICES) if (isGiven(inputs?.[name])) flat[name] = flatten(name, inputs[name], 3)
  if (isGiven(inputs?.inputs_embeds)) flat.inputs_embeds = flatten('inputs_embeds', inputs.inputs_embeds, 4)
  return { choices: choices ?? 1, flat }
}

const EXAMPLE = 'For one example of two choices write [[[101, ..., 102], [101, ..., 102]]]'

function nested(name: string, value: readonly unknown[]): { count: number; rows: unknown } {
  const first = value[0]
  const count = Array.isArray(first) ? first.length : 0
  const odd = value.findIndex((example) => !Array.isArray(example) || example.length !== count || !example.every((row) => isList(row)))
  if (count === 0 || odd >= 0) {
    const got = new Words(count === 0 ? 'none in example 0' : `another shape in example ${odd}`)
    throw expected(name, 'examples of as many choices each, [B, C, L]', got, EXAMPLE)
  }
  return { count, rows: (value as unknown[][]).flat(1) }
}

const isList = (row: unknown): boolean => typeof row === 'object' && row !== null && 'length' in row

function withDims(name: string, value: unknown, rank: number): { count: number; rows: unknown } {
  const { data, dims } = (value ?? {}) as { data?: unknown; dims?: readonly number[] }
  if (data === undefined || !Array.isArray(dims) || dims.length !== rank) {
    throw expected(
      name,
      `${rank} dims, [B, C, L${rank === 4 ? ', H' : ''}]`,
      Array.isArray(dims) ? new Words(`[${dims.join(', ')}]`) : value,
      EXAMPLE,
    )
  }
  const [batch, count, ...rest] = dims as number[]
  return { count: count!, rows: { data, dims: [batch! * count!, ...rest] } }
}
