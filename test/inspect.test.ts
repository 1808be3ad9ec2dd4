// What is told of a checkpoint without loading it.
import { describe, expect, it } from 'vitest'
import { BertModel, inspect } from '../src/index.node.ts'
import { memoryFolder } from '../src/training.ts'
import { writeSafetensors, type TensorToWrite } from '../src/weights/write-safetensors.ts'
import { memorySource, type Source } from '../src/weights/source.ts'
import { checkpoint, vocabulary, type HeadTensors } from './support/models.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A tiny checkpoint with other tensors beside its own, or without some. */
function changed(architecture: string, heads: readonly HeadTensors[], extra: readonly string[], without = ''): Record<string, Uint8Array> {
  const files = checkpoint({}, 1, heads)
  const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as object
  const file = files['model.safetensors']!
  const length = new DataView(file.buffer, file.byteOffset).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >
  const tensors: TensorToWrite[] = Object.entries(header)
    .filter(([name]) => name !== '__metadata__' && (without === '' || !name.startsWith(without)))
    .map(
      ([
        name,
        {
          shape,
          data_offsets: [from, to],
        },
      ]) => ({
        name: /^(embeddings|encoder|pooler)\./.test(name) ? `bert.${name}` : name,
        dtype: 'F32',
        shape,
        data: file.subarray(8 + length + from, 8 + length + to),
      }),
    )
  for (const name of extra) tensors.push({ name, dtype: 'F16', shape: [3], data: new Uint8Array(6) })
  const written = Buffer.concat([...writeSafetensors(tensors)])
  return { ...files, 'config.json': utf8(JSON.stringify({ ...config, architectures: [architecture] })), 'model.safetensors': written }
}

describe('inspect', () => {
  it.each(['int8', 'int4'] as const)('counts what a checkpoint in %s stands for, and takes scales for no strangers', async (dtype) => {
    const source = memorySource(checkpoint({ hidden_size: 64, intermediate_size: 96 }))
    const model = await BertModel.fromPretrained(source, { threads: 0, dtype })
    const folder = memoryFolder()
    await model.savePretrained(folder.sink('small'))
    await model.dispose()
    const found = await inspect(folder.source('small'))
    expect(found.unexpected).toEqual([])
    expect(found.missing).toEqual([])
    expect(found.parameters).toBe((await inspect(source)).parameters)
  })

  it('tells heads by their tensors, and what belongs to no BERT', async () => {
    const files = changed('BertForPreTraining', ['cls', 'qa_outputs'], ['decoder.block.0', 'bert.embeddings.position_ids'])
    const found = await inspect(memorySource(files))
    expect(found.heads).toEqual(['pooler', 'masked words', 'next sentence', 'question answering'])
    expect(found.unexpected).toEqual(['decoder.block.0'])
    expect(found.missing).toEqual([])
    expect(found.dtypes.F16).toEqual({ tensors: 2, values: 6, bytes: 12 })
    expect(found.parameters).toBe(found.dtypes.F32!.values)
  })

  it('tells what the architecture promises and the file lacks', async () => {
    const found = await inspect(memorySource(changed('BertForQuestionAnswering', [], [], 'encoder.layer.1.output.dense')))
    expect(found.missing).toEqual([
      'encoder.layer.1.output.dense.weight',
      'encoder.layer.1.output.dense.bias',
      'qa_outputs.weight',
      'qa_outputs.bias',
    ])
    const model = await inspect(memorySource(changed('BertModel', [], [], 'pooler')))
    expect(model.missing).toEqual(['pooler.dense.weight', 'pooler.dense.bias'])
  })

  it('reads headers and no weight, and closes what it opened', async () => {
    const inner = memorySource({ ...checkpoint(), 'vocab.txt': utf8(vocabulary()) })
    let [furthest, opened] = [0, 0]
    const source: Source = {
      ...inner,
      open: async (file, options) => {
        const reader = await inner.open(file, options)
        if (reader === undefined) return undefined
        opened++
        return {
          size: reader.size,
          read: (from, to, into) => {
            furthest = Math.max(furthest, to)
            return reader.read(from, to, into)
          },
          close: async () => void opened--,
        }
      },
    }
    const { parameters, tokenizer } = await inspect(source)
    expect(furthest).toBeGreaterThan(8)
    const weights = (await inner.open('model.safetensors'))!
    expect(furthest).toBeLessThanOrEqual(weights.size - parameters * 4)
    expect(opened).toBe(0)
    expect(tokenizer).toEqual({ file: 'vocab.txt', model_max_length: undefined })
  })

  it('a tokenizer that is not there is told, and the rest too', async () => {
    const found = await inspect(memorySource(checkpoint()))
    expect(found.tokenizer).toEqual({ error: expect.stringMatching(/tokenizer\.json or vocab\.txt/) as string })
    expect(found.parameters).toBeGreaterThan(0)
  })
})
