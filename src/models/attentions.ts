// What a model looks at: the tokens of a text, and each head's map over them.
import { checkOptions, expected, Words } from '../errors.ts'
import type { Loaded } from './load.ts'
import type { Tensor } from './tensor.ts'
import { Tokenizer } from './tokenizer.ts'

export interface AttentionsOptions {
  /** The second text of a pair. */
  readonly text_pair?: string
  /** By default the one in the model's folder. */
  readonly tokenizer?: Tokenizer
  readonly signal?: AbortSignal
}

export interface Attentions {
  /** As the model reads them, [CLS] and [SEP] among them. */
  readonly tokens: string[]
  /** Of each layer: [heads, L, L], L tokens; row i says how much token i looks at each. */
  readonly attentions: Tensor[]
}

const OPTIONS: readonly (keyof AttentionsOptions)[] = ['text_pair', 'tokenizer', 'signal']

/** Tokens, and the inputs of the call that has the maps. */
export async function attentionInputs({ source, config }: Loaded, text: string, options: AttentionsOptions) {
  checkOptions('attentions', options, OPTIONS)
  const { text_pair, tokenizer: own, signal } = options
  if (typeof text !== 'string') throw expected('attentions', 'a text', text)
  if (own === undefined && source === undefined)
    throw expected('attentions', 'a tokenizer, as the model was not loaded from a folder', new Words('none'), 'Give { tokenizer }')
  const tokenizer = own ?? (await Tokenizer.fromPretrained(source!, { signal }))
  const pair = text_pair === undefined ? {} : { text_pair }
  const encoded = tokenizer(text, { ...pair, truncation: true, max_length: config.max_position_embeddings })
  const { input_ids, token_type_ids } = encoded
  return { tokens: tokenizer.convert_ids_to_tokens(input_ids[0]!), inputs: { input_ids, token_type_ids, output_attentions: true } }
}
