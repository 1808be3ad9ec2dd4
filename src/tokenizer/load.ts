// tokenizer.json or vocab.txt to what a tokenizer is made of. Files are untrusted.
import { BertletError, expected, show } from '../errors.ts'
import type { NormalizeOptions } from './normalize.ts'

export interface TokenizerParts {
  readonly vocab: ReadonlyMap<string, number>
  readonly normalizer: NormalizeOptions
  readonly prefix: string
  readonly longest: number
  readonly unknown: string
  readonly model_max_length: number | undefined
}

/** What a checkpoint folder holds for its tokenizer, as text. */
export interface TokenizerFiles {
  readonly 'tokenizer.json'?: string | undefined
  readonly 'vocab.txt'?: string | undefined
  readonly 'tokenizer_config.json'?: string | undefined
}

export function parseTokenizer(files: TokenizerFiles, name: string): TokenizerParts {
  const config = files['tokenizer_config.json'] === undefined ? {} : json(files['tokenizer_config.json'], `${name}/tokenizer_config.json`)
  const limit = config.model_max_length
  // Python writes 1e30 for "none".
  const model_max_length = typeof limit === 'number' && limit > 0 && limit < 1e9 ? limit : undefined
  if (files['tokenizer.json'] !== undefined) return { ...fromJson(files['tokenizer.json'], `${name}/tokenizer.json`), model_max_length }
  if (files['vocab.txt'] !== undefined) return { ...fromVocab(files['vocab.txt'], config, `${name}/vocab.txt`), model_max_length }
  throw new BertletError(
    'not_found',
    `${name}: expected tokenizer.json or vocab.txt, found neither`,
    'Fetch the tokenizer of the checkpoint',
  )
}

type Json = Record<string, unknown>

function json(text: string, name: string): Json {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new BertletError('invalid_file', `${name}: expected JSON, got ${show(text.slice(0, 40))}`, (cause as Error).message, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw expected(name, 'an object', value, undefined, 'invalid_file')
  return value as Json
}

function fromJson(text: string, name: string): Omit<TokenizerParts, 'model_max_length'> {
  const root = json(text, name)
  const model = (root.model ?? {}) as Json
  // Old files leave the type out; a WordPiece has a continuing prefix.
  const type = model.type ?? (model.continuing_subword_prefix !== undefined ? 'WordPiece' : undefined)
  if (type !== 'WordPiece')
    throw new BertletError(
      'unsupported',
      `${name}: the model is ${show(type)}, and BERT's is "WordPiece"`,
      'Use the tokenizer of a BERT checkpoint',
    )
  const normalizer = (root.normalizer ?? {}) as Json
  if (normalizer.type !== 'BertNormalizer')
    throw new BertletError('unsupported', `${name}: the normalizer is ${show(normalizer.type)}, and BERT's is "BertNormalizer"`)
  const vocab = new Map<string, number>()
  for (const [token, id] of Object.entries((model.vocab ?? {}) as Json)) {
    if (!Number.isInteger(id) || (id as number) < 0)
      throw expected(`${name}: the id of ${show(token)}`, 'a whole number', id, undefined, 'invalid_file')
    vocab.set(token, id as number)
  }
  const added = Array.isArray(root.added_tokens) ? (root.added_tokens as { id?: unknown; content?: unknown }[]) : []
  for (const { id, content } of added) if (typeof content === 'string' && typeof id === 'number') vocab.set(content, id)
  const lowercase = normalizer.lowercase !== false
  return {
    vocab: checked(vocab, name),
    normalizer: {
      clean_text: normalizer.clean_text !== false,
      handle_chinese_chars: normalizer.handle_chinese_chars !== false,
      strip_accents: (normalizer.strip_accents as boolean | null | undefined) ?? lowercase,
      lowercase,
    },
    prefix: (model.continuing_subword_prefix as string | undefined) ?? '##',
    longest: (model.max_input_chars_per_word as number | undefined) ?? 100,
    unknown: (model.unk_token as string | undefined) ?? '[UNK]',
  }
}

function fromVocab(text: string, config: Json, name: string): Omit<TokenizerParts, 'model_max_length'> {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()
  const vocab = new Map<string, number>()
  lines.forEach((token, id) => {
    if (vocab.has(token))
      throw new BertletError(
        'invalid_file',
        `${name}: the token ${show(token)} stands in lines ${vocab.get(token)! + 1} and ${id + 1}`,
        'Each token stands once',
      )
    vocab.set(token, id)
  })
  const lowercase = config.do_lower_case !== false
  return {
    vocab: checked(vocab, name),
    normalizer: {
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars !== false,
      strip_accents: (config.strip_accents as boolean | null | undefined) ?? lowercase,
      lowercase,
    },
    prefix: '##',
    longest: 100,
    unknown: '[UNK]',
  }
}

function checked(vocab: Map<string, number>, name: string): Map<string, number> {
  const missing = ['[UNK]', '[CLS]', '[SEP]', '[PAD]'].filter((token) => !vocab.has(token))
  if (missing.length > 0)
    throw new BertletError(
      'invalid_file',
      `${name}: the vocabulary of ${vocab.size} tokens lacks ${missing.join(', ')}`,
      "BERT's special tokens must be in it",
    )
  return vocab
}
