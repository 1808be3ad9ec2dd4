// Features of sentence embeddings: texts in columns, as data sets of sentence-transformers have them. The order of the columns counts, their names do not,
// but for the label's.
import { BertletError, expected, Words } from '../errors.ts'
import { dataCollatorFor } from './collate.ts'
import type { DataCollator, Dataset, Feature } from './dataset.ts'
import { toDataset } from './dataset.ts'

/** A text as token ids, or as a row of the tokenizer's. */
export type TokenizedText = ArrayLike<number> | { readonly input_ids: ArrayLike<number>; readonly token_type_ids?: ArrayLike<number> }

/**
 * { anchor, positive, negative }, { sentence1, sentence2, score } or other names: every column is a text but for `label`, `labels`, `score` or `scores`,
 * a number.
 */
export type SentenceFeature = Readonly<Record<string, TokenizedText | number>>

const LABELS = ['label', 'labels', 'score', 'scores']
const CHOICES = dataCollatorFor('BertForMultipleChoice')

type Row = Extract<TokenizedText, { readonly input_ids: ArrayLike<number> }>

/** The texts of a feature, in order. */
function textsOf(feature: SentenceFeature, place: string): [name: string, row: Row][] {
  if (typeof feature !== 'object' || feature === null) throw expected(place, 'an object of tokenised texts', feature)
  return Object.entries(feature).flatMap(([name, value]) => {
    if (LABELS.includes(name)) return []
    const ids = (value as Row)?.input_ids ?? value
    if (typeof value === 'string')
      throw expected(`${place}.${name}`, 'token ids', value, 'Tokenise texts first: tokenizer(texts, { truncation: true }).input_ids')
    if (typeof ids !== 'object' || !(ids.length > 0) || typeof ids[0] !== 'number') throw expected(`${place}.${name}`, 'token ids', value)
    return [[name, (value as Row).input_ids === undefined ? { input_ids: ids } : (value as Row)]]
  })
}

/** Features to { input_ids: [B, texts, L], ..., labels }: the columns of the first feature, which all must have. */
export const sentenceCollator: DataCollator<SentenceFeature> = (features) => {
  const rows = features.map((feature, i) => textsOf(feature, `features[${i}]`))
  const names = rows[0]!.map(([name]) => name).join(', ')
  const odd = rows.findIndex((row) => row.map(([name]) => name).join(', ') !== names)
  if (odd >= 0) {
    const got = new Words(rows[odd]!.map(([name]) => name).join(', ') || 'none')
    throw expected(`features[${odd}]`, `the columns of the first, ${names}`, got, 'In this order: it tells which text is the anchor')
  }
  const field = LABELS.find((name) => features[0]![name] !== undefined)
  const choices = rows.map((row, i): Feature => {
    const of = <K extends keyof Row>(name: K): Row[K][] => row.map(([, each]) => each[name])
    const types = of('token_type_ids')
    return {
      input_ids: of('input_ids'),
      ...(types.every((each) => each !== undefined) && { token_type_ids: types }),
      ...(field !== undefined && { labels: features[i]![field] as number }),
    }
  })
  return CHOICES(choices)
}

/** An array as a Dataset that tells its sizes and texts. */
export function sentenceDataset(name: string, given: Dataset<SentenceFeature> | readonly SentenceFeature[]): Dataset<SentenceFeature> {
  const dataset = toDataset(name, given)
  if (!Array.isArray(given)) return dataset
  const texts = (i: number): [string, Row][] => textsOf((given as readonly SentenceFeature[])[i]!, `${name}[${i}]`)
  return {
    ...dataset,
    size: (i) => ({ tokens: texts(i).reduce((sum, [, { input_ids }]) => sum + input_ids.length, 0) }),
    texts: (i) => texts(i).map(([, { input_ids }]) => Array.from(input_ids).join(' ')),
  }
}

/** Files that say how sentence-transformers, and feature extraction with pooling 'auto', are to use a model. */
export function sentenceFiles(pooling: 'mean' | 'cls', normalize: boolean, hidden: number, max_seq_length: number): Record<string, string> {
  const text = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
  const type = 'sentence_transformers.models'
  const modules = [
    { idx: 0, name: '0', path: '', type: `${type}.Transformer` },
    { idx: 1, name: '1', path: '1_Pooling', type: `${type}.Pooling` },
    ...(normalize ? [{ idx: 2, name: '2', path: '2_Normalize', type: `${type}.Normalize` }] : []),
  ]
  return {
    'modules.json': text(modules),
    'sentence_bert_config.json': text({ max_seq_length, do_lower_case: false }),
    '1_Pooling/config.json': text({
      word_embedding_dimension: hidden,
      pooling_mode_cls_token: pooling === 'cls',
      pooling_mode_mean_tokens: pooling === 'mean',
      pooling_mode_max_tokens: false,
      pooling_mode_mean_sqrt_len_tokens: false,
    }),
  }
}

/** Which texts no step may have twice, by number. */
export function textNumbers({ length, texts }: Pick<Dataset<never>, 'length' | 'texts'>): readonly Int32Array[] {
  if (texts === undefined)
    throw new BertletError(
      'invalid_argument',
      "batch_sampler: 'no_duplicates' wants a train_dataset that tells its texts",
      'Give an array of features, or texts(index), which returns strings',
    )
  const numbers = new Map<string, number>()
  const number = (text: string): number => {
    if (!numbers.has(text)) numbers.set(text, numbers.size)
    return numbers.get(text)!
  }
  return Array.from({ length }, (_, i) => Int32Array.from(texts(i), number))
}
