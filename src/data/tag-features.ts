// Tagged words to rows of pieces with labels, and a model's scores of pieces back to a tag a word.
import { checkOptions, expected, oneOf } from '../errors.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import type { Tensor } from '../models/tensor.ts'
import type { Dataset, Feature } from '../training/dataset.ts'
import type { ComputeMetrics } from '../training/evaluation.ts'
import type { TaggedWords } from './conll.ts'
import { entityMetrics, type EntityOptions } from './entity-metrics.ts'

/** Labels of this do not count. */
const IGNORED = -100

export interface TagFeatureOptions {
  /** Tags of the classes 0, 1, ...: see tagNames(). */
  readonly names: readonly string[]
  /** Tokens of a row, with special ones; the tokenizer's limit by default. Longer sentences become several rows. */
  readonly max_length?: number
  /** A quarter of max_length: tokens that neighbouring rows of a sentence share. */
  readonly stride?: number
  /** Whether all pieces of a word have its tag, B- as I- after the first; else those after the first do not count. */
  readonly label_all_tokens?: boolean
  readonly signal?: AbortSignal
}

interface Row {
  readonly sentence: number
  readonly input_ids: Int32Array
  readonly labels: Int32Array
  /** The word that starts at each token, where this row decides on its tag; else -1. */
  readonly decides: Int32Array
}

const OPTIONS = ['names', 'max_length', 'stride', 'label_all_tokens', 'signal']

/**
 * Tagged words for a Trainer of BertForTokenClassification. A sentence that is longer than a row becomes rows that overlap; each word counts in the
 * one where it has most around it, so no word is lost and none counts twice.
 *
 *     const train_dataset = new TagFeatures(sentences, tokenizer, { names: tagNames(sentences) })
 */
export class TagFeatures implements Dataset {
  readonly names: readonly string[]
  private readonly rows: readonly Row[]

  constructor(
    readonly sentences: readonly TaggedWords[],
    tokenizer: Tokenizer,
    options: TagFeatureOptions,
  ) {
    checkOptions('TagFeatures', options, OPTIONS)
    const { names, signal, label_all_tokens = false } = options
    const max_length = options.max_length ?? tokenizer.model_max_length
    if (max_length === undefined || !Number.isInteger(max_length) || max_length < 3)
      throw expected('max_length', 'a whole number of 3 or more, as this tokenizer knows no limit', max_length)
    const stride = options.stride ?? Math.floor((max_length - 2) / 4)
    const ids = new Map(names.map((name, i) => [name, i]))
    this.names = names
    this.rows = sentences.flatMap((sentence, i) => {
      if (i % 256 === 0) signal?.throwIfAborted()
      return rowsOf(sentence, i, tokenizer, { max_length, stride, all: label_all_tokens, ids })
    })
  }

  get length(): number {
    return this.rows.length
  }

  get(index: number): Feature {
    const { input_ids, labels } = this.rows[index]!
    return { input_ids, labels }
  }

  size(index: number): { tokens: number } {
    return { tokens: this.rows[index]!.input_ids.length }
  }

  /** The likeliest tag of every word of every sentence, of a model's logits [N, L, names]. A word's first piece decides; one without pieces is O. */
  tags({ data, dims }: Pick<Tensor, 'data' | 'dims'>): string[][] {
    const { names, rows } = this
    const [count, width, classes] = dims as [number, number, number]
    if (count !== rows.length || classes !== names.length)
      throw expected('logits', `[${rows.length}, tokens, ${names.length}]`, `[${dims.join(', ')}]`)
    const outside = names.includes('O') ? 'O' : names[0]!
    const found = this.sentences.map(({ words }) => new Array<string>(words.length).fill(outside))
    rows.forEach(({ sentence, decides }, row) => {
      decides.forEach((word, token) => {
        if (word < 0) return
        const at = (row * width + token) * classes
        let best = 0
        for (let k = 1; k < classes; k++) if (data[at + k]! > data[at + best]!) best = k
        found[sentence]![word] = names[best]!
      })
    })
    return found
  }
}

interface Settings {
  readonly max_length: number
  readonly stride: number
  readonly all: boolean
  readonly ids: ReadonlyMap<string, number>
}

function rowsOf({ words, tags, place }: TaggedWords, sentence: number, tokenizer: Tokenizer, settings: Settings): Row[] {
  const { max_length, stride, all, ids } = settings
  if (tags !== undefined && tags.length !== words.length) throw expected(place, `${words.length} tags, one a word`, tags.length)
  const names = [...ids.keys()]
  const some = `one of ${names.slice(0, 20).join(', ')}`
  const idOf = (tag: string): number => ids.get(tag) ?? ids.get(oneOf(`${place}: tag`, tag, names, some, 'invalid_file'))!
  const classes = tags?.map(idOf)
  const encoded = tokenizer([words], {
    is_split_into_words: true,
    truncation: true,
    truncation_side: 'right',
    max_length,
    stride,
    return_overflowing_tokens: true,
    return_word_ids: true,
  })
  const windows = encoded.word_ids!
  const deciding = decidingWindows(windows)
  return encoded.input_ids.map((input_ids, row) => {
    const of = windows[row]!
    const labels = new Int32Array(input_ids.length).fill(IGNORED)
    const decides = new Int32Array(input_ids.length).fill(-1)
    of.forEach((word, t) => {
      if (word === null || deciding.get(word)?.window !== row) return
      const first = deciding.get(word)!.token === t
      if (first) decides[t] = word
      if (classes === undefined || (!first && !all)) return
      const tag = tags![word]!
      labels[t] = first ? classes[word]! : (ids.get(tag.replace(/^B-/, 'I-')) ?? classes[word]!)
    })
    return { sentence, input_ids: Int32Array.from(input_ids), labels, decides }
  })
}

/** For each word the row, and in it the token, at which it begins with the most around it; the first of equals. */
function decidingWindows(windows: readonly (readonly (number | null)[])[]): Map<number, { window: number; token: number }> {
  const found = new Map<number, { window: number; token: number; around: number }>()
  windows.forEach((of, window) => {
    of.forEach((word, token) => {
      if (word === null || of[token - 1] === word) return
      // The row may begin amid a word, whose first piece another one has.
      if (window > 0 && token === 1 && windows[window - 1]!.includes(word)) {
        const before = found.get(word)
        if (before !== undefined) return
      }
      const around = Math.min(token, of.length - 1 - token)
      const other = found.get(word)
      if (other === undefined || around > other.around) found.set(word, { window, token, around })
    })
  })
  return found
}

/** Precision, recall and F1 of entities, and the accuracy of words' tags, of a Trainer's evaluations. */
export function tagComputeMetrics(features: TagFeatures, options: EntityOptions = {}): ComputeMetrics {
  return ({ predictions }) => {
    const gold = features.sentences.map(({ tags }) => tags!)
    const { precision, recall, f1, accuracy } = entityMetrics(gold, features.tags(predictions as Tensor), options)
    return { precision, recall, f1, accuracy }
  }
}
