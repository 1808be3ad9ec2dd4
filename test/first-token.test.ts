// What asks for first tokens alone gets the bits that all tokens would give, whatever the weights are held in.
import { describe, expect, it } from 'vitest'
import { BertForSequenceClassification, BertModel } from '../src/index.node.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from './support/models.ts'

const files = checkpoint({ hidden_size: 64, num_attention_heads: 4, intermediate_size: 96 }, 1, ['classifier'])
const source = memorySource(files, 'tiny')
const batch = rectangle([...sequences(9, { longest: 150 }), [5]])

describe.each(['f32', 'int8', 'int4'] as const)('%s', (dtype) => {
  it.each([0, 2])('a classifier on %i threads', async (threads) => {
    await using model = await BertForSequenceClassification.fromPretrained(source, { dtype, threads })
    const { logits } = await model(batch)
    const whole = await model({ ...batch, output_hidden_states: true })
    expect(logits.data).toEqual(whole.logits.data)
  })

  it.each([true, false])('vectors of first tokens, of length 1: %s', async (normalize) => {
    await using model = await BertModel.fromPretrained(source, { dtype, threads: 2 })
    const cls = await model.features(batch, { pooling: 'cls', normalize })
    const all = await model.features(batch, { pooling: 'none', normalize })
    const [rows, columns, width] = all.dims as [number, number, number]
    const firsts = Float32Array.from({ length: rows * width }, (_, i) => all.data[Math.floor(i / width) * columns * width + (i % width)]!)
    expect(cls.data).toEqual(firsts)
  })
})
