// Every head, hidden_act and attention implementation equals PyTorch's float64; see test/golden/generate_heads.py.
import * as bertlet from '../../src/index.ts'
import type { GoldenTensor } from '../support/safetensors.ts'
import { check, close, same, type ConformanceCase, type Files } from './case.ts'
import { ACTIVATIONS, HEADS, inputsOf, readHeads, wanted, type GoldenHeads, type Head } from './golden-heads.ts'

export type Attention = 'sdpa' | 'eager'
export interface Value {
  readonly data: Float32Array
  readonly dims: readonly number[]
}
export type Output = Readonly<Record<string, Value | readonly Value[] | undefined>>
/** What these cases use of every class, whatever its inputs and outputs. */
export interface AnyModel {
  (inputs: object): Promise<Output>
  savePretrained(target: object): Promise<void>
  dispose(): Promise<void>
}
export interface AnyClass {
  fromPretrained(from: bertlet.Source, options?: object): Promise<AnyModel>
}
/** On the calling thread, where no worker has to start: any number of threads gives the same bits (reproducible.ts). */
export const HERE = { threads: 0 } as const
export const CLASSES = bertlet as unknown as Readonly<Record<Head | 'AutoModel', AnyClass>>

/** One f32 rounding of the stored value, which is of unit scale. */
const STORED = 2 ** -24
/** At most 4 times PyTorch's own float32 error, and 2e-5 in any case. */
export const tolerance = (golden: GoldenHeads, key: string): number => Math.min(2e-5, 4 * golden.float32_error[key]! + 4 * STORED)

/** Runs with a model that is disposed afterwards. */
export async function using<T>(model: AnyModel, run: (model: AnyModel) => Promise<T>): Promise<T> {
  try {
    return await run(model)
  } finally {
    await model.dispose()
  }
}

/** An output by its name in the golden files: `hidden_states.1` is the second of hidden_states. */
export function pick(output: Output, name: string): Value {
  const [series, i] = name.split('.') as [string, string?]
  const value = output[series]
  const found = i === undefined ? (value as Value | undefined) : (value as readonly Value[] | undefined)?.[Number(i)]
  check(found !== undefined, `expected an output ${name}, got ${Object.keys(output).join(', ')}`)
  return found
}

/** Every head of a trunk: its outputs on every batch, and hidden states and maps where the golden files have them. */
function parity(activation: string, head: Head, attn_implementation: Attention, precision: 'exact' | 'fast' = 'exact'): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const golden = await readHeads(files, activation)
    const model = await CLASSES[head].fromPretrained(golden.source(head), { ...HERE, attn_implementation, precision })
    await using(model, async () => {
      for (const batch of golden.batches) {
        const states = golden.tensors.has(`${batch}.BertModel.hidden_states.0`)
        const output = await model({
          ...inputsOf(golden, batch, head),
          output_hidden_states: states,
          output_attentions: states && attn_implementation === 'eager',
        })
        same(Object.keys(output).includes('attentions'), states && attn_implementation === 'eager', `${batch}: attentions given`)
        for (const [key, want] of wanted(golden, batch, head)) {
          const name = key.split('.').slice(2).join('.')
          if (name.startsWith('attentions') && attn_implementation !== 'eager') continue
          const got = pick(output, name)
          same(got.dims, want.dims, `${key}: dims`)
          close(got.data, want.data, tolerance(golden, key), key)
        }
      }
    })
  }
  return { name: `${head}, ${activation}, ${attn_implementation}`, run }
}

/** The same tolerances with multiply-adds of one rounding, which are off by less. */
export const FAST_HEADS: ConformanceCase[] = HEADS.flatMap((head) =>
  (['sdpa', 'eager'] as const).flatMap((attention) =>
    (head === 'BertModel' ? ACTIVATIONS : (['gelu'] as const)).map((activation) => parity(activation, head, attention, 'fast')),
  ),
)

/**
 * A known divergence: where column 0 is masked, Hugging Face pools what it computed for that masked token, and bertlet the row's first real
 * token, which is what Hugging Face gives for the row without its padding on the left (the golden files hold that too).
 */
function divergence(head: Head, output: string): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const golden = await readHeads(files, 'gelu')
    await using(await CLASSES[head].fromPretrained(golden.source(head), HERE), async (model) => {
      for (const batch of ['left', 'gappy', 'embeds']) {
        const key = `${batch}.${head}.${output}`
        const theirs = golden.tensors.get(`${key}.column_0`)!
        const mask = golden.tensors.get(`${batch}.attention_mask`)!
        const ours = pick(await model(inputsOf(golden, batch, head)), output)
        const rows = mask.dims[0]!
        const off = rowErrors(ours.data, theirs, rows)
        for (let row = 0; row < rows; row++) {
          const kept = mask.data[row * mask.dims[1]!] === 1
          check(
            kept === off[row]! <= tolerance(golden, key),
            `${key}, row ${row}: column 0 is ${kept ? 'real' : 'masked'}, ${off[row]} off`,
          )
        }
      }
    })
  }
  return { name: `${head}: ${output} of a row whose first column is masked is not Hugging Face's`, run }
}

/** The largest error in each row. */
function rowErrors(got: Float32Array, want: GoldenTensor, rows: number): number[] {
  const width = got.length / rows
  return Array.from({ length: rows }, (_, row) =>
    Math.max(...Array.from({ length: width }, (_, i) => Math.abs(got[row * width + i]! - want.data[row * width + i]!))),
  )
}

/** Heads that read first tokens compute no others behind the last layer's attention, unless they are asked for: bit for bit the same. */
function firstTokens(head: Head, output: string, attn_implementation: Attention): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const golden = await readHeads(files, 'gelu')
    await using(await CLASSES[head].fromPretrained(golden.source(head), { ...HERE, attn_implementation }), async (model) => {
      for (const batch of golden.batches) {
        const inputs = inputsOf(golden, batch, head)
        const whole = await model({ ...inputs, output_hidden_states: true })
        sameBits(pick(await model(inputs), output).data, pick(whole, output).data, `${batch}: ${output}`)
      }
    })
  }
  return { name: `${head}, ${attn_implementation}: keeping hidden states changes no bit`, run }
}

/** Scores at chosen positions, in any order and more than once, are the full scores' rows, bit for bit. */
function selection(activation: string, head: Head, output: string, attn_implementation: Attention): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const golden = await readHeads(files, activation)
    const inputs = inputsOf(golden, 'gappy', head)
    const mask = golden.tensors.get('gappy.attention_mask')!
    const [rows, columns] = mask.dims as [number, number]
    const kept = Array.from({ length: rows }, (_, row) =>
      Array.from({ length: columns }, (_, column) => column).filter((column) => mask.data[row * columns + column] === 1),
    )
    const choices = [
      kept,
      kept.map((row, i) => (i % 2 === 0 ? [...row.slice(0, 3).reverse(), row[0]!] : [])),
      kept.map((row, i) => (i === 3 ? row.slice(-1) : [])),
    ]
    await using(await CLASSES[head].fromPretrained(golden.source(head), { ...HERE, attn_implementation }), async (model) => {
      const full = await model(inputs)
      const words = pick(full, output).dims.at(-1)!
      for (const logits_positions of choices) {
        const part = await model({ ...inputs, logits_positions })
        const want = logits_positions.flatMap((row, i) => row.flatMap((column) => rowOf(pick(full, output), i * columns + column)))
        same(pick(part, output).dims, [want.length / words, words], 'dims')
        sameBits(pick(part, output).data, Float32Array.from(want), `${output} at ${JSON.stringify(logits_positions)}`)
        if (head === 'BertForPreTraining') {
          const other = 'seq_relationship_logits'
          sameBits(pick(part, other).data, pick(full, other).data, other)
        }
      }
    })
  }
  return { name: `${head}, ${activation}, ${attn_implementation}: logits_positions`, run }
}

function rowOf({ data, dims }: Value, row: number): number[] {
  const width = dims.at(-1)!
  return [...data.subarray(row * width, (row + 1) * width)]
}

export function sameBits(got: Float32Array, want: Float32Array, what: string): void {
  same(got.length, want.length, `${what}: length`)
  const at = want.findIndex((value, i) => !Object.is(value, got[i]))
  check(at < 0, `${what}[${at}]: expected the bits of ${want[at]}, got ${got[at]}`)
}

/** AutoModel is the class that `architectures` names, and gives its bits. */
function auto(head: Head): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const golden = await readHeads(files, 'gelu')
    const inputs = inputsOf(golden, 'gappy', head)
    const named = await using(await CLASSES[head].fromPretrained(golden.source(head), HERE), (model) => model(inputs))
    const output = await using(await CLASSES.AutoModel.fromPretrained(golden.source(head), HERE), (model) => {
      check(model instanceof (CLASSES[head] as never), `AutoModel: expected a ${head}`)
      return model(inputs)
    })
    same(Object.keys(output), Object.keys(named), 'outputs')
    for (const name of Object.keys(named)) sameBits(pick(output, name).data, pick(named, name).data, name)
  }
  return { name: `AutoModel follows architectures: ${head}`, run }
}

/** BertModel without its pooler, from a file with one and from a file without. */
const withoutPooler: ConformanceCase = {
  name: 'BertModel with add_pooling_layer: false',
  run: async (files) => {
    const golden = await readHeads(files, 'gelu')
    for (const pooler of [true, false]) {
      const source = golden.source('BertModel', { pooler })
      await using(await CLASSES.BertModel.fromPretrained(source, { ...HERE, add_pooling_layer: false }), async (model) => {
        const output = await model(inputsOf(golden, 'right', 'BertModel'))
        check(output.pooler_output === undefined, 'expected no pooler_output')
        const key = 'right.BertModel.last_hidden_state'
        close(pick(output, 'last_hidden_state').data, golden.tensors.get(key)!.data, tolerance(golden, key), key)
      })
    }
  },
}

const ATTENTIONS: readonly Attention[] = ['sdpa', 'eager']
/** What depends on the token that is pooled. */
const POOLED = [
  ['BertModel', 'pooler_output'],
  ['BertForPreTraining', 'seq_relationship_logits'],
  ['BertForNextSentencePrediction', 'logits'],
  ['BertForSequenceClassification', 'logits'],
  ['BertForMultipleChoice', 'logits'],
] as const
/** A tied decoder, and the two ways in which files have one of its own. */
const DECODERS = ['gelu', 'gelu_new', 'silu']

export const HEADS_EQUAL_PYTORCH = ACTIVATIONS.flatMap((activation) =>
  HEADS.flatMap((head) => ATTENTIONS.map((attention) => parity(activation, head, attention))),
)
export const HEAD_BEHAVIOUR: readonly ConformanceCase[] = [
  ...POOLED.map(([head, output]) => divergence(head, output)),
  ...POOLED.flatMap(([head, output]) => ATTENTIONS.map((attention) => firstTokens(head, output, attention))),
  ...DECODERS.flatMap((activation) =>
    ATTENTIONS.flatMap((attention) => [
      selection(activation, 'BertForMaskedLM', 'logits', attention),
      selection(activation, 'BertForPreTraining', 'prediction_logits', attention),
    ]),
  ),
  ...HEADS.map(auto),
  withoutPooler,
]
