/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging -- instances are callable */
import { expected, flagOf, wholeOf, Words } from '../errors.ts'
import { BertForQuestionAnswering, type QuestionAnsweringOutput } from '../models/bert-for.ts'
import { countOf, Pipeline, rowAt, rowsOf, type CallOptions, type Results } from './base.ts'
import type { Job } from './batches.ts'
import { Best, softmax } from './scores.ts'

export interface QuestionAnsweringOptions extends CallOptions {
  /** How many answers, the best first; 1 by default. */
  readonly top_k?: number
  /** Most tokens of an answer; 15 by default. */
  readonly max_answer_len?: number
  /** Tokens of a window: question, a piece of the context and special ones. At most 384 by default. */
  readonly max_seq_len?: number
  /** Tokens that neighbouring windows share; half a window, at most 128, by default. */
  readonly doc_stride?: number
  /** Whether no answer, '', is among the answers. */
  readonly handle_impossible_answer?: boolean
  /** Whether answers are whole words; true by default. */
  readonly align_to_words?: boolean
}

export interface Question {
  readonly question: string
  readonly context: string
}

export interface Answer {
  readonly score: number
  /** `context.slice(start, end)` is the answer. */
  readonly start: number
  readonly end: number
  readonly answer: string
}

type One = QuestionAnsweringOptions & { readonly top_k?: 1 }

export interface QuestionAnsweringPipeline {
  (question: string, context: string, options?: One): Promise<Answer>
  (question: string, context: string, options: QuestionAnsweringOptions): Promise<Answer | Answer[]>
  /** As many contexts as questions, or one for all. */
  (questions: readonly string[], context: string | readonly string[], options?: One): Promise<Answer[]>
  (questions: readonly string[], context: string | readonly string[], options: QuestionAnsweringOptions): Promise<(Answer | Answer[])[]>
  (questions: AsyncIterable<Question>, options?: QuestionAnsweringOptions): AsyncIterable<Answer | Answer[]>
}

interface QuestionJob extends Job {
  readonly context: string
  readonly offsets: readonly (readonly [number, number])[][]
  readonly words: readonly (readonly (number | null)[])[]
}

interface Settings {
  readonly top_k: number
  readonly max_answer_len: number
  readonly max_seq_len: number
  readonly doc_stride: number
  readonly impossible: boolean
  readonly align: boolean
}

/**
 * Answers that stand in a text of any length. One answer comes alone, several in a list.
 *
 *     const ask = await pipeline('question-answering', 'folder')
 *     await ask('Where did Ada live?', 'Ada lived in London.') // { score: 0.98, start: 13, end: 19, answer: 'London' }
 */
export class QuestionAnsweringPipeline extends Pipeline<BertForQuestionAnswering> {
  static readonly model = BertForQuestionAnswering
  readonly task = 'question-answering'

  _call(
    questions: string | readonly string[] | AsyncIterable<Question>,
    contexts?: string | readonly string[] | QuestionAnsweringOptions,
    more: QuestionAnsweringOptions = {},
  ): Results<Answer | Answer[]> {
    const apart = typeof contexts === 'string' || Array.isArray(contexts)
    const options = apart ? more : ((contexts as QuestionAnsweringOptions | undefined) ?? {})
    const items = apart ? paired(questions as string | readonly string[], contexts as string | readonly string[]) : questions
    return this.run(items as Question | readonly Question[] | AsyncIterable<Question>, options, () => {
      const settings = this.settings(options)
      return {
        job: (item: Question, place: string): QuestionJob => this.job(item, place, settings),
        compute: (batch) => this.model({ ...batch, signal: options.signal }),
        result: (job, output: QuestionAnsweringOutput, row) => answers(job, output, row, settings),
      }
    })
  }

  private settings(options: QuestionAnsweringOptions): Settings {
    this.check(options, ['top_k', 'max_answer_len', 'max_seq_len', 'doc_stride', 'handle_impossible_answer', 'align_to_words'])
    const max_seq_len = this.limit(options.max_seq_len ?? Math.min(this.limit(), 384), 'max_seq_len')
    const { doc_stride = Math.min(max_seq_len >> 1, 128), max_answer_len = 15, top_k = 1 } = options
    return {
      top_k: countOf('top_k', top_k),
      max_answer_len: countOf('max_answer_len', max_answer_len),
      max_seq_len,
      doc_stride: wholeOf('doc_stride', doc_stride, 0, max_seq_len, ', max_seq_len'),
      impossible: flagOf('handle_impossible_answer', options.handle_impossible_answer ?? false),
      align: flagOf('align_to_words', options.align_to_words ?? true),
    }
  }

  private job(item: Question, place: string, { max_seq_len, doc_stride }: Settings): QuestionJob {
    const { question, context } = (item ?? {}) as Partial<Question>
    for (const [name, text] of Object.entries({ question, context })) {
      if (typeof text !== 'string' || text === '') throw expected(`${place}: ${name}`, 'a text that is not empty', text)
    }
    const asked = this.tokenizer.encode(question!, { add_special_tokens: false, truncation: false }).length
    const room = max_seq_len - 3 - asked
    if (room < 1 || (room <= doc_stride && this.tokenizer.tokenize(context!).length > room)) {
      const got = new Words(`${asked} tokens, which leave ${Math.max(room, 0)} of max_seq_len, ${max_seq_len}, to the context`)
      throw expected(
        `${place}: question`,
        `less than ${Math.max(0, max_seq_len - 3 - doc_stride)} tokens`,
        got,
        'Shorten it, or pass a smaller doc_stride or a larger max_seq_len',
      )
    }
    const encoded = this.tokenizer(question!, {
      text_pair: context!,
      truncation: 'only_second',
      truncation_side: 'right',
      max_length: max_seq_len,
      stride: doc_stride,
      return_overflowing_tokens: true,
      return_offsets_mapping: true,
      return_word_ids: true,
    })
    const rows = rowsOf(encoded)
    if (rows[0]!.ids.length === asked + 3) throw expected(`${place}: context`, 'a text with words', context)
    return { rows, context: context!, offsets: encoded.offset_mapping!, words: encoded.word_ids! }
  }
}

function paired(questions: string | readonly string[], contexts: string | readonly string[]): Question | readonly Question[] {
  if (!Array.isArray(questions)) return { question: questions as string, context: contexts as string }
  const each = Array.isArray(contexts) ? (contexts as readonly string[]) : questions.map(() => contexts as string)
  if (each.length !== questions.length)
    throw expected('question-answering', `${questions.length} contexts, as many as questions, or one for all`, contexts)
  return (questions as readonly string[]).map((question, i) => ({ question, context: each[i]! }))
}

interface Span {
  readonly score: number
  readonly first: number
  readonly last: number
}

/** The reference's rules: probabilities within each window, answers of equal text add up. */
function answers(
  job: QuestionJob,
  { start_logits, end_logits }: QuestionAnsweringOutput,
  row: number,
  settings: Settings,
): Answer | Answer[] {
  const { top_k, align, impossible } = settings
  const found = new Map<string, Answer>()
  let none = Infinity
  job.rows.forEach(({ types, ids }, window) => {
    const words = job.words[window]!
    // The context, and [CLS]: the place of no answer.
    const open = ids.map((_, i) => i === 0 || (types[i] === 1 && words[i] !== null))
    const [starts, ends] = [start_logits, end_logits].map((logits) => {
      const values = rowAt(logits, row + window)
      return softmax(ids.map((_, i) => (open[i] ? values[i]! : -10000)))
    }) as [Float64Array, Float64Array]
    none = Math.min(none, starts[0]! * ends[0]!)
    open[0] = false
    for (const { score, first, last } of spans(starts, ends, open, settings, align ? 2 * top_k + 10 : top_k)) {
      const [start, end] = align ? wholeWords(words, first, last) : [first, last]
      const place = { start: job.offsets[window]![start]![0], end: job.offsets[window]![end]![1] }
      const answer = job.context.slice(place.start, place.end)
      const key = answer.toLowerCase()
      const same = found.get(key)
      found.set(key, same ? { ...same, score: same.score + score } : { score, ...place, answer })
    }
  })
  const list = [...found.values(), ...(impossible ? [{ score: none, start: 0, end: 0, answer: '' }] : [])]
  const best = list.sort((a, b) => b.score - a.score).slice(0, top_k)
  return best.length === 1 ? best[0]! : best
}

/** The likeliest spans of open places, of at most max_answer_len tokens. */
function spans(starts: Float64Array, ends: Float64Array, open: readonly boolean[], { max_answer_len }: Settings, count: number): Span[] {
  const best = new Best<Span>(count)
  for (let first = 0; first < starts.length; first++) {
    if (!open[first]) continue
    for (let last = first; last < Math.min(starts.length, first + max_answer_len); last++) {
      const score = starts[first]! * ends[last]!
      if (open[last]) best.add({ score, first, last }, score)
    }
  }
  return best.items
}

/** From the first token of the first one's word to the last token of the last one's, within the window. */
function wholeWords(words: readonly (number | null)[], first: number, last: number): [number, number] {
  while (words[first - 1] === words[first]) first--
  while (words[last + 1] === words[last]) last++
  return [first, last]
}
