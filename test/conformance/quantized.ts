// int8 checkpoints in the layout of compressed-tensors: what is written, what is read, and what is refused by name.
import { AutoModel, BertForMaskedLM, BertForSequenceClassification, BertModel } from '../../src/index.ts'
import type { Dtype } from '../../src/weights/safetensors.ts'
import { writeSafetensors, type TensorToWrite } from '../../src/weights/write-safetensors.ts'
import { memorySource, type Source } from '../../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from '../support/models.ts'
import { readSafetensors } from '../support/safetensors.ts'
import { check, rejects, same, type ConformanceCase } from './case.ts'
import { save } from './saved.ts'

const HERE = { threads: 0 } as const
const SIZES = { hidden_size: 52, num_attention_heads: 4, intermediate_size: 101 }
export const inputs = rectangle(sequences(4, { seed: 21 }))

export type Files = Record<string, Uint8Array<ArrayBuffer>>
type Config = Record<string, unknown> & { quantization_config: Record<string, unknown> & { config_groups: Record<string, object> } }

export const configOf = (files: Files): Config => JSON.parse(new TextDecoder().decode(files['config.json'])) as Config
export const json = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value))

/** The files of a quantised BertModel. */
export async function quantized(sizes = SIZES, dtype: 'int8' | 'int4' = 'int8'): Promise<Files> {
  const model = await BertModel.fromPretrained(memorySource(checkpoint(sizes), 'float'), { ...HERE, dtype })
  try {
    return await save(model)
  } finally {
    await model.dispose()
  }
}

export async function outputOf(source: Source, options: object = {}): Promise<number[]> {
  const model = await BertModel.fromPretrained(source, { ...HERE, ...options })
  try {
    return [...(await model(inputs)).pooler_output!.data]
  } finally {
    await model.dispose()
  }
}

export interface Part {
  dtype: Dtype
  shape: number[]
  data: Uint8Array<ArrayBuffer>
}

/** The files with some tensors changed, added or, where a change gives undefined, left out. */
export async function changed(files: Files, change: (parts: Map<string, Part>) => void): Promise<Files> {
  const file = files['model.safetensors']!
  const length = new DataView(file.buffer).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<string, Part & { data_offsets: number[] }>
  const parts = new Map<string, Part>()
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries(header)) {
    if (name !== '__metadata__') parts.set(name, { dtype, shape, data: file.slice(8 + length + at[0]!, 8 + length + at[1]!) })
  }
  change(parts)
  const tensors = [...parts].map(([name, part]): TensorToWrite => ({ name, ...part }))
  return { ...files, 'model.safetensors': new Uint8Array(await new Blob([...writeSafetensors(tensors)] as BlobPart[]).arrayBuffer()) }
}

const WEIGHT = 'encoder.layer.1.output.dense.weight'
const SCALE = `${WEIGHT}_scale`
const floats = (values: number[]): Uint8Array<ArrayBuffer> => new Uint8Array(Float32Array.from(values).buffer)

/** What is changed, and the message that refuses it. */
type Damage = readonly [name: string, change: (parts: Map<string, Part>) => void, message: RegExp]

const damage: readonly Damage[] = [
  ...([0, -1, NaN, Infinity] as const).map((value): Damage => [
    `a scale of ${value}`,
    (parts: Map<string, Part>) => {
      new DataView(parts.get(SCALE)!.data.buffer).setFloat32(8, value, true)
    },
    /encoder\.layer\.1\.output\.dense\.weight_scale: the scale of row 2: expected a finite number above 0/,
  ]),
  [
    'scales of another shape',
    (parts) => void parts.set(SCALE, { dtype: 'F32', shape: [26, 2], data: parts.get(SCALE)!.data }),
    /encoder\.layer\.1\.output\.dense\.weight_scale: expected shape \[52, 1\] or \[1\].*got \[26, 2\]/,
  ],
  [
    'scales that are integers',
    (parts) => void parts.set(SCALE, { dtype: 'I32', shape: [52, 1], data: parts.get(SCALE)!.data }),
    /weight_scale: expected dtype F32, F16 or BF16, got I32/,
  ],
  ['no scales', (parts) => void parts.delete(SCALE), /encoder\.layer\.1\.output\.dense\.weight_scale: expected scales.*got no such tensor/],
  [
    'zero points',
    (parts) => void parts.set(WEIGHT.replace('weight', 'weight_zero_point'), { dtype: 'I8', shape: [52, 1], data: new Uint8Array(52) }),
    /output\.dense\.weight_zero_point: expected no zero points/,
  ],
  [
    'integers where floats belong',
    (parts) => void parts.set('embeddings.LayerNorm.bias', { dtype: 'I8', shape: [52], data: new Uint8Array(52) }),
    /embeddings\.LayerNorm\.bias: expected dtype F32, F16 or BF16, got I8/,
  ],
  [
    'integers of another shape',
    (parts) => void parts.set(WEIGHT, { dtype: 'I8', shape: [52, 100], data: new Uint8Array(5200) }),
    /output\.dense\.weight: expected shape \[52, 101\]/,
  ],
]

const misconfigured: readonly [name: string, change: (config: Config) => void, message: RegExp][] = [
  [
    'another format',
    (c) => void Object.assign(c.quantization_config.config_groups.group_0!, { format: 'marlin-24' }),
    /group_0\.format: expected one of int-quantized, naive-quantized, pack-quantized, got "marlin-24"/,
  ],
  [
    'eight bits packed',
    (c) => void Object.assign(c.quantization_config.config_groups.group_0!, { format: 'pack-quantized' }),
    /group_0\.weights\.num_bits: expected 4, with pack-quantized, got 8/,
  ],
  [
    'another method',
    (c) => void Object.assign(c.quantization_config, { quant_method: 'gptq' }),
    /quant_method: expected one of compressed-tensors, bertlet, got "gptq"/,
  ],
  ['not compressed', (c) => void delete c.quantization_config.quantization_status, /quantization_status: expected "compressed"/],
  ['no groups', (c) => void Object.assign(c.quantization_config, { config_groups: {} }), /config_groups: expected an object of groups/],
  [
    'a group without weights',
    (c) => void Object.assign(c.quantization_config.config_groups, { odd: { format: 'int-quantized' } }),
    /config_groups\.odd\.weights: expected an object/,
  ],
  [
    'four bits',
    (c) => void Object.assign((c.quantization_config.config_groups.group_0 as { weights: object }).weights, { num_bits: 4 }),
    /weights\.num_bits: expected 8, with int-quantized, got 4/,
  ],
  [
    'groups of columns',
    (c) =>
      void Object.assign((c.quantization_config.config_groups.group_0 as { weights: object }).weights, {
        strategy: 'group',
        group_size: 32,
      }),
    /weights\.strategy: expected "channel" or "tensor"/,
  ],
]

export const QUANTIZED: readonly ConformanceCase[] = [
  {
    // More than a page of wasm memory: where that is not shared, it may not grow while the file is read into it.
    name: 'scales of 20,000 words',
    run: async () => {
      const sizes = { hidden_size: 8, num_attention_heads: 2, num_hidden_layers: 1, intermediate_size: 8, vocab_size: 20_000 }
      const files = await quantized(sizes)
      const want = await outputOf(memorySource(checkpoint(sizes), 'float'), { dtype: 'int8' })
      same(await outputOf(memorySource(files, 'integers'), { dtype: 'int8' }), want, 'outputs')
    },
  },
  {
    name: 'what is written: integers of each matrix with a scale for each row, the rest F32, and a config that says so',
    run: async () => {
      const files = await quantized()
      const before = readSafetensors(checkpoint(SIZES)['model.safetensors']!)
      const after = readSafetensors(files['model.safetensors']!)
      for (const [name, { dims, data }] of before) {
        const matrix = dims.length === 2 && !/position|token_type/.test(name)
        const got = after.get(name)
        same([got?.dtype, got?.dims], [matrix ? 'I8' : 'F32', dims], name)
        if (!matrix) continue
        // Each weight is within half a step of its integer times its scale.
        const scales = after.get(`${name}_scale`)
        same([scales?.dtype, scales?.dims], ['F32', [dims[0], 1]], `${name}_scale`)
        const integers = new Int8Array(got!.data.buffer)
        const k = dims[1]!
        for (let i = 0; i < integers.length; i++) {
          const scale = scales!.data[Math.floor(i / k)]!
          check(
            Math.abs(integers[i]! * scale - data[i]!) <= scale * 0.5001,
            `${name}[${i}]: ${integers[i]} times ${scale} is far from ${data[i]}`,
          )
        }
      }
      const { quantization_config: config } = configOf(files)
      same(
        [config.quant_method, config.quantization_status, config.format],
        ['compressed-tensors', 'compressed', 'int-quantized'],
        'config',
      )
      same((config.config_groups.group_0 as { format: string }).format, 'int-quantized', "the group's format")
    },
  },
  {
    name: 'what is written is loaded to the same bits, and saved again the same',
    run: async () => {
      const files = await quantized()
      const model = await BertModel.fromPretrained(memorySource(files, 'int8'), HERE)
      same([model.info().dtype.name, model.info().unexpected], ['int8', []], 'info')
      const again = await save(model)
      await model.dispose()
      same([...again['model.safetensors']!], [...files['model.safetensors']!], 'model.safetensors')
      same(configOf(again), configOf(files), 'config.json')
      same(
        await outputOf(memorySource(files, 'int8')),
        await outputOf(memorySource(checkpoint(SIZES), 'float'), { dtype: 'int8' }),
        'pooler_output',
      )
    },
  },
  {
    name: 'a tied decoder is stored too; heads of labels stay float and are named in ignore',
    run: async () => {
      const lm = await BertForMaskedLM.fromPretrained(memorySource(checkpoint(SIZES, 1, ['cls']), 'lm'), { ...HERE, dtype: 'int8' })
      const logits = [...(await lm(inputs)).logits.data]
      const files = await save(lm)
      await lm.dispose()
      const tensors = readSafetensors(files['model.safetensors']!)
      same(tensors.get('cls.predictions.decoder.weight')?.data, tensors.get('bert.embeddings.word_embeddings.weight')?.data, 'decoder')
      const back = await AutoModel.fromPretrained(memorySource(files, 'lm'), HERE)
      same([...(await back(inputs)).logits!.data], logits, 'logits')
      await back.dispose()

      const classifier = await BertForSequenceClassification.fromPretrained(
        memorySource(checkpoint(SIZES, 1, ['classifier']), 'classifier'),
        { ...HERE, dtype: 'int8' },
      )
      const saved = await save(classifier)
      await classifier.dispose()
      same(readSafetensors(saved['model.safetensors']!).get('classifier.weight')?.dtype, 'F32', 'classifier.weight')
      same(configOf(saved).quantization_config.ignore, ['classifier'], 'ignore')
    },
  },
  {
    name: "other writers' files: half-precision scales, one scale for a tensor, matrices that stayed float, -128",
    run: async () => {
      const files = await changed(await quantized(), (parts) => {
        parts.set(SCALE, { dtype: 'F16', shape: [52, 1], data: new Uint8Array(Uint16Array.from({ length: 52 }, () => 0x2000).buffer) }) // 2^-7
        const other = 'encoder.layer.0.output.dense.weight'
        parts.set(`${other}_scale`, { dtype: 'F32', shape: [1], data: floats([2 ** -7]) })
        parts.get(WEIGHT)!.data.fill(0x80, 0, 40)
        parts.delete('pooler.dense.weight_scale')
        parts.set('pooler.dense.weight', {
          dtype: 'F32',
          shape: [52, 52],
          data: floats(Array.from({ length: 52 * 52 }, (_, i) => (i % 53) / 500)),
        })
      })
      const model = await BertModel.fromPretrained(memorySource(files, 'other'), HERE)
      const saved = readSafetensors((await save(model))['model.safetensors']!)
      await model.dispose()
      for (const name of [WEIGHT, 'encoder.layer.0.output.dense.weight']) {
        same(
          [...saved.get(`${name}_scale`)!.data],
          Array.from({ length: 52 }, () => 2 ** -7),
          `${name}_scale`,
        )
      }
      const want = readSafetensors(files['model.safetensors']!).get(WEIGHT)!.data
      same([...saved.get(WEIGHT)!.data], [...want], WEIGHT)
      check((await outputOf(memorySource(files, 'other'))).every(Number.isFinite), 'outputs are numbers')
    },
  },
  ...damage.map(([name, change, message]): ConformanceCase => ({
    name: `refused: ${name}`,
    run: async () => {
      const files = await changed(await quantized(), change)
      await rejects(() => outputOf(memorySource(files, 'bad')), message, name)
    },
  })),
  ...misconfigured.map(([name, change, message]): ConformanceCase => ({
    name: `refused config: ${name}`,
    run: async () => {
      const files = await quantized()
      const config = configOf(files)
      change(config)
      await rejects(() => outputOf(memorySource({ ...files, 'config.json': json(config) }, 'bad')), message, name)
    },
  })),
  {
    name: 'refused: f32 of a quantised checkpoint, and integers that config.json does not tell of',
    run: async () => {
      const files = await quantized()
      await rejects(
        () => outputOf(memorySource(files, 'int8'), { dtype: 'f32' }),
        /dtype: expected int8, what the checkpoint holds, got f32/,
        'f32',
      )
      const { quantization_config: _, ...config } = configOf(files)
      const silent = memorySource({ ...files, 'config.json': json(config) }, 'silent')
      await rejects(
        () => outputOf(silent),
        /weight: expected dtype F32, F16 or BF16, got I8\. Load it with dtype int8/,
        'no quantization_config',
      )
    },
  },
]
