// Sentence embeddings: pairs of texts with a score, or an anchor, what is near it and what is not.
import { longest, readTextColumns, sentenceFeatures, type TextRow } from '../data.ts'
import { expected, Words } from '../errors.ts'
import { BertModel, type Source, type Tensor } from '../index.node.ts'
import { regressionMetrics, type ComputeMetrics, type SentenceLossName } from '../training.ts'
import { readFile } from './data-files.ts'
import { SENTENCE_LOSSES, type LabelledOptions } from './labelled-options.ts'
import type { LabelledFile, LabelledTask } from './labelled-task.ts'
import { openSink } from './output.ts'

export const SENTENCE_SIMILARITY: LabelledTask = {
  model: {
    headFor: (options) => BertModel.headFor(options),
    fromPretrained: (source, options) => BertModel.fromPretrained(source, { ...options, add_pooling_layer: false }),
  },
  best: 'spearman',

  async open(train, options, source, signal) {
    const own = await read(train, options, signal)
    const loss = options.loss ?? usualLoss(own.rows)
    const held = options.eval === undefined ? [] : [await read(options.eval, options, signal)]
    for (const each of [own, ...held]) checkLoss(each, loss)
    return {
      train: sentenceFile(own, options, signal),
      held: held.map((each) => sentenceFile(each, options, signal)),
      head: {},
      embeddings: { loss, ...(await embeddingsOf(source, options, signal)) },
    }
  },

  async measure(file, options, _, signal, source) {
    const own = await read(file, options, signal)
    const loss = usualLoss(own.rows)
    checkLoss(own, loss)
    return [{ ...sentenceFile(own, options, signal), embeddings: { loss, ...(await embeddingsOf(source, options, signal)) } }]
  },
}

type Read = Awaited<ReturnType<typeof readTextColumns>> & { readonly file: string }

async function read(file: string, { columns, label, header, format }: LabelledOptions, signal: AbortSignal): Promise<Read> {
  const how = {
    ...(columns !== undefined && { columns: columns.split(',').map((name) => name.trim()) }),
    ...(label !== undefined && { label }),
    ...(header !== undefined && { header }),
    ...(format !== undefined && { format }),
    called: (option: string) => `--${option}`,
  }
  return { file, ...(await readFile(file, signal, (input, name) => readTextColumns(input, name, how))) }
}

/** Scores have an order; without them the other texts of a step are what an anchor is not near. */
const usualLoss = ([first]: readonly TextRow[]): SentenceLossName =>
  first!.score === undefined ? 'MultipleNegativesRankingLoss' : 'CoSENTLoss'

/** What a loss takes, told before a weight is read. */
function checkLoss({ rows }: Read, loss: SentenceLossName): void {
  const { scored, texts: [least, most] } = SENTENCE_LOSSES[loss] // prettier-ignore
  for (const { place, texts, score } of rows) {
    if (scored !== (score !== undefined))
      throw expected(
        place,
        `${scored ? 'two texts and a score' : 'texts without a score'}, as ${loss} takes them`,
        new Words(scored ? 'no score' : `the score ${score}`),
        scored ? 'Name its column with --label' : 'Name the texts with --columns, or take another --loss',
        'invalid_file',
      )
    if (texts.length < least || texts.length > most)
      throw expected(
        place,
        `${least === most ? least : `${least} or more`} texts, as ${loss} takes them`,
        new Words(`${texts.length}`),
        'Name them with --columns, or take another --loss',
        'invalid_file',
      )
    if (loss === 'CosineSimilarityLoss' && !(Math.abs(score!) <= 1))
      throw expected(
        `${place}: score`,
        'a cosine, from -1 to 1',
        score,
        'Divide scores, or take CoSENTLoss, to which only their order matters',
        'invalid_file',
      )
  }
}

/** How the checkpoint makes a vector of a text, by the files of sentence-transformers; the mean where there are none. */
async function embeddingsOf(source: Source, { pooling }: LabelledOptions, signal: AbortSignal) {
  if (pooling !== undefined) return { pooling }
  const [modules, text] = await Promise.all(['modules.json', '1_Pooling/config.json'].map((file) => source.text(file, { signal })))
  if (modules?.includes('.Dense"'))
    throw expected('model', 'an encoder whose pooled rows are its vectors', new Words('one with a Dense module'), 'Take another model')
  const known = text === undefined ? {} : (JSON.parse(text) as Readonly<Record<string, unknown>>)
  const cls = known.pooling_mode === 'cls' || known.pooling_mode_cls_token === true
  return { pooling: cls ? 'cls' : 'mean', ...(modules?.includes('.Normalize"') && { normalize: true }) } as const
}

/** Of cosines only their order and their line are compared with scores: no score is a cosine. */
const metrics: ComputeMetrics = async (given) => {
  const { pearson, spearman } = (await regressionMetrics(given)) as { pearson: number; spearman: number }
  return { pearson, spearman }
}

function sentenceFile({ file, rows, read: taken }: Read, options: LabelledOptions, signal: AbortSignal): LabelledFile {
  const scored = rows[0]!.score !== undefined
  return {
    file,
    prefix: '',
    examples: rows.length,
    read: taken,
    features: (tokenizer, config) => ({
      dataset: sentenceFeatures(rows, tokenizer, { max_length: longest(config, tokenizer, options.maxLength), signal }) as never,
      ...(scored && { compute_metrics: metrics }),
      async write({ predictions }, to) {
        const { data } = predictions as Tensor
        const sink = await openSink(to, signal)
        try {
          for (const [i, { texts, score }] of rows.entries())
            await sink.write(`${JSON.stringify({ texts, ...(score !== undefined && { score }), prediction: data[i] })}\n`)
          await sink.finish()
        } finally {
          await sink.close()
        }
      },
    }),
  }
}
