// Questions on texts, in SQuAD's files.
import path from 'node:path'
import { readSquad, squadAnswers, squadComputeMetrics, SquadFeatures, type SquadLogits } from '../data.ts'
import { expected, Words } from '../errors.ts'
import { BertForQuestionAnswering } from '../index.node.ts'
import type { PredictionOutput } from '../training.ts'
import { readFile } from './data-files.ts'
import type { LabelledFile, LabelledTask } from './labelled-task.ts'
import type { LabelledOptions } from './labelled-options.ts'
import { openSink } from './output.ts'

export const QUESTION_ANSWERING: LabelledTask = {
  model: BertForQuestionAnswering,
  best: 'f1',

  async open(train, options, _, signal) {
    const files = await Promise.all(
      [train, ...(options.eval === undefined ? [] : [options.eval])].map((file) => read(file, options, true, signal)),
    )
    return { train: files[0]!, held: files.slice(1), head: {} }
  },

  measure: async (file, options, _, signal) => [await read(file, options, options.predictions === undefined, signal)],
}

async function read(file: string, options: LabelledOptions, labelled: boolean, signal: AbortSignal): Promise<LabelledFile> {
  const questions = await readFile(file, signal, (input, name) => readSquad(input, name, options.format))
  const silent = questions.find(({ answers }) => answers.length === 0)
  const answered = questions.some(({ answers }) => answers.length > 0)
  if (silent && !options.version2WithNegative && (labelled || answered))
    throw expected(silent.place, 'an answer', new Words('none'), 'Of SQuAD v2.0 pass --version-2-with-negative', 'invalid_file')
  const answers = {
    version_2_with_negative: options.version2WithNegative ?? false,
    ...(options.nBestSize !== undefined && { n_best_size: options.nBestSize }),
    ...(options.maxAnswerLength !== undefined && { max_answer_length: options.maxAnswerLength }),
    ...(options.nullScoreDiffThreshold !== undefined && { null_score_diff_threshold: options.nullScoreDiffThreshold }),
  }
  return {
    file,
    prefix: '',
    examples: questions.length,
    read: silent ? `${questions.filter((each) => each.answers.length === 0).length} without answer` : 'each with an answer',
    features(tokenizer, config) {
      const dataset = new SquadFeatures(questions, tokenizer, {
        max_length: options.maxLength ?? Math.min(384, config.max_position_embeddings),
        ...(options.docStride !== undefined && { doc_stride: options.docStride }),
        ...(options.maxQueryLength !== undefined && { max_query_length: options.maxQueryLength }),
        signal,
      })
      return {
        dataset,
        ...((answered || options.version2WithNegative) && { compute_metrics: squadComputeMetrics(dataset, answers) }),
        write: (output, to) => write(dataset, output, answers, to, signal),
      }
    },
  }
}

/** `predictions.json` as the official evaluation takes it, with `nbest_predictions.json` and, of v2.0, `null_odds_predictions.json` beside it. */
async function write(
  dataset: SquadFeatures,
  { predictions }: PredictionOutput,
  options: Parameters<typeof squadAnswers>[2],
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const answers = squadAnswers(dataset, predictions as unknown as SquadLogits, options)
  const beside = (prefix: string): string => path.join(path.dirname(file), `${prefix}${path.basename(file)}`)
  const put = async (to: string, value: (answer: (typeof answers)[number]) => unknown): Promise<void> => {
    const sink = await openSink(to, signal)
    try {
      await sink.write(`${JSON.stringify(Object.fromEntries(answers.map((answer) => [answer.id, value(answer)])), null, 2)}\n`)
      await sink.finish()
    } finally {
      await sink.close()
    }
  }
  await put(file, ({ text }) => text)
  if (file === '-') return
  await put(beside('nbest_'), ({ n_best }) => n_best)
  if (options?.version_2_with_negative) await put(beside('null_odds_'), ({ null_odds }) => null_odds)
}
