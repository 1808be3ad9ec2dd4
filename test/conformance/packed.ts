// int4 checkpoints in the layout of compressed-tensors: packed groups of columns, with words and what has no whole groups in int8.
import { BertForMaskedLM, BertModel } from '../../src/index.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint } from '../support/models.ts'
import { readSafetensors } from '../support/safetensors.ts'
import { check, rejects, same, type ConformanceCase } from './case.ts'
import { changed, configOf, inputs, json, outputOf, quantized, type Files, type Part } from './quantized.ts'
import { save } from './saved.ts'

const HERE = { threads: 0 } as const
/** 101 columns are no whole groups: output.dense lies in int8. */
const SIZES = { hidden_size: 64, num_attention_heads: 4, intermediate_size: 101 }
const packed = (): Promise<Files> => quantized(SIZES, 'int4')

const WEIGHT = 'encoder.layer.1.intermediate.dense.weight'
const SCALE = `${WEIGHT}_scale`
const PACKED_NAME = `${WEIGHT}_packed`

/** Integers of -8..7, by compressed-tensors' rule: element i of a row in bits 4i.., lowest first, plus 8. */
const unpack = (bytes: Uint8Array): number[] => [...bytes].flatMap((byte) => [(byte & 15) - 8, (byte >> 4) - 8])

async function raw(files: Files): Promise<Map<string, Part>> {
  let parts = new Map<string, Part>()
  await changed(files, (all) => void (parts = all))
  return parts
}

type Damage = readonly [name: string, change: (parts: Map<string, Part>) => void, message: RegExp]

const damage: readonly Damage[] = [
  ...([0, -1, NaN, Infinity] as const).map((value): Damage => [
    `a scale of ${value}`,
    (parts) => void new DataView(parts.get(SCALE)!.data.buffer).setFloat32(20, value, true),
    /layer\.1\.intermediate\.dense\.weight_scale: the scale of row 2, group 1: expected a finite number above 0/,
  ]),
  [
    'groups that are no whole ones',
    (parts) => void parts.set(SCALE, { dtype: 'F32', shape: [101, 4], data: new Uint8Array(101 * 16).fill(0x3c) }),
    /intermediate\.dense\.weight_scale: expected shape \[101, 1\].*\[101, 2\].*got \[101, 4\]/,
  ],
  ['no scales', (parts) => void parts.delete(SCALE), /intermediate\.dense\.weight_scale: expected scales.*got no such tensor/],
  [
    'packed integers of another shape',
    (parts) => void parts.set(PACKED_NAME, { dtype: 'I32', shape: [101, 7], data: new Uint8Array(101 * 28) }),
    /intermediate\.dense\.weight_packed: expected shape \[101, 64\]/,
  ],
  [
    'bytes where packed integers belong',
    (parts) => {
      parts.delete(PACKED_NAME)
      parts.set(WEIGHT, { dtype: 'I8', shape: [101, 64], data: new Uint8Array(101 * 64) })
    },
    /intermediate\.dense\.weight: expected dtype F32, F16 or BF16, got I8/,
  ],
  [
    'packed integers where bytes belong',
    (parts) => {
      const name = 'embeddings.word_embeddings.weight'
      const { shape } = parts.get(name)!
      parts.delete(name)
      parts.set(`${name}_packed`, { dtype: 'I32', shape: [shape[0]!, 8], data: new Uint8Array(shape[0]! * 32) })
    },
    /word_embeddings\.weight_packed: expected dtype F32, F16 or BF16, got I4/,
  ],
  [
    'an order of groups',
    (parts) => void parts.set(WEIGHT.replace('weight', 'weight_g_idx'), { dtype: 'I32', shape: [64], data: new Uint8Array(256) }),
    /intermediate\.dense\.weight_g_idx: expected no order of groups/,
  ],
  [
    'zero points',
    (parts) => void parts.set(WEIGHT.replace('weight', 'weight_zero_point'), { dtype: 'I32', shape: [13, 2], data: new Uint8Array(104) }),
    /intermediate\.dense\.weight_zero_point: expected no zero points/,
  ],
]

export const PACKED: readonly ConformanceCase[] = [
  {
    name: 'what is written: eight integers a word with a scale for 32 columns, each the nearest or cut at the ends; two groups in config.json',
    run: async () => {
      const files = await packed()
      const before = readSafetensors(checkpoint(SIZES)['model.safetensors']!)
      const after = await raw(files)
      const names = [...before.keys()].filter((name) =>
        /(query|key|value|attention\.output\.dense|intermediate\.dense|pooler\.dense)\.weight$/.test(name),
      )
      same(names.length, 2 * 5 + 1, 'matrices in 4 bits')
      for (const name of names) {
        const { dims, data } = before.get(name)!
        const [n, k] = dims as [number, number]
        const [bits, scale, shape] = ['_packed', '_scale', '_shape'].map((end) => after.get(name + end)!)
        same(
          [bits!.dtype, bits!.shape, scale!.dtype, scale!.shape, shape!.dtype, shape!.shape],
          ['I32', [n, k / 8], 'F32', [n, k / 32], 'I64', [2]],
          name,
        )
        same([...new BigInt64Array(shape!.data.buffer)].map(Number), [n, k], `${name}_shape`)
        const scales = new Float32Array(scale!.data.buffer)
        unpack(bits!.data).forEach((q, i) => {
          const step = scales[Math.floor(i / 32)]!
          const off = Math.abs(q * step - data[i]!)
          const cut = (q === 7 && data[i]! > 0) || (q === -8 && data[i]! < 0)
          check(off <= step * (cut ? 1.3 : 0.5001), `${name}[${i}]: ${q} times ${step} is far from ${data[i]}`)
        })
      }
      same(after.get('encoder.layer.0.output.dense.weight')!.dtype, 'I8', 'what has no whole groups')
      const { quantization_config: config } = configOf(files)
      same(config.format, 'mixed-precision', 'format')
      const groups = Object.values(config.config_groups) as { format: string; targets: string[]; weights: Record<string, unknown> }[]
      same(
        groups.map(({ format, weights }) => [format, weights.num_bits, weights.strategy, weights.group_size]),
        [
          ['pack-quantized', 4, 'group', 32],
          ['int-quantized', 8, 'channel', null],
        ],
        'groups',
      )
      const patterns = groups[1]!.targets.map((target) => new RegExp(`^${target.replace(/^re:/, '')}`))
      for (const name of ['bert.embeddings.word_embeddings', 'encoder.layer.0.output.dense', 'cls.predictions.decoder'])
        check(
          patterns.some((pattern) => pattern.test(name)),
          `${name} is in the group of bytes`,
        )
      for (const name of ['encoder.layer.0.attention.output.dense', 'embeddings.position_embeddings'])
        check(!patterns.some((pattern) => pattern.test(name)), `${name} is not in the group of bytes`)
    },
  },
  {
    name: 'what is written is loaded to the same bits, and saved again the same',
    run: async () => {
      const files = await packed()
      const model = await BertModel.fromPretrained(memorySource(files, 'int4'), HERE)
      same([model.info().dtype.name, model.info().unexpected], ['int4', []], 'info')
      const again = await save(model)
      await model.dispose()
      same([...again['model.safetensors']!], [...files['model.safetensors']!], 'model.safetensors')
      same(configOf(again), configOf(files), 'config.json')
      const streamed = await outputOf(memorySource(checkpoint(SIZES), 'float'), { dtype: 'q4' })
      same(await outputOf(memorySource(files, 'int4')), streamed, 'pooler_output')
      // The order of tensors in a file is its own.
      const turned = await changed(files, (parts) => {
        const all = [...parts].reverse()
        parts.clear()
        for (const [name, part] of all) parts.set(name, part)
      })
      same(await outputOf(memorySource(turned, 'turned')), streamed, 'pooler_output, tensors in another order')
    },
  },
  {
    name: 'a masked language model: its tied words stay in int8, and come back',
    run: async () => {
      const lm = await BertForMaskedLM.fromPretrained(memorySource(checkpoint(SIZES, 1, ['cls']), 'lm'), { ...HERE, dtype: 'int4' })
      const logits = [...(await lm(inputs)).logits.data]
      const files = await save(lm)
      await lm.dispose()
      same(readSafetensors(files['model.safetensors']!).get('cls.predictions.decoder.weight')?.dtype, 'I8', 'decoder')
      const back = await BertForMaskedLM.fromPretrained(memorySource(files, 'lm'), HERE)
      same([...(await back(inputs)).logits.data], logits, 'logits')
      await back.dispose()
    },
  },
  {
    name: "other writers' files: a scale for a row, for wider groups, in half precision; floats where integers could be",
    run: async () => {
      const half = (count: number): Uint8Array<ArrayBuffer> =>
        new Uint8Array(Uint16Array.from({ length: count }, (_, i) => 0x2000 + i).buffer)
      const files = await changed(await packed(), (parts) => {
        parts.set(SCALE, { dtype: 'F16', shape: [101, 1], data: half(101) })
        parts.set('pooler.dense.weight_scale', { dtype: 'F16', shape: [64, 1], data: half(64) })
        for (const end of ['_packed', '_scale', '_shape']) parts.delete(`encoder.layer.0.attention.self.query.weight${end}`)
        const data = new Uint8Array(Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 53) / 500).buffer)
        parts.set('encoder.layer.0.attention.self.query.weight', { dtype: 'F32', shape: [64, 64], data })
      })
      const config = configOf(files)
      Object.assign((config.quantization_config.config_groups.group_0 as { weights: object }).weights, {
        strategy: 'channel',
        group_size: null,
      })
      const source = memorySource({ ...files, 'config.json': json(config) }, 'other')
      const model = await BertModel.fromPretrained(source, HERE)
      const saved = await raw(await save(model))
      await model.dispose()
      const was = await raw(files)
      same([...saved.get(PACKED_NAME)!.data], [...was.get(PACKED_NAME)!.data], PACKED_NAME)
      const scales = [...new Float32Array(saved.get(SCALE)!.data.buffer)]
      same(
        scales,
        Array.from({ length: 202 }, (_, i) => 2 ** -7 * (1 + (i >> 1) / 1024)),
        SCALE,
      )
      check((await outputOf(source)).every(Number.isFinite), 'outputs are numbers')
    },
  },
  {
    name: 'groups of zeros, of one number, and of 1e30 give no NaN',
    run: async () => {
      const files = await changed(checkpoint(SIZES) as Files, (parts) => {
        const values = new Float32Array(parts.get(WEIGHT)!.data.buffer)
        values.fill(0, 0, 64)
        values.fill(-0.3, 64, 128)
        values.fill(1e-38, 128, 160)
        values[200] = 1e30
        values[300] = -3e38
      })
      const model = await BertModel.fromPretrained(memorySource(files, 'edges'), { ...HERE, dtype: 'int4' })
      const parts = await raw(await save(model))
      await model.dispose()
      const scales = [...new Float32Array(parts.get(SCALE)!.data.buffer)]
      check(
        scales.every((scale) => scale > 0 && scale < Infinity),
        'scales are finite numbers above 0',
      )
      const integers = unpack(parts.get(PACKED_NAME)!.data)
      same(integers.slice(0, 64), new Array<number>(64).fill(0), 'zeros')
      integers.slice(64, 128).forEach((q, i) => check(Math.abs(q * scales[2 + (i >> 5)]! + 0.3) < 0.001, `one number: ${q}`))
      check(integers[200]! >= 7 && Math.abs(integers[200]! * scales[6]! - 1e30) < 2e29, 'the large one is kept')
    },
  },
  ...damage.map(([name, change, message]): ConformanceCase => ({
    name: `refused: ${name}`,
    run: async () => {
      const files = await changed(await packed(), change)
      await rejects(() => outputOf(memorySource(files, 'bad')), message, name)
    },
  })),
  {
    name: 'refused: groups of another width, a group without its size, another dtype than the checkpoint has',
    run: async () => {
      const files = await packed()
      const refused = async (weights: object, message: RegExp): Promise<void> => {
        const config = configOf(files)
        Object.assign((config.quantization_config.config_groups.group_0 as { weights: object }).weights, weights)
        await rejects(() => outputOf(memorySource({ ...files, 'config.json': json(config) }, 'bad')), message, message.source)
      }
      await refused({ group_size: 16 }, /group_0\.weights\.group_size: expected a multiple of 32, got 16/)
      await refused({ group_size: null }, /group_0\.weights\.strategy: expected "group", with a group_size, "channel" or "tensor"/)
      await refused({ num_bits: 3 }, /group_0\.weights\.num_bits: expected 4, with pack-quantized, got 3/)
      for (const dtype of ['f32', 'int8'] as const)
        await rejects(
          () => outputOf(memorySource(files, 'int4'), { dtype }),
          new RegExp(`dtype: expected int4, what the checkpoint holds, got ${dtype}`),
          dtype,
        )
    },
  },
]
