import { checkOptions, expected, wholeOf, Words } from '../errors.ts'
import { Tokenizer } from '../models/tokenizer.ts'
import { fromTokens } from '../tokenizer/token-list.ts'
import { parseTokenizer } from '../tokenizer/load.ts'
import { BertTokenizer } from '../tokenizer/tokenizer.ts'
import { VocabularyTrainer, type VocabularyOptions } from '../tokenizer/train.ts'
import { Vocabulary } from '../tokenizer/vocabulary.ts'
import { eachWord } from '../tokenizer/words.ts'
import { turn } from './turn.ts'

/** Names and defaults are those of BertWordPieceTokenizer.train() of the `tokenizers` library. */
export interface WordPieceTrainerOptions extends Partial<VocabularyOptions> {
  /** Tokens of the vocabulary. One that is given must be reached; without, it is at most 30000. */
  readonly vocab_size?: number
  /** Joins of fewer occurrences are not made: 2. */
  readonly min_frequency?: number
  /** Most characters that are kept, the frequent ones: 1000. */
  readonly limit_alphabet?: number
  /** Characters that are kept in any case. */
  readonly initial_alphabet?: readonly string[]
  /** The first ids, in this order: [PAD], [UNK], [CLS], [SEP], [MASK]. */
  readonly special_tokens?: readonly string[]
  /** What marks a piece that continues a word: ##. */
  readonly wordpieces_prefix?: string
  /** True makes an uncased tokenizer, which strips accents too unless told otherwise. */
  readonly lowercase?: boolean
  readonly strip_accents?: boolean | null
  readonly handle_chinese_chars?: boolean
  /** The tokenizer's longest row, written into its files: 512. */
  readonly model_max_length?: number
  readonly progress_callback?: (progress: WordPieceProgress) => void
  readonly signal?: AbortSignal
}

/** Lines read, or tokens of the vocabulary made. */
export interface WordPieceProgress {
  readonly status: 'count' | 'train'
  readonly done: number
  readonly total?: number
}

const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
const DEFAULT_SIZE = 30_000
const MOST = 0x4000000
const OPTIONS: readonly (keyof WordPieceTrainerOptions)[] = [
  'vocab_size',
  'min_frequency',
  'limit_alphabet',
  'initial_alphabet',
  'special_tokens',
  'wordpieces_prefix',
  'lowercase',
  'strip_accents',
  'handle_chinese_chars',
  'model_max_length',
  'progress_callback',
  'signal',
]
/** Lines, and tokens, between two reports. */
const PAUSE = 1000

/**
 * Trains a tokenizer on the lines of a corpus, of which only the counts of words are kept. The same lines give the same vocabulary, in any
 * order: VocabularyTrainer says how ties are decided.
 *
 *     const tokenizer = await trainWordPiece(lines, { vocab_size: 8000 })
 *     const { 'vocab.txt': vocabulary, 'tokenizer.json': json } = tokenizer.files()
 */
export async function trainWordPiece(
  lines: Iterable<string> | AsyncIterable<string>,
  options: WordPieceTrainerOptions = {},
): Promise<Tokenizer> {
  const settings = check(options)
  const { lowercase = true, strip_accents = null, handle_chinese_chars = true, model_max_length = 512, signal } = options
  const normalizer = { clean_text: true, handle_chinese_chars, strip_accents: strip_accents ?? lowercase, lowercase }

  const counts = new Map<string, number>()
  const count = (word: string): void => void counts.set(word, (counts.get(word) ?? 0) + 1)
  let read = 0
  for await (const line of lines) {
    if (typeof line !== 'string') throw expected(`line ${read + 1}`, 'a text', line)
    eachWord(line, normalizer, count)
    if (++read % PAUSE === 0) {
      options.progress_callback?.({ status: 'count', done: read })
      await turn(signal)
    }
  }
  signal?.throwIfAborted()
  if (counts.size === 0) throw expected('corpus', 'lines with words', new Words(`${read} lines without any`), 'Give the text to learn from')

  const tokens = await grow(new VocabularyTrainer(counts, settings), settings, options)
  const config = { do_lower_case: lowercase, strip_accents, tokenize_chinese_chars: handle_chinese_chars, model_max_length }
  const text = tokens.map((token) => `${token}\n`).join('')
  const parts = parseTokenizer({ 'vocab.txt': text, 'tokenizer_config.json': JSON.stringify(config) }, 'tokenizer')
  const list = fromTokens(
    tokens,
    tokens.map((_, id) => id),
    'tokenizer',
  )
  return new Tokenizer(new BertTokenizer({ ...parts, vocabulary: new Vocabulary(list, settings.wordpieces_prefix, 'tokenizer') }))
}

async function grow(
  trainer: VocabularyTrainer,
  { vocab_size: size, min_frequency: least }: VocabularyOptions,
  { vocab_size: asked, signal, progress_callback: report }: WordPieceTrainerOptions,
): Promise<readonly string[]> {
  const { tokens } = trainer
  if (tokens.length > size)
    throw expected(
      'vocab_size',
      `at least ${tokens.length}: special tokens, the characters of the corpus, and their forms inside words`,
      size,
      'Pass a larger vocab_size, or a limit_alphabet that drops rare characters',
    )
  for (let steps = 1; tokens.length < size && trainer.step(); steps++) {
    if (steps % PAUSE !== 0) continue
    report?.({ status: 'train', done: tokens.length, total: size })
    await turn(signal)
  }
  if (asked !== undefined && tokens.length < asked)
    throw expected(
      'vocab_size',
      `at most ${tokens.length}, all that this corpus gives with min_frequency ${least}`,
      asked,
      'Pass that size, a smaller min_frequency or more text; without vocab_size you get what there is',
    )
  report?.({ status: 'train', done: tokens.length, total: tokens.length })
  return tokens
}

function check(options: WordPieceTrainerOptions): VocabularyOptions {
  checkOptions('trainWordPiece', options, OPTIONS)
  const { special_tokens = SPECIAL, initial_alphabet = [], wordpieces_prefix = '##' } = options
  const whole = (name: 'vocab_size' | 'min_frequency' | 'limit_alphabet' | 'model_max_length', fallback: number, least: number): number =>
    wholeOf(name, options[name] ?? fallback, least, MOST - 1)
  for (const [name, list] of Object.entries({ special_tokens, initial_alphabet }))
    if (!Array.isArray(list) || !list.every((token) => typeof token === 'string' && token !== ''))
      throw expected(name, 'an array of texts', list)
  const missing = SPECIAL.filter((token) => !special_tokens.includes(token))
  if (missing.length > 0) throw expected('special_tokens', `${SPECIAL.join(', ')} among them`, new Words(`none of ${missing.join(', ')}`))
  const odd = initial_alphabet.find((character) => [...character].length !== 1)
  if (odd !== undefined) throw expected('initial_alphabet', 'single characters', odd)
  if (typeof wordpieces_prefix !== 'string' || wordpieces_prefix === '')
    throw expected('wordpieces_prefix', 'a text that is not empty', wordpieces_prefix)
  whole('model_max_length', 512, 2)
  return {
    vocab_size: whole('vocab_size', DEFAULT_SIZE, 1),
    min_frequency: whole('min_frequency', 2, 0),
    limit_alphabet: whole('limit_alphabet', 1000, 0),
    special_tokens,
    initial_alphabet,
    wordpieces_prefix,
  }
}
