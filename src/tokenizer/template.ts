// The post-processor of tokenizer.json: [CLS] A [SEP], with B [SEP] behind for a pair. Others are refused.
import { BertletError, show } from '../errors.ts'
import { isObject, type JsonObject } from '../json.ts'

/** The names that the file gives to [CLS] and [SEP]; undefined where it has no post-processor. */
export function postProcessor(value: unknown, name: string): { cls_token: string; sep_token: string } | undefined {
  if (value === undefined || value === null) return undefined
  const file = isObject(value) ? value : {}
  if (file.type === 'BertProcessing' && Array.isArray(file.cls) && Array.isArray(file.sep)) {
    const [cls, sep] = [file.cls[0] as unknown, file.sep[0] as unknown]
    if (typeof cls === 'string' && typeof sep === 'string') return { cls_token: cls, sep_token: sep }
  }
  if (file.type === 'TemplateProcessing') {
    const [single, pair] = [line(file.single), line(file.pair)]
    const [cls, , sep] = single
    if (cls !== undefined && sep !== undefined && single.join() === [cls, 'A:0', sep].join()) {
      if (pair.join() === [cls, 'A:0', sep, 'B:1', sep.replace(/:0$/, ':1')].join())
        return { cls_token: cls.slice(1, -2), sep_token: sep.slice(1, -2) }
    }
    throw new BertletError(
      'unsupported',
      `${name}: the post-processor is ${show(`${single.join(' ')} | ${pair.join(' ')}`)}, and BERT's is "[CLS] A [SEP] B [SEP]"`,
      'Use the tokenizer of a BERT checkpoint',
    )
  }
  throw new BertletError(
    'unsupported',
    `${name}: the post-processor is ${show(file.type)}, and BERT's is "TemplateProcessing" or "BertProcessing"`,
    'Use the tokenizer of a BERT checkpoint',
  )
}

/** A template in words: `$[CLS]:0` for a special token, `A:0` for a text. */
function line(pieces: unknown): string[] {
  if (!Array.isArray(pieces)) return []
  return pieces.map((piece: unknown) => {
    const { SpecialToken, Sequence } = isObject(piece) ? piece : {}
    if (isObject(SpecialToken)) return `$${String(SpecialToken.id)}:${String(SpecialToken.type_id)}`
    if (isObject(Sequence)) return `${String(Sequence.id)}:${String(Sequence.type_id)}`
    return '?'
  })
}

export function bertTemplate(cls: [string, number], sep: [string, number]): JsonObject {
  const special = ([id]: [string, number], type_id: number): JsonObject => ({ SpecialToken: { id, type_id } })
  const text = (id: string, type_id: number): JsonObject => ({ Sequence: { id, type_id } })
  const single = [special(cls, 0), text('A', 0), special(sep, 0)]
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, text('B', 1), special(sep, 1)],
    special_tokens: Object.fromEntries([cls, sep].map(([id, number]) => [id, { id, ids: [number], tokens: [id] }])),
  }
}
