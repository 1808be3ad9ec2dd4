import { describe, expect, it } from 'vitest'
import { BertModel, type BertModelOutput } from '../src/index.node.ts'
import { readGolden, type GoldenTensor } from './support/golden.ts'

// Made by PyTorch in float64, with transformers' formulas; see test/golden.
const CHECKPOINTS = ['tiny', 'odd', 'onehead', 'wide', 'long', 'quick', 'tanh', 'tiny-prefixed', 'tiny-f16', 'tiny-bf16']

/** One f32 rounding of the stored value, which is of unit scale. */
const STORED = 2 ** -24

for (const name of CHECKPOINTS) {
  describe(`the checkpoint ${name} equals PyTorch`, async () => {
    const golden = await readGolden(`bert/${name}`)
    const errors = golden.json.float32_error as Record<string, number>
    for (const attn_implementation of ['sdpa', 'eager'] as const) {
      for (const batch of golden.json.batches as string[]) {
        it(`${batch}, ${attn_implementation}`, async () => {
          const model = await BertModel.fromPretrained(golden.folder, { threads: 2, attn_implementation })
          const wanted = (key: string): GoldenTensor | undefined => golden.tensors.get(`${batch}.${key}`)
          const output = await model({
            input_ids: wanted('input_ids')!,
            attention_mask: wanted('attention_mask')!,
            token_type_ids: wanted('token_type_ids')!,
            output_hidden_states: true,
            output_attentions: attn_implementation === 'eager',
          })
          let compared = 0
          for (const [key, got] of values(output)) {
            const want = wanted(key)
            if (want === undefined) continue
            compared++
            // The reference pools column 0 even where it is masked; bertlet pools the first real token.
            const mask = wanted('attention_mask')!
            const data = key === 'pooler_output' ? zeroRows(got.data, mask) : got.data
            expect(got.dims).toEqual(want.dims)
            const error = data.reduce((most, x, i) => Math.max(most, Math.abs(x - want.data[i]!)), 0)
            expect(error, `${key}: PyTorch's own float32 error is ${errors[`${batch}.${key}`]}`).toBeLessThanOrEqual(
              Math.min(2e-5, 4 * errors[`${batch}.${key}`]! + STORED * 4),
            )
          }
          expect(compared).toBeGreaterThanOrEqual(2)
          await model.dispose()
        })
      }
    }
  })
}

function* values({
  hidden_states = [],
  attentions = [],
  last_hidden_state,
  pooler_output,
}: BertModelOutput): Generator<[string, { data: Float32Array; dims: readonly number[] }]> {
  yield ['last_hidden_state', last_hidden_state]
  yield ['pooler_output', pooler_output!]
  for (const [i, tensor] of hidden_states.entries()) yield [`hidden_states.${i}`, tensor]
  for (const [i, tensor] of attentions.entries()) yield [`attentions.${i}`, tensor]
}

function zeroRows(pooled: Float32Array, mask: GoldenTensor): Float32Array {
  const [rows, columns] = mask.dims as [number, number]
  const width = pooled.length / rows
  return pooled.map((x, i) => (mask.data[Math.floor(i / width) * columns] === 1 ? x : 0))
}
