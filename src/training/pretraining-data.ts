import { type BertletError, checkOptions, expected, flagOf, wholeOf, Words } from '../errors.ts'
import type { Tokenizer } from '../models/tokenizer.ts'
import { checkDocumentOptions, documents, type DocumentOptions } from './documents.ts'
import { maskTokens, predictions, type MaskingOptions, type MaskingVocabulary } from './masking.ts'
import { RandomStream } from './random.ts'
import { sentencePairs, type Document, type PairOptions } from './sentence-pairs.ts'
import { MemoryStorage, Spool, type SpoolStorage } from './spool.ts'
import { turn } from './turn.ts'

/** Names, meanings and defaults are those of google-research/bert, create_pretraining_data.py, but for `next_sentence`. */
export interface PretrainingDataOptions extends DocumentOptions, Partial<MaskingOptions>, Partial<Omit<PairOptions, 'longest'>> {
  /** 128, with [CLS] and both [SEP]. */
  readonly max_seq_length?: number
  /** 20. */
  readonly max_predictions_per_seq?: number
  /** 0.15. */
  readonly masked_lm_prob?: number
  /** 0.1: the share of documents, in a pass, whose pairs aim at a shorter length. */
  readonly short_seq_prob?: number
  /** Passes over the documents, each with pairs of its own: 10 with static masking, else 1. */
  readonly dupe_factor?: number
  /** False: every piece of a word is chosen on its own. */
  readonly do_whole_word_mask?: boolean
  /** 'paper': half of the pairs have a random B. */
  readonly next_sentence?: 'paper' | 'google'
  /** 'static': an instance is masked the same in every epoch. 'dynamic': anew in each. */
  readonly masking?: 'static' | 'dynamic'
  /** 12345. */
  readonly seed?: number
  /** A new place for bytes: memory, by default. Called twice, for documents and for pairs. */
  readonly storage?: () => SpoolStorage
  readonly progress_callback?: (progress: PretrainingDataProgress) => void
  readonly signal?: AbortSignal
}

/** Documents tokenized, or documents paired, all passes counted. */
export interface PretrainingDataProgress {
  readonly status: 'tokenize' | 'pair'
  readonly done: number
  readonly total?: number
}

/** One row of [CLS] A [SEP] B [SEP]. */
export interface PretrainingInstance {
  readonly input_ids: number[]
  /** 0 through the first [SEP], then 1. */
  readonly token_type_ids: number[]
  /** Sorted; what stands there is to be found. */
  readonly masked_lm_positions: number[]
  /** The original ids at those positions, -100 elsewhere. */
  readonly labels: number[]
  /** 0: B is the actual next text; 1: it is random. */
  readonly next_sentence_label: 0 | 1
}

/** Streams of the seed, in the counter's last word. */
const enum Purpose {
  Pairs = 0x64_00_00_01,
  Masks = 0x64_00_00_02,
  Order = 0x64_00_00_03,
}

const OPTIONS: readonly (keyof PretrainingDataOptions)[] = [
  'max_seq_length',
  'max_predictions_per_seq',
  'masked_lm_prob',
  'short_seq_prob',
  'dupe_factor',
  'do_whole_word_mask',
  'next_sentence',
  'masking',
  'seed',
  'storage',
  'progress_callback',
  'signal',
  'sentences',
  'document_break',
]
/** Documents between two reports. */
const PAUSE = 64

/** Instances to pre-train on, made when asked for: pairs lie in a storage, masks are drawn from (seed, epoch, instance). */
export class PretrainingData {
  constructor(
    private readonly pairs: Spool,
    private readonly vocabulary: MaskingVocabulary & { readonly cls: number; readonly sep: number },
    private readonly settings: MaskingOptions & { readonly seed: number; readonly dynamic: boolean },
    /** Documents of the corpus, and their tokens. */
    readonly documents: number,
    readonly tokens: number,
  ) {}

  /** Instances of an epoch. */
  get length(): number {
    return this.pairs.length
  }

  /** An instance as an epoch sees it. */
  async get(index: number, epoch = 0): Promise<PretrainingInstance> {
    wholeOf('index', index, 0, this.length - 1)
    const { vocabulary, settings } = this
    const [a, b, label] = await this.pairs.get(index)
    const input_ids = [vocabulary.cls, ...a!, vocabulary.sep, ...b!, vocabulary.sep]
    const token_type_ids = new Array<number>(input_ids.length).fill(0).fill(1, a!.length + 2)
    const random = new RandomStream(settings.seed, [index, settings.dynamic ? epoch : 0, Purpose.Masks])
    const { positions, labels } = maskTokens(input_ids, vocabulary, settings, random)
    return { input_ids, token_type_ids, masked_lm_positions: positions, labels, next_sentence_label: label![0] as 0 | 1 }
  }

  /** What an instance takes, known without reading it; a token more where ids fill half a word. */
  size(index: number): { tokens: number; labelled: number } {
    // Three lists: A, B and the label, in whose place and beside it stand [CLS] and both [SEP].
    const tokens = this.pairs.most(index, 3) + 2
    return { tokens, labelled: predictions(tokens, this.settings) }
  }

  /** Indices in the order in which an epoch sees them. */
  order(epoch = 0): Uint32Array {
    const order = Uint32Array.from({ length: this.length }, (_, i) => i)
    return new RandomStream(this.settings.seed, [0, epoch, Purpose.Order]).shuffle(order)
  }

  /** The instances of an epoch in its order; `from` goes on where a run left off. */
  async *instances({ epoch = 0, from = 0 }: { epoch?: number; from?: number } = {}): AsyncGenerator<PretrainingInstance> {
    for (const index of this.order(epoch).subarray(from)) yield await this.get(index, epoch)
  }
}

/**
 * Documents of sentences to instances for masked-language modelling and next-sentence prediction. The same lines, options and seed give the
 * same instances. A corpus larger than memory goes into `storage`: of it only one document is held, and eight bytes for each document and pair.
 *
 *     const data = await createPretrainingData(lines, tokenizer, { max_seq_length: 128, masking: 'dynamic' })
 *     for await (const { input_ids, labels } of data.instances({ epoch: 0 })) ...
 */
export async function createPretrainingData(
  lines: Iterable<string> | AsyncIterable<string>,
  tokenizer: Tokenizer,
  options: PretrainingDataOptions = {},
): Promise<PretrainingData> {
  const { pairing, masking, ...settings } = check(options)
  const vocabulary = vocabularyOf(tokenizer)
  const ids = vocabulary.size <= 0x10000 ? Uint16Array : Int32Array
  const { signal, progress_callback: report, storage = () => new MemoryStorage() } = options

  const corpus = new Spool(storage(), ids)
  let [tokens, several] = [0, 0]
  for await (const sentences of documents(lines, options)) {
    const document = tokenizer(sentences, { add_special_tokens: false }).input_ids.filter(({ length }) => length > 0)
    if (document.length === 0) continue
    await corpus.add(document)
    tokens += document.reduce((sum, { length }) => sum + length, 0)
    if (document.length > 1) several++
    if (corpus.length % PAUSE !== 0) continue
    report?.({ status: 'tokenize', done: corpus.length })
    await turn(signal)
  }
  signal?.throwIfAborted()
  checkCorpus(corpus.length, several, options)

  const pairs = new Spool(storage(), ids)
  const total = settings.dupe_factor * corpus.length
  for (let i = 0; i < total; i++) {
    const [pass, at] = [Math.floor(i / corpus.length), i % corpus.length]
    const random = new RandomStream(settings.seed, [at, pass, Purpose.Pairs])
    const other = (stream: RandomStream): Promise<Document> => corpus.get(drawOther(at, corpus.length, pairing.next_sentence, stream))
    for await (const { a, b, is_random_next } of sentencePairs(await corpus.get(at), other, pairing, random))
      await pairs.add([a, b, [is_random_next ? 1 : 0]])
    if ((i + 1) % PAUSE !== 0 && i + 1 < total) continue
    report?.({ status: 'pair', done: i + 1, total })
    await turn(signal)
  }
  return new PretrainingData(pairs, vocabulary, { ...masking, ...settings }, corpus.length, tokens)
}

/** A document of a random B. That program tries ten times to find another one. */
function drawOther(current: number, count: number, next_sentence: 'paper' | 'google', random: RandomStream): number {
  if (next_sentence === 'paper') {
    const other = random.below(count - 1)
    return other < current ? other : other + 1
  }
  let other = current
  for (let tries = 0; tries < 10 && other === current; tries++) other = random.below(count)
  return other
}

function vocabularyOf(tokenizer: Tokenizer): MaskingVocabulary & { cls: number; sep: number } {
  const { mask_token_id: mask, cls_token_id: cls, sep_token_id: sep, total_size: size, wordpieces_prefix: prefix } = tokenizer
  if (mask === undefined) throw expected('tokenizer', 'one with [MASK]', new Words('one without'), 'Add it: add_tokens("[MASK]")')
  const continues = new Uint8Array(size)
  for (const [token, id] of tokenizer.get_vocab()) if (token.startsWith(prefix)) continues[id] = 1
  return { size, mask, cls, sep, special: new Set([cls, sep]), continues }
}

function checkCorpus(count: number, several: number, { next_sentence = 'paper', sentences = 'line' }: PretrainingDataOptions): void {
  const refuse = (wanted: string, got: string, fix: string): BertletError => expected('corpus', wanted, new Words(got), fix)
  if (count === 0) throw refuse('documents of sentences', 'no line with tokens', 'Give the text to learn from')
  if (several === 0)
    throw refuse(
      'documents of two sentences or more',
      `${count} of one`,
      sentences === 'line'
        ? "Write one sentence a line, or pass sentences: 'split'"
        : 'Blank lines that stand in documents: pass document_break',
    )
  if (count === 1 && next_sentence === 'paper')
    throw refuse(
      'two documents or more, as a random next text is of another one',
      'one',
      "Put a blank line between documents, or pass document_break; next_sentence: 'google' takes the text from the same document",
    )
}

function check(options: PretrainingDataOptions) {
  checkOptions('createPretrainingData', options, OPTIONS)
  checkDocumentOptions(options)
  const { next_sentence = 'paper', masking = 'static', do_whole_word_mask = false } = options
  if (next_sentence !== 'paper' && next_sentence !== 'google') throw expected('next_sentence', '"paper" or "google"', next_sentence)
  if (masking !== 'static' && masking !== 'dynamic') throw expected('masking', '"static" or "dynamic"', masking)
  flagOf('do_whole_word_mask', do_whole_word_mask)
  const whole = (
    name: 'max_seq_length' | 'max_predictions_per_seq' | 'dupe_factor' | 'seed',
    fallback: number,
    least: number,
    most = 0x7fffffff,
  ): number => {
    return wholeOf(name, options[name] ?? fallback, least, most)
  }
  const share = (name: 'masked_lm_prob' | 'short_seq_prob', fallback: number): number => {
    const value = options[name] ?? fallback
    if (typeof value === 'number' && value >= 0 && value <= 1) return value
    throw expected(name, 'a number from 0 to 1', value)
  }
  return {
    // A and B have a token each.
    pairing: { longest: whole('max_seq_length', 128, 5) - 3, short_seq_prob: share('short_seq_prob', 0.1), next_sentence },
    masking: {
      masked_lm_prob: share('masked_lm_prob', 0.15),
      max_predictions_per_seq: whole('max_predictions_per_seq', 20, 1),
      do_whole_word_mask,
    },
    dupe_factor: whole('dupe_factor', masking === 'static' ? 10 : 1, 1),
    seed: whole('seed', 12345, 0, Number.MAX_SAFE_INTEGER),
    dynamic: masking === 'dynamic',
  }
}
