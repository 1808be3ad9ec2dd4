import { Callable } from '../callable.ts'
import { expected } from '../errors.ts'
import { parseTokenizer, type TokenizerFiles } from '../tokenizer/load.ts'
import type { TextInput, TokenizeOptions } from '../tokenizer/options.ts'
import { BertTokenizer, type DecodeOptions, type NewToken, type TokenizerOutput } from '../tokenizer/tokenizer.ts'
import type { Target } from './save.ts'
import { checkOnlySourceOptions, openSource, type ModelSource, type SourceOptions } from './source.ts'

const FILES = ['tokenizer.json', 'vocab.txt', 'tokenizer_config.json', 'special_tokens_map.json'] as const

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- instances are callable
export interface Tokenizer {
  (texts: TextInput, options?: TokenizeOptions): TokenizerOutput
}

/**
 * A checkpoint's tokenizer.
 *
 *     const tokenizer = await Tokenizer.fromPretrained('folder')
 *     const { input_ids, attention_mask } = tokenizer(['a text', 'another'], { padding: true })
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class Tokenizer extends Callable {
  private readonly bert: BertTokenizer

  constructor(bert: BertTokenizer) {
    super()
    this.bert = bert
  }

  static async fromPretrained(from: ModelSource, options: SourceOptions = {}): Promise<Tokenizer> {
    checkOnlySourceOptions('Tokenizer.fromPretrained', options)
    const source = openSource(from, options)
    const { signal } = options
    const texts = await Promise.all(FILES.map((file) => source.text(file, { signal })))
    return Tokenizer.fromFiles(Object.fromEntries(FILES.map((file, i) => [file, texts[i]])), source.name)
  }

  /** The Python name of fromPretrained(). */
  static from_pretrained(from: ModelSource, options: SourceOptions = {}): Promise<Tokenizer> {
    return Tokenizer.fromPretrained(from, options)
  }

  /** From the texts of tokenizer.json or vocab.txt, and of tokenizer_config.json; `name` is for messages. */
  static fromFiles(files: TokenizerFiles, name = 'tokenizer'): Tokenizer {
    return new Tokenizer(new BertTokenizer(parseTokenizer(files, name)))
  }

  /** Most tokens of a row, if tokenizer_config.json says so. */
  get model_max_length(): number | undefined {
    return this.bert.parts.model_max_length
  }

  get padding_side(): 'left' | 'right' {
    return this.bert.parts.padding_side
  }

  get truncation_side(): 'left' | 'right' {
    return this.bert.parts.truncation_side
  }

  /** Tokens of the vocabulary, without added ones. */
  get vocab_size(): number {
    return this.bert.parts.vocabulary.size
  }

  /** Tokens of the vocabulary with the added ones: what the model's word embeddings must have. `len(tokenizer)` in Python. */
  get total_size(): number {
    return this.bert.length
  }

  get unk_token(): string {
    return this.bert.special.unk_token
  }

  get sep_token(): string {
    return this.bert.special.sep_token
  }

  get pad_token(): string {
    return this.bert.special.pad_token
  }

  get cls_token(): string {
    return this.bert.special.cls_token
  }

  get mask_token(): string {
    return this.bert.special.mask_token
  }

  get unk_token_id(): number {
    return this.bert.id(this.unk_token)!
  }

  get sep_token_id(): number {
    return this.bert.id(this.sep_token)!
  }

  get pad_token_id(): number {
    return this.bert.id(this.pad_token)!
  }

  get cls_token_id(): number {
    return this.bert.id(this.cls_token)!
  }

  /** What marks a piece that continues a word. */
  get wordpieces_prefix(): string {
    return this.bert.parts.vocabulary.prefix
  }

  /** Undefined where the vocabulary has no such token. */
  get mask_token_id(): number | undefined {
    return this.bert.id(this.mask_token)
  }

  /** Ids of the five special tokens and of added ones that are special. */
  get all_special_ids(): number[] {
    return this.bert.all_special_ids
  }

  get all_special_tokens(): string[] {
    return this.bert.convert_ids_to_tokens(this.bert.all_special_ids)
  }

  /** Tokens and their ids, by id; added tokens last. */
  get_vocab(): Map<string, number> {
    return this.bert.get_vocab()
  }

  _call(texts: TextInput, options?: TokenizeOptions): TokenizerOutput {
    return this.bert.encode_batch(texts, options)
  }

  /** The ids of one text or pair, with special tokens unless told otherwise. */
  encode(text: string, options: TokenizeOptions = {}): number[] {
    if (typeof text !== 'string') throw expected('encode', 'a text', text)
    return this.bert.encode_batch(text, options).input_ids[0]!
  }

  /** Tokens of a text, without special ones. */
  tokenize(text: string): string[] {
    return this.bert.tokenize(text)
  }

  convert_ids_to_tokens(ids: readonly number[]): string[] {
    return this.bert.convert_ids_to_tokens(ids)
  }

  convert_tokens_to_ids(tokens: readonly string[]): number[] {
    return this.bert.convert_tokens_to_ids(tokens)
  }

  /** Tokens as one text: pieces joined to their words. */
  convert_tokens_to_string(tokens: readonly string[]): string {
    return this.bert.convert_tokens_to_string(tokens)
  }

  /** The text of a row of ids. */
  decode(ids: readonly number[], options?: DecodeOptions): string {
    return this.bert.decode(ids, options)
  }

  batch_decode(rows: readonly (readonly number[])[], options?: DecodeOptions): string[] {
    if (!Array.isArray(rows)) throw expected('batch_decode', 'an array of rows of ids', rows)
    return (rows as readonly (readonly number[])[]).map((ids) => this.bert.decode(ids, options))
  }

  /** Special tokens that a row has beyond those of its texts. */
  num_special_tokens_to_add(pair = false): number {
    return pair ? 3 : 2
  }

  /**
   * Tokens that are found whole in a text, before it is split; how many of them are new. Resize the model's embeddings to `total_size` then.
   *
   *     tokenizer.add_tokens(['[ENT]', { content: 'yesterday', single_word: true }])
   */
  add_tokens(tokens: NewToken | readonly NewToken[], { special_tokens = false }: { special_tokens?: boolean } = {}): number {
    return this.bert.add_tokens(tokens, special_tokens)
  }

  /** The tokenizer's files as text, by name, as Hugging Face writes them. */
  files(): Record<string, string> {
    return this.bert.files()
  }

  /** Writes those files to a folder, or to an object with write(name, pieces). */
  async savePretrained(to: Target): Promise<void> {
    const { saveFiles } = await import('./seldom.ts')
    await saveFiles(this, to)
  }

  /** The Python name of savePretrained(). */
  save_pretrained(to: Target): Promise<void> {
    return this.savePretrained(to)
  }
}
