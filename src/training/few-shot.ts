// A working classifier from a few labelled texts: their sentence embeddings, one pass of a frozen trunk, and a logistic head solved over them.
import { currentRuntime } from '../engine/engine.ts'
import { checkOptions, expected, flagOf, show, Words } from '../errors.ts'
import { BertForSequenceClassification } from '../models/bert-for.ts'
import { BertModel } from '../models/bert-model.ts'
import { seldom } from '../models/model.ts'
import { LOAD_OPTIONS, type LoadOptions } from '../models/options.ts'
import type { Target } from '../models/save.ts'
import type { ModelSource } from '../models/source.ts'
import { Tokenizer } from '../models/tokenizer.ts'
import { writeSafetensors } from '../weights/write-safetensors.ts'
import { contrastiveDefaults, tuneByPairs, type ContrastiveOptions } from './contrastive.ts'
import { logisticRegression } from './logistic.ts'

export interface FewShotOptions extends Omit<
  LoadOptions,
  'initialize_missing' | 'add_pooling_layer' | 'label2id' | 'problem_type' | 'seed' | 'num_labels' | 'adapter'
> {
  /** A loaded BertModel, or what one is loaded from; all-MiniLM-L6-v2 as for pipeline('feature-extraction') by default. */
  readonly model?: BertModel | ModelSource
  /** Of a model that is given loaded; otherwise the one in its folder. */
  readonly tokenizer?: Tokenizer
  /** Names of the classes, when labels are numbers or their order matters; by default names come in the order in which they are first met. */
  readonly id2label?: Readonly<Record<number, string>>
  /** 'mean' (default) or 'cls'. */
  readonly pooling?: 'mean' | 'cls'
  /** True: embeddings of length 1. */
  readonly normalize?: boolean
  /** 1: how much the examples weigh against |W|^2 / 2, as in scikit-learn's LogisticRegression. */
  readonly C?: number
  /** The model's limit. */
  readonly max_length?: number
  /** False. True, or its settings: pairs of texts tune the trunk first, so that texts of one class come near each other, as SetFit does. A loaded model is tuned in place. */
  readonly contrastive?: boolean | ContrastiveOptions
}

export interface FewShotResult {
  /** An ordinary model: for a pipeline, training, and savePretrained(). Its config has `classifier_pooling`, as it reads the sentence embedding. */
  readonly model: BertForSequenceClassification
  readonly tokenizer: Tokenizer
  /** What the examples make doubtful, in sentences. */
  readonly warnings: readonly string[]
  /** The share of the examples that the head gets right. */
  readonly accuracy: number
  /** Writes the head alone, a few kB: `trunk.withHead(BertForSequenceClassification, folder)` takes it. */
  saveHead(to: Target): Promise<void>
  /**
   * Writes an adapter in PEFT's layout, which gives the same bits over the model that this one was made of: `fromPretrained(base, { adapter: folder })`,
   * or `pipeline('text-classification', base, { adapter: folder })`. A few kB; with `contrastive` the tuned trunk is in it, whole.
   */
  saveAdapter(to: Target): Promise<void>
}

const OWN: readonly (keyof FewShotOptions)[] = ['model', 'tokenizer', 'id2label', 'pooling', 'normalize', 'C', 'max_length', 'contrastive']
const FIXED = ['initialize_missing', 'add_pooling_layer', 'label2id', 'problem_type', 'seed', 'num_labels', 'adapter']

export { contrastivePairs } from './contrastive.ts'

/** See seldom.ts. */
export async function fewShot(
  texts: readonly string[],
  labels: readonly (string | number)[],
  options: FewShotOptions = {},
): Promise<FewShotResult> {
  const load = LOAD_OPTIONS.filter((name) => !FIXED.includes(name) && name !== 'id2label')
  checkOptions('fewShot', options, [...OWN, ...load])
  const { model: given, pooling = 'mean', normalize = true, C = 1, contrastive = false, signal } = options
  if (pooling !== 'mean' && pooling !== 'cls') throw expected('pooling', 'mean or cls', pooling)
  flagOf('normalize', normalize)
  if (!(C > 0 && C < Infinity)) throw expected('C', 'a number above 0', C)
  const { names, classes, warnings } = classesOf(texts, labels, options.id2label)
  const tuning = contrastive === false ? undefined : contrastiveDefaults(contrastive === true ? {} : contrastive)

  const loaded = given instanceof BertModel
  if (loaded && !(options.tokenizer instanceof Tokenizer))
    throw expected('tokenizer', "the model's Tokenizer, as model is loaded", options.tokenizer)
  const source = loaded ? undefined : (given ?? currentRuntime().defaultSource())
  const tokenizer = options.tokenizer ?? (await Tokenizer.fromPretrained(source!, pickOf(options, load, SOURCES)))
  const base = loaded ? given : await BertModel.fromPretrained(source!, { ...pickOf(options, load), add_pooling_layer: false })
  try {
    const { hidden_size: width, max_position_embeddings } = base.config
    const { name } = base.loaded
    const max_length = options.max_length ?? max_position_embeddings
    const inputs = tokenizer(texts, { padding: true, truncation: true, max_length })
    if (tuning) await tuneByPairs(base, inputs, classes, { ...tuning, pooling }, signal)
    const { data } = await base.features(inputs, { pooling, normalize, signal })
    const { weight, bias } = logisticRegression({ rows: data, width, labels: classes, classes: names.length, C })
    const fields = { classifier_pooling: pooling, classifier_normalize: normalize, problem_type: 'single_label_classification' }
    const files = headFiles({ ...base.config.toJSON(), ...fields }, names, weight, bias)
    const model = await base.withHead(BertForSequenceClassification, files)
    return {
      model,
      tokenizer,
      warnings,
      accuracy: accuracyOf(data, width, classes, weight, bias),
      async saveHead(to) {
        const { openSink } = await seldom()
        const sink = openSink(to)
        for (const [name, bytes] of Object.entries(files)) await sink.write(name, [bytes])
      },
      async saveAdapter(to) {
        const { saveAsAdapter } = await seldom()
        await saveAsAdapter(model.loaded, tuning ? ['embeddings', 'encoder', 'classifier'] : ['classifier'], name, to)
      },
    }
  } finally {
    // The head holds the trunk.
    if (!loaded) await base.dispose()
  }
}

const SOURCES = ['revision', 'subfolder', 'token', 'endpoint', 'cache_dir', 'local_files_only', 'fetch', 'signal', 'progress_callback']

const pickOf = (options: FewShotOptions, names: readonly string[], among: readonly string[] = names): LoadOptions =>
  Object.fromEntries(Object.entries(options).filter(([name]) => names.includes(name) && among.includes(name)))

interface Classes {
  readonly names: readonly string[]
  /** Of each text. */
  readonly classes: Int32Array
  readonly warnings: readonly string[]
}

/** Checks the examples and numbers their classes. */
export function classesOf(texts: readonly string[], labels: readonly (string | number)[], id2label: FewShotOptions['id2label']): Classes {
  if (!Array.isArray(texts) || texts.length === 0) throw expected('fewShot', 'a non-empty array of texts', texts)
  const odd = texts.findIndex((text) => typeof text !== 'string')
  if (odd >= 0) throw expected(`texts[${odd}]`, 'a text', texts[odd])
  if (!Array.isArray(labels) || labels.length !== texts.length)
    throw expected('labels', `${texts.length} labels, one a text`, Array.isArray(labels) ? new Words(`${labels.length}`) : labels)
  const named = id2label && Object.values(id2label)
  const numbers = typeof labels[0] === 'number'
  const most = named?.length ?? Infinity
  const wanted = numbers
    ? `a whole number from 0${named ? ` to ${most - 1}` : ''}`
    : named
      ? `one of ${named.join(', ')}`
      : 'a name, as the others'
  labels.forEach((label: unknown, i) => {
    const good = numbers ? Number.isInteger(label) && (label as number) >= 0 && (label as number) < Math.min(most, texts.length * 1024) : typeof label === 'string' && (named?.includes(label) ?? true) // prettier-ignore
    if (!good) throw expected(`labels[${i}]`, wanted, label)
  })
  const count = numbers ? labels.reduce<number>((top, label) => Math.max(top, label as number), 0) + 1 : 0
  const names = named ?? (numbers ? Array.from({ length: count }, (_, i) => `LABEL_${i}`) : [...new Set(labels as string[])])
  const places = new Map(names.map((name, i) => [name, i]))
  const classes = Int32Array.from(labels, (label) => (numbers ? (label as number) : places.get(label as string)!))
  const seen = new Set(classes)
  if (seen.size === 1)
    throw expected('labels', 'two classes or more', new Words(`only ${show(labels[0])}`), 'A classifier has to tell one from another')
  const empty = names.findIndex((_, i) => !seen.has(i))
  if (empty >= 0) throw expected(`class ${show(names[empty])}`, 'at least one text', new Words('none'), 'Give it some, or leave it out')
  return { names, classes, warnings: conflicts(texts, classes, names) }
}

/** Texts that come with several labels. */
function conflicts(texts: readonly string[], classes: Int32Array, names: readonly string[]): string[] {
  const first = new Map<string, number>()
  return texts.flatMap((text, i) => {
    const before = first.get(text)
    if (before === undefined) first.set(text, i)
    if (before === undefined || classes[before] === classes[i]) return []
    const [one, other] = [before, i].map((at) => show(names[classes[at]!]))
    return [`texts ${before} and ${i} are the same, ${show(text)}, and their labels are not: ${one} and ${other}`]
  })
}

/** A checkpoint of the head alone. */
function headFiles(
  config: Record<string, unknown>,
  names: readonly string[],
  weight: Float32Array,
  bias: Float32Array,
): Record<string, Uint8Array> {
  const { label2id: _, ...fields } = config
  const text = JSON.stringify({ ...fields, architectures: ['BertForSequenceClassification'], id2label: { ...names } }, null, 2)
  const shape = [names.length, weight.length / names.length]
  const tensors = [
    { name: 'classifier.weight', dtype: 'F32', shape, data: bytesOf(weight) },
    { name: 'classifier.bias', dtype: 'F32', shape: [names.length], data: bytesOf(bias) },
  ] as const
  const pieces = [...writeSafetensors(tensors)]
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return { 'config.json': new TextEncoder().encode(`${text}\n`), 'model.safetensors': whole }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)

function accuracyOf(rows: Float32Array, width: number, classes: Int32Array, weight: Float32Array, bias: Float32Array): number {
  const right = classes.reduce((sum, wanted, i) => {
    let [best, top] = [-1, -Infinity]
    bias.forEach((own, k) => {
      let score = own
      for (let j = 0; j < width; j++) score += rows[i * width + j]! * weight[k * width + j]!
      if (score > top) [best, top] = [k, score]
    })
    return sum + (best === wanted ? 1 : 0)
  }, 0)
  return right / classes.length
}
