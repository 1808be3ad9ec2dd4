// The golden files of the heads, and checkpoints assembled from them: a trunk and a head are two shards under an index that is made here.
import { memorySource, type Source } from '../../src/weights/source.ts'
import { readSafetensors, writeSafetensors, type FileTensor, type GoldenTensor } from '../support/safetensors.ts'
import type { Files } from './case.ts'

export const ACTIVATIONS = ['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'gelu_fast', 'quick_gelu', 'relu', 'silu', 'swish', 'tanh'] as const

export const HEADS = [
  'BertModel',
  'BertForPreTraining',
  'BertForMaskedLM',
  'BertForNextSentencePrediction',
  'BertForSequenceClassification',
  'BertForMultipleChoice',
  'BertForTokenClassification',
  'BertForQuestionAnswering',
] as const
export type Head = (typeof HEADS)[number]

export interface GoldenHeads {
  readonly batches: readonly string[]
  /** Of ForMultipleChoice: the rows of a batch are its examples' choices. */
  readonly choices: number
  readonly tensors: ReadonlyMap<string, GoldenTensor>
  /** PyTorch's own float32 error against float64, by tensor. */
  readonly float32_error: Readonly<Record<string, number>>
  /** The checkpoint of a head, in shards. */
  source(head: Head, options?: { pooler?: boolean }): Source
}

interface GoldenJson {
  batches: string[]
  choices: number
  /** Fields of config.json by head. */
  heads: Partial<Record<Head, object>>
  float32_error: Record<string, number>
}

export async function readHeads(files: Files, activation: string): Promise<GoldenHeads> {
  const folder = `heads/${activation}`
  const read = (file: string): Promise<Uint8Array<ArrayBuffer>> => files.read(`${folder}/${file}`)
  const json = async <T>(file: string): Promise<T> => JSON.parse(new TextDecoder().decode(await read(file))) as T
  const [config, golden] = [await json<object>('config.json'), await json<GoldenJson>('golden.json')]
  const trunk = await read('trunk.safetensors')
  const owned = new Map<Head, Uint8Array<ArrayBuffer>>()
  for (const head of HEADS) if (head !== 'BertModel') owned.set(head, await read(`${head}.safetensors`))
  return {
    ...golden,
    tensors: readSafetensors(await read('golden.safetensors')),
    source: (head, { pooler = true } = {}) => {
      const shards: Record<string, Uint8Array<ArrayBuffer>> = {
        'trunk.safetensors': pooler ? trunk : without(trunk, /^bert\.pooler\./),
        ...(owned.has(head) && { [`${head}.safetensors`]: owned.get(head)! }),
      }
      const weight_map = Object.fromEntries(
        Object.entries(shards).flatMap(([file, bytes]) => [...readSafetensors(bytes).keys()].map((name) => [name, file])),
      )
      const text = (value: object): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value))
      return memorySource(
        {
          'config.json': text({ ...config, ...golden.heads[head], architectures: [head] }),
          'model.safetensors.index.json': text({ metadata: {}, weight_map }),
          ...shards,
        },
        `${activation} ${head}`,
      )
    },
  }
}

function without(file: Uint8Array, names: RegExp): Uint8Array<ArrayBuffer> {
  const kept = [...readSafetensors(file)].filter(([name]) => !names.test(name))
  return writeSafetensors(kept.map(([name, { dims, data }]: [string, FileTensor]) => [name, dims, data] as const))
}

const INPUTS = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids', 'inputs_embeds']

/** A batch as a head takes it: [B, L], and [B, C, L] for multiple choice. */
export function inputsOf({ tensors, choices }: GoldenHeads, batch: string, head: Head): Record<string, GoldenTensor> {
  const inputs: Record<string, GoldenTensor> = {}
  for (const name of INPUTS) {
    const tensor = tensors.get(`${batch}.${name}`)
    if (tensor === undefined) continue
    const [rows, ...rest] = tensor.dims as [number, ...number[]]
    inputs[name] = head === 'BertForMultipleChoice' ? { data: tensor.data, dims: [rows / choices, choices, ...rest] } : tensor
  }
  return inputs
}

/** What a head must give for a batch, by the golden files' keys; hidden states and maps are those of BertModel. */
export function wanted({ tensors }: GoldenHeads, batch: string, head: Head): [string, GoldenTensor][] {
  const own = `${batch}.${head}.`
  const states = [`${batch}.BertModel.hidden_states.`, `${batch}.BertModel.attentions.`]
  return [...tensors].filter(
    ([key]) => (key.startsWith(own) || states.some((start) => key.startsWith(start))) && !key.endsWith('.column_0'),
  )
}
