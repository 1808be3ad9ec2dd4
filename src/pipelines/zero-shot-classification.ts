/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging -- instances are callable */
import { expected, flagOf, Words } from '../errors.ts'
import { BertForSequenceClassification, type LogitsOutput } from '../models/bert-for.ts'
import { Pipeline, rowAt, rowsOf, textAt, type CallOptions, type Results } from './base.ts'
import type { Job } from './batches.ts'
import { softmax } from './scores.ts'

export interface ZeroShotClassificationOptions extends CallOptions {
  /** The sentence that a label is put into, at `{}`; 'This example is {}.' by default. */
  readonly hypothesis_template?: string
  /** Whether several labels can be true: each is scored by itself then. */
  readonly multi_label?: boolean
  /** Longer texts are cut so that text and hypothesis have at most this many tokens; the model's limit by default. */
  readonly max_length?: number
}

export interface ZeroShotResult {
  readonly sequence: string
  /** The likeliest first. */
  readonly labels: string[]
  readonly scores: number[]
}

/** Labels, or a text of them with commas between. */
export type CandidateLabels = string | readonly string[]

export interface ZeroShotClassificationPipeline {
  (text: string, labels: CandidateLabels, options?: ZeroShotClassificationOptions): Promise<ZeroShotResult>
  (texts: readonly string[], labels: CandidateLabels, options?: ZeroShotClassificationOptions): Promise<ZeroShotResult[]>
  (texts: AsyncIterable<string>, labels: CandidateLabels, options?: ZeroShotClassificationOptions): AsyncIterable<ZeroShotResult>
}

interface TextJob extends Job {
  readonly sequence: string
}

/**
 * Labels that a model was never trained on: whether the text entails a sentence with the label, by a model of language inference.
 *
 *     const classify = await pipeline('zero-shot-classification', 'folder')
 *     await classify('The match ended in a draw', ['sports', 'cooking']) // { sequence, labels: ['sports', 'cooking'], scores: [0.97, 0.03] }
 */
export class ZeroShotClassificationPipeline extends Pipeline<BertForSequenceClassification> {
  static readonly model = BertForSequenceClassification
  readonly task = 'zero-shot-classification'

  _call(
    texts: string | readonly string[] | AsyncIterable<string>,
    candidates: CandidateLabels,
    options: ZeroShotClassificationOptions = {},
  ): Results<ZeroShotResult> {
    return this.run(texts, options, () => {
      this.check(options, ['hypothesis_template', 'multi_label', 'max_length'])
      const labels = labelsOf(candidates)
      const { hypothesis_template: template = 'This example is {}.', multi_label = false, signal } = options
      if (typeof template !== 'string' || !template.includes('{}'))
        throw expected('hypothesis_template', 'a text with {} for the label', template)
      flagOf('multi_label', multi_label)
      const hypotheses = labels.map((label) => template.split('{}').join(label))
      const max_length = this.limit(options.max_length)
      for (const [i, hypothesis] of hypotheses.entries()) {
        if (this.tokenizer.tokenize(hypothesis).length > max_length - 4)
          throw expected(`labels[${i}]`, `a label that leaves room for the text in ${max_length} tokens`, labels[i])
      }
      const [entails, contradicts] = entailment(this.model.config)
      return {
        job: (text: string, place: string): TextJob => ({
          sequence: textAt(place, text),
          rows: rowsOf(
            this.tokenizer(
              labels.map(() => text),
              { text_pair: hypotheses, truncation: 'only_first', max_length },
            ),
          ),
        }),
        compute: (batch) => this.model({ ...batch, signal }),
        result: ({ sequence }, { logits }: LogitsOutput, row) => {
          const each = labels.map((_, i) => rowAt(logits, row + i))
          const scores =
            multi_label || labels.length === 1
              ? each.map((values) => softmax([values[contradicts]!, values[entails]!])[1]!)
              : softmax(each.map((values) => values[entails]!))
          // Of equal ones the later label first, as in the reference.
          const order = labels.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || b - a)
          return { sequence, labels: order.map((i) => labels[i]!), scores: order.map((i) => scores[i]!) }
        },
      }
    })
  }
}

function labelsOf(candidates: CandidateLabels): string[] {
  const list: unknown = typeof candidates === 'string' ? candidates.split(',').map((label) => label.trim()) : candidates
  const labels = Array.isArray(list) ? (list as unknown[]).filter((label) => label !== '' || typeof candidates !== 'string') : []
  if (labels.length === 0) throw expected('labels', 'at least one label', candidates, "For example ['sports', 'politics']")
  return labels.map((label, i) => textAt(`labels[${i}]`, label))
}

/** The numbers of entailment and contradiction: the first label that begins so; the first label, or the last if that is taken. */
function entailment({ label2id, num_labels }: { label2id: Readonly<Record<string, number>>; num_labels: number }): [number, number] {
  const names = Object.keys(label2id)
  const name = names.find((label) => label.toLowerCase().startsWith('entail'))
  if (name === undefined)
    throw expected(
      'zero-shot-classification',
      'a model trained on NLI, with a label entailment',
      new Words(names.slice(0, 12).join(', ')),
      'If it is one, name its labels by id2label of pipeline()',
    )
  const entails = label2id[name]!
  return [entails, entails === 0 ? num_labels - 1 : 0]
}
