import { Callable } from '../callable.ts'
import { parseTokenizer, type TokenizerFiles } from '../tokenizer/load.ts'
import { BertTokenizer, type TokenizeOptions, type TokenizerOutput } from '../tokenizer/tokenizer.ts'
import { checkOnlySourceOptions, openSource, type ModelSource, type SourceOptions } from './source.ts'

const FILES = ['tokenizer.json', 'vocab.txt', 'tokenizer_config.json'] as const

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- instances are callable
export interface Tokenizer {
  (texts: string | readonly string[], options?: TokenizeOptions): TokenizerOutput
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
    const files: TokenizerFiles = Object.fromEntries(FILES.map((file, i) => [file, texts[i]]))
    return new Tokenizer(new BertTokenizer(parseTokenizer(files, source.name)))
  }

  /** The Python name of fromPretrained(). */
  static from_pretrained(from: ModelSource, options: SourceOptions = {}): Promise<Tokenizer> {
    return Tokenizer.fromPretrained(from, options)
  }

  /** Most tokens of a row, if tokenizer_config.json says so. */
  get model_max_length(): number | undefined {
    return this.bert.model_max_length
  }

  _call(texts: string | readonly string[], options?: TokenizeOptions): TokenizerOutput {
    return this.bert.encode_batch(texts, options)
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
}
