// The files of a tokenizer, as Hugging Face writes them.
import { isObject, type JsonObject } from '../json.ts'
import type { AddedToken } from './added.ts'
import type { TokenizerParts } from './load.ts'
import { bertTemplate } from './template.ts'

export function tokenizerFiles(parts: TokenizerParts, added: readonly AddedToken[]): Record<string, string> {
  const { special, vocabulary } = parts
  const entries = [...vocabulary.entries()]
  const files: Record<string, string> = {
    'tokenizer.json': tokenizerJson(parts, added, entries),
    'tokenizer_config.json': sorted({ ...parts.config, ...configOf(parts) }),
    'special_tokens_map.json': sorted({ ...special }),
  }
  // A list of lines can say neither gaps between ids nor line ends in tokens.
  if (entries.every(([token, id], i) => id === i && !/[\r\n]/.test(token)))
    files['vocab.txt'] = entries.map(([token]) => `${token}\n`).join('')
  return files
}

function configOf({ normalizer, strip_accents, special, model_max_length, clean_up_tokenization_spaces }: TokenizerParts) {
  return {
    ...special,
    clean_up_tokenization_spaces,
    do_lower_case: normalizer.lowercase,
    strip_accents,
    tokenize_chinese_chars: normalizer.handle_chinese_chars,
    tokenizer_class: 'BertTokenizer',
    model_max_length,
  }
}

/** In the order and the layout of the official library. */
function tokenizerJson(parts: TokenizerParts, added: readonly AddedToken[], entries: readonly [string, number][]): string {
  const { normalizer, strip_accents, special, vocabulary } = parts
  const id = (token: string): number => added.find(({ content }) => content === token)?.id ?? vocabulary.id(token)!
  const root = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [...added].sort((a, b) => a.id - b.id).map(fieldsOf),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: normalizer.clean_text,
      handle_chinese_chars: normalizer.handle_chinese_chars,
      strip_accents,
      lowercase: normalizer.lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: inOrder(
      parts.post_processor ?? bertTemplate([special.cls_token, id(special.cls_token)], [special.sep_token, id(special.sep_token)]),
    ),
    decoder: { type: 'WordPiece', prefix: vocabulary.prefix, cleanup: parts.cleanup },
    model: {
      type: 'WordPiece',
      unk_token: special.unk_token,
      continuing_subword_prefix: vocabulary.prefix,
      max_input_chars_per_word: parts.longest,
      vocab: {},
    },
  }
  // By hand: an object would put the tokens "0", "1", ... first.
  const vocab = entries.map(([token, id]) => `\n      ${JSON.stringify(token)}: ${id}`).join(',')
  const text = JSON.stringify(root, null, 2)
  const at = text.lastIndexOf('{}')
  return `${text.slice(0, at)}{${vocab}\n    }${text.slice(at + 2)}`
}

/** The library sorts the special tokens of a template. */
function inOrder(post_processor: JsonObject): JsonObject {
  const { special_tokens: tokens } = post_processor
  if (!isObject(tokens)) return post_processor
  const names = Object.keys(tokens).sort()
  return { ...post_processor, special_tokens: Object.fromEntries(names.map((name) => [name, tokens[name]])) }
}

const fieldsOf = ({ id, content, single_word, lstrip, rstrip, normalized, special }: AddedToken): AddedToken => ({
  id,
  content,
  single_word,
  lstrip,
  rstrip,
  normalized,
  special,
})

/** As Python writes a configuration. */
function sorted(fields: Record<string, unknown>): string {
  const names = Object.keys(fields).filter((name) => fields[name] !== undefined)
  return `${JSON.stringify(Object.fromEntries(names.sort().map((name) => [name, fields[name]])), null, 2)}\n`
}
