// The same sentences, computed in every way that must not matter, come to one committed hash. No framework: any runtime can run it.
import {
  BertForMaskedLM,
  BertForMultipleChoice,
  BertForNextSentencePrediction,
  BertForPreTraining,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
  type AnyModel,
  type ModelClass,
} from '../../src/index.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from '../support/models.ts'

export interface HashOptions {
  threads: number
  /** How the sentences go in: all together, one by one, or reversed among strangers. */
  how?: 'together' | 'alone' | 'among'
  budget?: number
  seed?: number
  precision?: 'exact' | 'fast'
  dtype?: 'f32' | 'int8' | 'int4'
}

/** Everything that must give the same bits. */
export const REPRODUCIBLE_CASES: Record<string, HashOptions> = {
  '1 thread': { threads: 1 },
  '2 threads': { threads: 2 },
  '3 threads': { threads: 3 },
  '4 threads': { threads: 4 },
  'the calling thread': { threads: 0 },
  'each alone': { threads: 2, how: 'alone' },
  'among others, in another order': { threads: 2, how: 'among' },
  'a small budget': { threads: 2, budget: 1 },
  'a budget for half of them': { threads: 3, budget: 150 },
  'a large budget': { threads: 2, budget: 65536 },
}

/** FNV-1a over the bits of what every head says of twelve sentences, with BertModel's hidden states, pooler outputs and attention maps. */
export const GOLDEN_HASH = '60be8ba7'
/** The same with weights in int8, whichever build computes. */
export const INT8_HASH = '9fa24bd2'
/** In int4, of a model whose matrices have whole groups of columns, but for one that lies in int8. */
export const INT4_HASH = '94adbef1'

const rows = [...sequences(10, { longest: 60, seed: 11 }), [3], sequences(1, { longest: 300, seed: 5 })[0]!]

/** A model's call, whatever its class. */
type Call = (inputs: ReturnType<typeof rectangle>) => Promise<object>

const HEADS = [
  BertForMaskedLM,
  BertForPreTraining,
  BertForNextSentencePrediction,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertForQuestionAnswering,
]

export async function outputHash({
  threads,
  how = 'together',
  budget = 1024,
  seed = 1,
  precision = 'exact',
  dtype = 'f32',
}: HashOptions): Promise<string> {
  // Head size 13 and hidden size 52 exercise every tail.
  const hidden_size = dtype === 'int4' ? 96 : 52
  const files = checkpoint({ hidden_size, num_attention_heads: 4, intermediate_size: 101 }, seed)
  const model = await BertModel.fromPretrained(memorySource(files, 'hash'), { threads, budget, precision, dtype })
  const heads = await Promise.all(
    HEADS.map((type) => model.withHead(type as unknown as ModelClass<AnyModel>, null, { num_labels: 3, seed: 7 })),
  )
  const choice = await model.withHead(BertForMultipleChoice, null, { seed: 8 })
  const calls: Call[] = [
    (inputs) => model(inputs),
    (inputs) => model({ ...inputs, output_attentions: true }),
    ...heads.map(
      (head): Call =>
        (inputs) =>
          head(inputs),
    ),
    ({ input_ids, attention_mask }) =>
      choice({ input_ids: input_ids.map((row) => [row]), attention_mask: attention_mask.map((row) => [row]) }),
  ]
  try {
    const results: number[][] = []
    const run = async (batch: number[][], keep: (i: number) => number | undefined): Promise<void> => {
      for (const call of calls) {
        const outputs = Object.entries(await call(rectangle(batch)))
        batch.forEach((row, i) => {
          const at = keep(i)
          if (at !== undefined)
            results[at] = (results[at] ?? []).concat(...outputs.map(([name, output]) => pick(name, output, i, row.length)))
        })
      }
    }
    if (how === 'alone') for (const [i, row] of rows.entries()) await run([row], () => i)
    else if (how === 'together') await run(rows, (i) => i)
    else {
      const strangers = sequences(rows.length, { longest: 33, seed: 99 })
      const mixed = [...rows].reverse().flatMap((row, i) => [strangers[i]!, row])
      await run(mixed, (i) => (i % 2 === 1 ? rows.length - 1 - (i - 1) / 2 : undefined))
    }
    return hash(Float32Array.from(results.flat()))
  } finally {
    for (const each of [...heads, choice, model]) await each.dispose()
  }
}

interface Output {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

const OF_TOKENS = ['last_hidden_state', 'start_logits', 'end_logits']

/** The real values of row i, which has `length` tokens: of [B, w], of tokens [B, L, ...], or of maps [B, heads, L, L]. */
function pick(name: string, output: Output | readonly Output[], i: number, length: number): number[] {
  if (Array.isArray(output)) return (output as Output[]).flatMap((each) => pick(name, each, i, length))
  const { data, dims } = output as Output
  const [batch, columns] = dims as [number, number]
  const size = data.length / batch
  const row = data.subarray(i * size, (i + 1) * size)
  if (dims.length === 4) {
    const wide = dims[3]!
    return Array.from({ length: columns * length }, (_, k) => {
      const at = (Math.floor(k / length) * wide + (k % length)) * wide
      return [...row.subarray(at, at + length)]
    }).flat()
  }
  return [...(OF_TOKENS.includes(name) || dims.length === 3 ? row.subarray(0, (size / columns) * length) : row)]
}

export function hash(values: Float32Array): string {
  let state = 0x811c9dc5
  for (const byte of new Uint8Array(values.buffer)) state = Math.imul(state ^ byte, 0x01000193) >>> 0
  return state.toString(16).padStart(8, '0')
}
