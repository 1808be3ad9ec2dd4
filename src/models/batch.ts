import { BertletError, expected, Words } from '../errors.ts'
import type { Dims } from '../graph/tensor.ts'
import type { BertConfig } from './config.ts'
import { depthOf, isGiven, rectangle, vectors, type Matrix, type Rectangle, type Vectors } from './rectangle.ts'
import type { Selection } from './selection.ts'

export interface BatchInputs {
  /** [B, L] */
  readonly input_ids?: Matrix | null
  /** [B, L, H] instead of input_ids: takes the place of the word embeddings. */
  readonly inputs_embeds?: Vectors | null
  /** [B, L] of 0 and 1; all ones by default. */
  readonly attention_mask?: Matrix | null
  /** [B, L]; zeros by default. */
  readonly token_type_ids?: Matrix | null
  /** [B, L]; the columns by default. */
  readonly position_ids?: Matrix | null
}

/** Only the real tokens, sequence after sequence. */
export interface PackedBatch {
  /** Of the caller's rectangle. */
  readonly rows: number
  readonly columns: number
  /** B+1 starts into the arrays below. */
  readonly offsets: Int32Array
  /** Rows of the word table, or, with `embeds`, of those. */
  readonly ids: Int32Array
  /** The caller's vectors, [T][H]. */
  readonly embeds?: Float32Array
  readonly types: Int32Array
  readonly positions: Int32Array
  /** Column of each token in the caller's rectangle. */
  readonly column: Int32Array
}

/** Checks a rectangular batch and packs its unmasked tokens; positions stay those of the rectangle. */
export function packBatch(inputs: BatchInputs, config: BertConfig): PackedBatch {
  const embeds = isGiven(inputs.inputs_embeds) ? vectors('inputs_embeds', inputs.inputs_embeds, config.hidden_size) : undefined
  if (embeds !== undefined && isGiven(inputs.input_ids))
    throw new BertletError('invalid_argument', 'expected input_ids or inputs_embeds, got both', 'Leave one of the two out')
  const ids = embeds ?? rectangle('input_ids', inputs.input_ids!)
  const { rows, columns } = ids
  const other = (name: 'attention_mask' | 'token_type_ids' | 'position_ids'): Rectangle | undefined => {
    const value = inputs[name]
    if (!isGiven(value)) return undefined
    if (name === 'attention_mask' && depthOf(value) > 2) {
      throw new BertletError(
        'unsupported',
        'attention_mask: expected [B, L], got more dimensions',
        '3-D masks are out of scope: say which tokens count',
      )
    }
    const r = rectangle(name, value)
    if (r.rows === rows && r.columns === columns) return r
    const of = embeds ? 'inputs_embeds' : 'input_ids'
    throw expected(name, `the shape of ${of}, [${rows}, ${columns}]`, new Words(`[${r.rows}, ${r.columns}]`))
  }
  const mask = other('attention_mask')
  const types = other('token_type_ids')
  const positions = other('position_ids')
  if (columns > config.max_position_embeddings && positions === undefined) throw tooLong(columns, config)

  const offsets = new Int32Array(rows + 1)
  const size = rows * columns
  const packed = { ids: new Int32Array(size), types: new Int32Array(size), positions: new Int32Array(size), column: new Int32Array(size) }
  const width = config.hidden_size
  const packedEmbeds = embeds && new Float32Array(size * width)
  let t = 0
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const keep = mask === undefined ? 1 : mask.at(row, column)
      if (keep !== 0 && keep !== 1) throw expected(`attention_mask[${row}][${column}]`, '0 or 1', keep)
      if (keep === 0) continue
      if (embeds) {
        packed.ids[t] = t
        embeds.copy(row, column, packedEmbeds!.subarray(t * width, (t + 1) * width))
      } else packed.ids[t] = within('input_ids', ids as Rectangle, row, column, config.vocab_size)
      packed.types[t] = types ? within('token_type_ids', types, row, column, config.type_vocab_size) : 0
      packed.positions[t] = positions ? within('position_ids', positions, row, column, config.max_position_embeddings) : column
      packed.column[t++] = column
    }
    if (t === offsets[row]) {
      throw new BertletError(
        'invalid_argument',
        `attention_mask: row ${row} masks every token`,
        'Give each row at least one 1, or leave the row out',
      )
    }
    offsets[row + 1] = t
  }
  return {
    rows,
    columns,
    offsets,
    ids: packed.ids.subarray(0, t),
    ...(packedEmbeds && { embeds: packedEmbeds.subarray(0, t * width) }),
    types: packed.types.subarray(0, t),
    positions: packed.positions.subarray(0, t),
    column: packed.column.subarray(0, t),
  }
}

export function tooLong(length: number, config: Pick<BertConfig, 'max_position_embeddings'>): BertletError {
  return new BertletError(
    'invalid_argument',
    `input_ids: expected at most ${config.max_position_embeddings} tokens, the model's limit, got ${length}`,
    'Shorten the text, or tokenize with { truncation: true }',
  )
}

function within(name: string, r: Rectangle, row: number, column: number, limit: number): number {
  const value = r.at(row, column)
  if (Number.isInteger(value) && value >= 0 && value < limit) return value
  throw expected(
    `${name}[${row}][${column}]`,
    `a whole number from 0 to ${limit - 1}`,
    value,
    name === 'input_ids' ? 'Use the tokenizer that belongs to this checkpoint' : undefined,
  )
}

/** Whole sequences that run together. */
export interface Chunk {
  readonly firstSequence: number
  readonly lastSequence: number
  readonly firstToken: number
  readonly lastToken: number
  /** Into the call's selection. */
  readonly firstSelected: number
  readonly lastSelected: number
  readonly dims: Dims
}

/** Cuts a batch into chunks of whole sequences of at most `budget` tokens; a longer sequence is a chunk of its own. */
export function* chunks({ offsets }: Pick<PackedBatch, 'offsets'>, budget: number, selection?: Selection): Generator<Chunk> {
  const count = offsets.length - 1
  for (let first = 0; first < count;) {
    let last = first + 1
    while (last < count && offsets[last + 1]! - offsets[first]! <= budget) last++
    let [longest, squares] = [0, 0]
    for (let s = first; s < last; s++) {
      const length = offsets[s + 1]! - offsets[s]!
      longest = Math.max(longest, length)
      squares += length * length
    }
    const [firstToken, lastToken] = [offsets[first]!, offsets[last]!]
    const [firstSelected, lastSelected] = [selection?.offsets[first] ?? 0, selection?.offsets[last] ?? 0]
    const selected = lastSelected - firstSelected
    const dims = { tokens: lastToken - firstToken, sequences: last - first, longest, squares, selected }
    yield { firstSequence: first, lastSequence: last, firstToken, lastToken, firstSelected, lastSelected, dims }
    first = last
  }
}

/** Dims rounded up to powers of two, so that few plans serve all chunks. */
export function roundUp(dims: Dims): Dims {
  const up = (n: number, least: number): number => Math.max(least, 1 << (32 - Math.clz32(n - 1)))
  const [tokens, sequences, longest] = [up(dims.tokens, 64), up(dims.sequences, 1), up(dims.longest, 64)]
  // sum of squares <= longest * sum
  return { tokens, sequences, longest, squares: longest * tokens, selected: dims.selected && up(dims.selected, 1) }
}
