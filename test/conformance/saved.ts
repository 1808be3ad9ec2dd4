// What savePretrained writes is what Hugging Face transformers would: names, dtypes and shapes of a list made by it (test/golden/names.json).
import type { BertPreTrainedModel, Source } from '../../src/index.ts'
import { memorySource } from '../../src/weights/source.ts'
import { random } from '../support/random.ts'
import { readSafetensors, writeSafetensors } from '../support/safetensors.ts'
import { check, same, type ConformanceCase, type Files } from './case.ts'
import { HEADS, inputsOf, readHeads, type Head } from './golden-heads.ts'
import { CLASSES, HERE, pick, sameBits, using, type AnyModel, type Output } from './heads.ts'

/** The files that savePretrained writes. */
export async function save(
  model: Pick<BertPreTrainedModel, 'savePretrained'> | AnyModel,
): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const files: Record<string, Uint8Array<ArrayBuffer>> = {}
  await model.savePretrained({
    write: async (name: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => {
      const parts: Uint8Array<ArrayBuffer>[] = []
      for await (const piece of pieces) parts.push(piece.slice())
      files[name] = new Uint8Array(await new Blob(parts).arrayBuffer())
    },
  })
  return files
}

interface Names {
  transformers: string
  config: Record<string, unknown>
  saved: {
    class: Head
    /** Fields of config.json that change what is written. */
    config: Record<string, unknown>
    /** Options of the class. */
    options: Record<string, unknown>
    tensors: Record<string, [dtype: string, shape: number[]]>
  }[]
}

/** What a case is called: a class and what changes its tensors. */
const LISTED: readonly [Head, Record<string, unknown>?][] = [
  ...HEADS.map((head): [Head] => [head]),
  ['BertForPreTraining', { tie_word_embeddings: false }],
  ['BertForMaskedLM', { tie_word_embeddings: false }],
  ['BertModel', { add_pooling_layer: false }],
]

/** Loads a file that has exactly the listed tensors, saves, and finds the same tensors again, bit for bit. */
function names(head: Head, change: Record<string, unknown> = {}): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const list = JSON.parse(new TextDecoder().decode(await files.read('names.json'))) as Names
    same(list.saved.length, LISTED.length, 'classes of names.json')
    const entry = list.saved.find((other) => {
      const all: Record<string, unknown> = { ...other.config, ...other.options }
      return other.class === head && ['tie_word_embeddings', 'add_pooling_layer'].every((name) => all[name] === change[name])
    })
    check(entry !== undefined, `names.json has no ${head} ${JSON.stringify(change)}`)
    const config = { model_type: 'bert', ...list.config, ...entry.config, architectures: [head] }
    const weights = randomFile(entry.tensors)
    const source = memorySource({ 'config.json': new TextEncoder().encode(JSON.stringify(config)), 'model.safetensors': weights })
    const saved = await using(await CLASSES[head].fromPretrained(source, { ...HERE, ...entry.options }), save)

    const [got, want] = [readSafetensors(saved['model.safetensors']!), readSafetensors(weights)]
    same([...got.keys()].sort(), Object.keys(entry.tensors).sort(), `tensors that transformers ${list.transformers} writes`)
    for (const [name, { dtype, dims }] of got) same([dtype, dims], entry.tensors[name], name)
    for (const [name, { data }] of want) sameBits(got.get(name)!.data as Float32Array, data as Float32Array, name)
    const { num_labels: labels, ...fields } = config as Record<string, unknown>
    const back = JSON.parse(new TextDecoder().decode(saved['config.json'])) as Record<string, unknown>
    for (const [name, value] of Object.entries(fields)) same(back[name], value, `config.json: ${name}`)
    same(Object.keys(back.id2label as object).length, labels, 'config.json: labels')
  }
  const changes = Object.entries(change).map(([name, value]) => `, ${name} ${String(value)}`)
  return { name: `names of Hugging Face's save_pretrained: ${head}${changes.join('')}`, run }
}

/** Seeded values. Only one of the two biases of a decoder of its own counts; they are the same here, so that either may be kept. */
function randomFile(tensors: Names['saved'][0]['tensors']): Uint8Array<ArrayBuffer> {
  const next = random(3)
  const values = new Map<string, number[]>()
  for (const [name, [, shape]] of Object.entries(tensors)) {
    const count = shape.reduce((product, n) => product * n, 1)
    values.set(
      name,
      name === 'cls.predictions.decoder.bias' ? values.get('cls.predictions.bias')! : Array.from({ length: count }, () => next() * 2 - 1),
    )
  }
  return writeSafetensors([...values].map(([name, list]) => [name, tensors[name]![1], list] as const))
}

/** What was saved loads again, with the same bits out. */
function again(activation: string, head: Head): ConformanceCase {
  const run = async (files: Files): Promise<void> => {
    const golden = await readHeads(files, activation)
    const inputs = inputsOf(golden, 'gappy', head)
    const outputs = async (source: Source): Promise<[Output, Record<string, Uint8Array<ArrayBuffer>>]> =>
      using(await CLASSES.AutoModel.fromPretrained(source, HERE), async (model) => [await model(inputs), await save(model)])
    const [first, saved] = await outputs(golden.source(head))
    const [second, savedAgain] = await outputs(memorySource(saved))
    for (const name of Object.keys(first)) sameBits(pick(second, name).data, pick(first, name).data, name)
    same(Object.keys(second), Object.keys(first), 'outputs')
    same(savedAgain['config.json'], saved['config.json'], 'config.json saved again')
    same(savedAgain['model.safetensors'], saved['model.safetensors'], 'model.safetensors saved again')
  }
  return { name: `saved and loaded again: ${head}, ${activation}`, run }
}

/** gelu has a tied decoder; gelu_new one of its own, and a bias beside it that Hugging Face does not use; silu one without that. */
export const SAVED: readonly ConformanceCase[] = [
  ...LISTED.map(([head, change]) => names(head, change)),
  ...HEADS.map((head) => again('gelu', head)),
  ...['gelu_new', 'silu'].flatMap((activation) => [again(activation, 'BertForMaskedLM'), again(activation, 'BertForPreTraining')]),
]
