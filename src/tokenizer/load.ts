// tokenizer.json or vocab.txt to what a tokenizer is made of. Files are untrusted.
import { BertletError, expected, show, Words } from '../errors.ts'
import { isObject, parseObject, type JsonObject } from '../json.ts'
import type { AddedToken } from './added.ts'
import { postProcessor } from './template.ts'
import { fromJsonText, fromLines, fromTokens, type TokenList } from './token-list.ts'
import type { NormalizeOptions } from './unicode.ts'
import { Vocabulary } from './vocabulary.ts'

export type Side = 'left' | 'right'
export type SpecialName = 'unk_token' | 'sep_token' | 'pad_token' | 'cls_token' | 'mask_token'
export type SpecialTokens = Readonly<Record<SpecialName, string>>

export interface TokenizerParts {
  readonly vocabulary: Vocabulary
  readonly added: readonly AddedToken[]
  readonly normalizer: NormalizeOptions
  /** As the file says; null follows `lowercase`. */
  readonly strip_accents: boolean | null
  readonly special: SpecialTokens
  /** Characters of the longest word that is looked up. */
  readonly longest: number
  /** What decode() cleans of each token, and of the joined text. */
  readonly cleanup: boolean
  readonly clean_up_tokenization_spaces: boolean
  readonly model_max_length: number | undefined
  readonly padding_side: Side
  readonly truncation_side: Side
  /** tokenizer_config.json, and the post-processor of tokenizer.json, as they were given: kept for saving. */
  readonly config: JsonObject
  readonly post_processor: JsonObject | undefined
}

/** What a checkpoint folder holds for its tokenizer, as text. */
export interface TokenizerFiles {
  readonly 'tokenizer.json'?: string | undefined
  readonly 'vocab.txt'?: string | undefined
  readonly 'tokenizer_config.json'?: string | undefined
  readonly 'special_tokens_map.json'?: string | undefined
}

const DEFAULTS: SpecialTokens = { unk_token: '[UNK]', sep_token: '[SEP]', pad_token: '[PAD]', cls_token: '[CLS]', mask_token: '[MASK]' }
const NAMES = Object.keys(DEFAULTS) as SpecialName[]
/** Far more than any vocabulary takes. */
const LONGEST_FILE = 1 << 26 // characters
const LONGEST_WORD = 100_000 // characters

export function parseTokenizer(files: TokenizerFiles, name: string): TokenizerParts {
  for (const [file, text] of Object.entries(files))
    if (typeof text === 'string' && text.length > LONGEST_FILE)
      throw expected(`${name}/${file}`, `at most ${LONGEST_FILE} characters`, text.length, 'Download the file again', 'invalid_file')
  const json = (file: 'tokenizer_config.json' | 'special_tokens_map.json'): JsonObject =>
    files[file] === undefined ? {} : parseObject(files[file], `${name}/${file}`)
  const config = json('tokenizer_config.json')
  const read = reader(config, `${name}/tokenizer_config.json`)
  const limit = config.model_max_length
  const settings = {
    config,
    // Python writes 1e30 for "none".
    model_max_length: typeof limit === 'number' && limit > 0 && limit < 1e9 ? limit : undefined,
    padding_side: read('padding_side', 'right', isSide, '"left" or "right"'),
    truncation_side: read('truncation_side', 'right', isSide, '"left" or "right"'),
    // False since transformers 5: PreTrainedTokenizerBase.__init__.
    clean_up_tokenization_spaces: read('clean_up_tokenization_spaces', false, isBoolean, 'true or false'),
  }
  const named = { ...specialNames(json('special_tokens_map.json')), ...specialNames(config) }
  if (files['tokenizer.json'] !== undefined)
    return checked({ ...settings, ...fromJson(files['tokenizer.json'], named, config, `${name}/tokenizer.json`) }, `${name}/tokenizer.json`)
  if (files['vocab.txt'] !== undefined)
    return checked({ ...settings, ...fromVocab(files['vocab.txt'], named, config, `${name}/vocab.txt`) }, `${name}/vocab.txt`)
  throw new BertletError(
    'not_found',
    `${name}: expected tokenizer.json or vocab.txt, found neither`,
    'Fetch the tokenizer of the checkpoint',
  )
}

type FromFile = Omit<TokenizerParts, 'config' | 'model_max_length' | 'padding_side' | 'truncation_side' | 'clean_up_tokenization_spaces'>

function fromJson(text: string, named: Partial<SpecialTokens>, config: JsonObject, name: string): FromFile {
  const { root, tokens } = parseJson(text, name)
  const model = part(root, 'model', name)
  // Old files leave the type out; a WordPiece has a continuing prefix.
  const type = model.type ?? (model.continuing_subword_prefix !== undefined ? 'WordPiece' : undefined)
  if (type !== 'WordPiece')
    throw new BertletError(
      'unsupported',
      `${name}: the model is ${show(type)}, and BERT's is "WordPiece"`,
      'Use the tokenizer of a BERT checkpoint',
    )
  const normalizer = part(root, 'normalizer', name)
  const splitter = part(root, 'pre_tokenizer', name)
  const decoder = isObject(root.decoder) ? root.decoder : {}
  for (const [what, value, wanted] of [
    ['normalizer', normalizer.type, 'BertNormalizer'],
    ['pre_tokenizer', splitter.type, 'BertPreTokenizer'],
    ['decoder', decoder.type ?? 'WordPiece', 'WordPiece'],
  ] as const)
    if (value !== wanted)
      throw new BertletError(
        'unsupported',
        `${name}: the ${what} is ${show(value)}, and BERT's is ${show(wanted)}`,
        'Use the tokenizer of a BERT checkpoint',
      )

  const ofModel = reader(model, `${name}: model`)
  const ofNormalizer = reader(normalizer, `${name}: normalizer`)
  const post = postProcessor(root.post_processor, name)
  const lowercase = ofNormalizer('lowercase', true, isBoolean, 'true or false')
  const strip_accents = ofNormalizer('strip_accents', null, isBoolean, 'true, false or null')
  const prefix = ofModel('continuing_subword_prefix', '##', isText, 'a text')
  const vocabulary = new Vocabulary(tokens, prefix, name)
  return {
    vocabulary,
    added: withConfig(addedTokens(root.added_tokens ?? [], `${name}: added_tokens`), config),
    normalizer: {
      clean_text: ofNormalizer('clean_text', true, isBoolean, 'true or false'),
      handle_chinese_chars: ofNormalizer('handle_chinese_chars', true, isBoolean, 'true or false'),
      strip_accents: strip_accents ?? lowercase,
      lowercase,
    },
    strip_accents,
    special: { ...DEFAULTS, ...named, unk_token: ofModel('unk_token', '[UNK]', isText, 'a text'), ...post },
    longest: ofModel('max_input_chars_per_word', 100, isWordLength, `a whole number up to ${LONGEST_WORD}`),
    cleanup: reader(decoder, `${name}: decoder`)('cleanup', true, isBoolean, 'true or false'),
    post_processor: isObject(root.post_processor) ? root.post_processor : undefined,
  }
}

function fromVocab(text: string, named: Partial<SpecialTokens>, config: JsonObject, name: string): FromFile {
  const read = reader(config, name.replace('vocab.txt', 'tokenizer_config.json'))
  const lowercase = read('do_lower_case', true, isBoolean, 'true or false')
  const strip_accents = read('strip_accents', null, isBoolean, 'true, false or null')
  const special = { ...DEFAULTS, ...named }
  const vocabulary = new Vocabulary(fromLines(text), '##', name)
  // As BertTokenizer of transformers makes them.
  const added = NAMES.flatMap((key) => {
    const id = vocabulary.id(special[key])
    return id === undefined ? [] : [{ id, content: special[key], ...PLAIN, special: true }]
  })
  return {
    vocabulary,
    added: withConfig(added, config),
    normalizer: {
      clean_text: true,
      handle_chinese_chars: read('tokenize_chinese_chars', true, isBoolean, 'true or false'),
      strip_accents: strip_accents ?? lowercase,
      lowercase,
    },
    strip_accents,
    special,
    longest: 100,
    cleanup: true,
    post_processor: undefined,
  }
}

const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false }

/** Stands for a vocabulary that was read already. */
const READ = -1

/** The root object, with the vocabulary read apart: it is most of the file. */
function parseJson(text: string, name: string): { root: JsonObject; tokens: TokenList } {
  const key = /"vocab"\s*:\s*\{/.exec(text)
  const at = key === null ? 0 : key.index + key[0].length - 1
  const read = key === null ? undefined : fromJsonText(text, at)
  if (read !== undefined) {
    const root = parseObject(`${text.slice(0, at)}${READ}${text.slice(read.end)}`, name)
    // Unless it was another vocabulary than the model's.
    if (isObject(root.model) && root.model.vocab === READ) return { root, tokens: read.list }
  }
  const root = parseObject(text, name)
  const vocab = isObject(root.model) ? root.model.vocab : undefined
  return { root, tokens: isObject(vocab) ? fromTokens(Object.keys(vocab), Object.values(vocab) as number[], name) : NOTHING }
}

const NOTHING = fromTokens([], [], '')

function addedTokens(list: unknown, subject: string): AddedToken[] {
  if (!Array.isArray(list)) throw expected(subject, 'an array', list, undefined, 'invalid_file')
  return list.map((value: unknown, i) => addedToken(value, `${subject}[${i}]`))
}

/** One entry of `added_tokens`, or of `added_tokens_decoder` with its id. */
function addedToken(value: unknown, subject: string, id?: number): AddedToken {
  if (!isObject(value)) throw expected(subject, 'an object', value, undefined, 'invalid_file')
  const read = reader(value, subject)
  const flag = (name: string): boolean => read(name, false, isBoolean, 'true or false')
  const content = value.content
  if (typeof content !== 'string' || content === '') throw expected(`${subject}.content`, 'a text', content, undefined, 'invalid_file')
  const own = id ?? value.id
  if (!Number.isInteger(own) || (own as number) < 0 || (own as number) >= 2 ** 31)
    throw expected(`${subject}.id`, 'a whole number', own, undefined, 'invalid_file')
  const special = flag('special')
  return {
    id: own as number,
    content,
    single_word: flag('single_word'),
    lstrip: flag('lstrip'),
    rstrip: flag('rstrip'),
    normalized: read('normalized', !special, isBoolean, 'true or false'),
    special,
  }
}

/** transformers adds what tokenizer_config.json lists beyond tokenizer.json. */
function withConfig(added: readonly AddedToken[], { added_tokens_decoder }: JsonObject): AddedToken[] {
  const known = new Set(added.map(({ content }) => content))
  const more = isObject(added_tokens_decoder)
    ? Object.entries(added_tokens_decoder).map(([id, value]) => addedToken(value, `added_tokens_decoder[${id}]`, Number(id)))
    : []
  return [...added, ...more.filter(({ content }) => !known.has(content))].sort((a, b) => a.id - b.id)
}

/** Names of special tokens: a text, or an object with its `content`. */
function specialNames(file: JsonObject): Partial<SpecialTokens> {
  const found: Partial<Record<SpecialName, string>> = {}
  for (const name of NAMES) {
    const value = file[name]
    const text = isObject(value) ? value.content : value
    if (typeof text === 'string') found[name] = text
  }
  return found
}

function checked(parts: TokenizerParts, name: string): TokenizerParts {
  const { vocabulary, added, special } = parts
  const isKnown = (token: string): boolean => vocabulary.id(token) !== undefined || added.some(({ content }) => content === token)
  const missing = NAMES.filter((key) => key !== 'mask_token' && !isKnown(special[key])).map((key) => special[key])
  if (vocabulary.id(special.unk_token) === undefined && missing.length === 0) missing.push(special.unk_token)
  if (missing.length > 0)
    throw new BertletError(
      'invalid_file',
      `${name}: the vocabulary of ${vocabulary.size} tokens lacks ${missing.join(', ')}`,
      "BERT's special tokens must be in it",
    )
  for (const { content, id } of added) {
    const other = vocabulary.id(content)
    const holder = vocabulary.token(id)
    if ((other !== undefined && other !== id) || (holder !== undefined && holder !== content))
      throw expected(
        `${name}: the added token ${show(content)}`,
        other === undefined ? 'an id that no other token has' : `the id ${other}, as the vocabulary says`,
        new Words(`${id}${holder === undefined ? '' : ` of ${show(holder)}`}`),
        undefined,
        'invalid_file',
      )
  }
  return parts
}

// --- fields of files ---

type Is<T> = (value: unknown) => value is T
const isBoolean: Is<boolean> = (value) => typeof value === 'boolean'
const isText: Is<string> = (value) => typeof value === 'string'
const isSide: Is<Side> = (value) => value === 'left' || value === 'right'
const isWordLength: Is<number> = (value): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LONGEST_WORD

/** Reads fields: absent or null is the default. */
function reader(object: JsonObject, subject: string) {
  return <T, D>(name: string, fallback: D, is: Is<T>, wanted: string): T | D => {
    const value = object[name] ?? fallback
    if (value === fallback || is(value)) return value as T | D
    throw expected(`${subject}.${name}`, wanted, value, undefined, 'invalid_file')
  }
}

function part(root: JsonObject, key: string, name: string): JsonObject {
  const value = root[key] ?? {}
  if (isObject(value)) return value
  throw expected(`${name}: ${key}`, 'an object', value, undefined, 'invalid_file')
}
