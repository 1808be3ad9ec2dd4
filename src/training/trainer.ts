import { BertletError, checkOptions, expected } from '../errors.ts'
import { currentRuntime } from '../engine/engine.ts'
import type { BertPreTrainedModel } from '../models/model.ts'
import type { Target, WithFiles } from '../models/save.ts'
import type { Folder } from '../weights/folder.ts'
import { TrainingArguments, type TrainingArgumentsOptions } from './arguments.ts'
import type { TrainerCallback } from './callbacks.ts'
import { dataCollatorFor } from './collate.ts'
import { toDataset, type DataCollator, type Dataset, type Feature } from './dataset.ts'
import { evaluateDataset, type ComputeMetrics, type EvalPrediction, type Evaluation, type PreprocessLogits } from './evaluation.ts'
import { checkModel, HeadTraining } from './head-training.ts'
import type { Trainable } from './trainable.ts'
import { TrainingLoop, type TrainOutput } from './loop.ts'
import { loadSentences } from './seldom.ts'
import type { SentenceOptions } from './sentence-pass.ts'

export interface TrainerOptions<F = Feature> {
  /** Any class with a head. */
  readonly model: BertPreTrainedModel
  readonly args?: TrainingArguments | TrainingArgumentsOptions
  readonly train_dataset?: Dataset<F> | readonly F[]
  readonly eval_dataset?: Dataset<F> | readonly F[]
  /** Pads rows and stacks labels by default, see dataCollatorFor(). */
  readonly data_collator?: DataCollator<F>
  /** A tokenizer: its files are saved beside the model. */
  readonly processing_class?: WithFiles
  readonly compute_metrics?: ComputeMetrics
  /** What is kept of each batch's outputs for compute_metrics. */
  readonly preprocess_logits_for_metrics?: PreprocessLogits
  readonly callbacks?: readonly TrainerCallback[]
  /**
   * What is learnt of sentence embeddings, in place of a head's labels, by the names of sentence-transformers: MultipleNegativesRankingLoss, CoSENTLoss,
   * CosineSimilarityLoss or TripletLoss, or one of them with its settings, { name: 'CoSENTLoss', scale: 20 }. Features then have a text a column
   * (SentenceFeature), all examples of a step are each other's negatives, and what is saved says how the model pools.
   */
  readonly loss?: SentenceOptions['loss']
  /** With `loss`: 'mean' (default) or 'cls'. */
  readonly pooling?: SentenceOptions['pooling']
  /** With `loss`: whether vectors have length 1; false by default. */
  readonly normalize?: SentenceOptions['normalize']
  /** Which parameters are trained; all by default, of a model with an adapter all of the adapter's. */
  readonly trainable?: Trainable
}

export interface TrainOptions {
  /** True: from the newest whole checkpoint in output_dir, or from the start if there is none. A text: the checkpoint of that name, e.g. checkpoint-500. */
  readonly resume_from_checkpoint?: boolean | string
  /** To stop with a checkpoint instead, let a callback set should_save and should_training_stop. */
  readonly signal?: AbortSignal
}

export interface EvaluateOptions {
  readonly signal?: AbortSignal
}

export interface PredictionOutput extends EvalPrediction {
  /** As evaluate() has them, with `test_` before their names. */
  readonly metrics: Record<string, number>
}

const OPTIONS: readonly (keyof TrainerOptions)[] = [
  'model',
  'args',
  'train_dataset',
  'eval_dataset',
  'data_collator',
  'processing_class',
  'compute_metrics',
  'preprocess_logits_for_metrics',
  'callbacks',
  'trainable',
  'loss',
  'pooling',
  'normalize',
]

/**
 * Trains and evaluates a model on data sets. The same seed, data and arguments give the same weights to the bit: for any number of threads, however a
 * step is cut into parts, and over any number of interruptions.
 *
 *     const trainer = new Trainer({
 *       model,
 *       args: { output_dir: 'out', num_train_epochs: 3, per_device_train_batch_size: 32, warmup_ratio: 0.1, eval_strategy: 'epoch' },
 *       train_dataset: [{ input_ids: [101, 2204, 102], label: 1 }, { input_ids: [101, 2919, 102], label: 0 }],
 *       eval_dataset: [{ input_ids: [101, 2307, 102], label: 1 }],
 *     })
 *     await trainer.train()
 *     await trainer.saveModel('my-model')
 */
export class Trainer<F = Feature> {
  readonly model: BertPreTrainedModel
  readonly args: TrainingArguments
  private readonly options: TrainerOptions<F>
  private readonly train_dataset: Dataset<F> | undefined
  private readonly folder: Folder | undefined
  private readonly sentences: SentenceOptions | undefined
  private running = false

  constructor(options: TrainerOptions<F>) {
    checkOptions('Trainer', options, OPTIONS)
    const { model, args = {}, train_dataset, loss, pooling, normalize } = options
    checkModel(model)
    this.model = model
    this.options = options
    this.args = args instanceof TrainingArguments ? args : new TrainingArguments(args)
    if (loss === undefined && (pooling ?? normalize) !== undefined)
      throw expected('loss', 'a loss on sentence embeddings, as pooling or normalize is given', loss)
    this.sentences = loss && { loss, ...(pooling && { pooling }), ...(normalize !== undefined && { normalize }) }
    this.train_dataset = train_dataset && toDataset('train_dataset', train_dataset)
    const { output_dir } = this.args
    this.folder = typeof output_dir === 'string' ? currentRuntime().folder(output_dir) : output_dir
    if (this.args.eval_strategy !== 'no' && options.eval_dataset === undefined)
      throw expected('eval_dataset', `a data set, as eval_strategy is '${this.args.eval_strategy}'`, undefined)
  }

  /**
   * Trains, and resolves with the steps done and the mean loss. On an abort it rejects with the signal's reason, and the model is as the last
   * whole step left it.
   */
  async train({ resume_from_checkpoint = false, signal }: TrainOptions = {}): Promise<TrainOutput> {
    const { model, args, folder, sentences, train_dataset } = this
    if (train_dataset === undefined) throw expected('train_dataset', 'a data set to train on', undefined)
    if (this.running) throw new BertletError('invalid_argument', 'train: expected one training at a time', 'Wait for the first one')
    this.running = true
    try {
      const { callbacks = [], trainable } = this.options
      const pieces = await this.pieces()
      const dataset = await this.datasetOf('train_dataset', this.options.train_dataset!)
      const loop = new TrainingLoop({
        model,
        args,
        folder,
        collate: await this.collator(),
        dataset,
        callbacks,
        processing_class: await this.files(),
        trainable,
        training: (options) =>
          pieces && sentences
            ? new pieces.SentenceTraining(model, sentences, options, args.per_device_train_batch_size * args.gradient_accumulation_steps)
            : new HeadTraining(model, options),
        apart: args.batch_sampler === 'no_duplicates' ? (await loadSentences()).textNumbers(dataset) : undefined,
        evaluate: this.measure,
      })
      return await loop.run(resume_from_checkpoint, signal)
    } finally {
      this.running = false
    }
  }

  /** The loss over a data set, eval_dataset by default, with what compute_metrics makes of it; every name begins with `eval_`. */
  async evaluate(dataset?: Dataset<F> | readonly F[], { signal }: EvaluateOptions = {}): Promise<Record<string, number>> {
    return (await this.run('eval', this.options.compute_metrics !== undefined, dataset, { signal })).metrics
  }

  /** What the model says of every example. */
  async predict(dataset: Dataset<F> | readonly F[], { signal }: EvaluateOptions = {}): Promise<PredictionOutput> {
    const { metrics, result } = await this.run('test', true, dataset, { signal })
    return { predictions: result.predictions!, label_ids: result.label_ids!, metrics }
  }

  /** Writes the model as savePretrained() does, with the tokenizer's files; into output_dir by default. */
  async saveModel(to?: Target): Promise<void> {
    const tokenizer = await this.files()
    const place = to ?? (typeof this.args.output_dir === 'string' ? this.args.output_dir : this.folder?.sink('model'))
    if (place === undefined) throw expected('saveModel', 'a place, as there is no output_dir', to, "For example saveModel('my-model')")
    await this.model.savePretrained(place, tokenizer && { tokenizer })
  }

  /** What only losses on sentence embeddings need. */
  private async pieces(): Promise<typeof import('./sentences.ts') | undefined> {
    return this.sentences && loadSentences()
  }

  private async datasetOf(name: string, given: Dataset<F> | readonly F[]): Promise<Dataset<F>> {
    const pieces = await this.pieces()
    return (pieces ? pieces.sentenceDataset(name, given as never) : toDataset(name, given)) as Dataset<F>
  }

  private async collator(): Promise<DataCollator<F>> {
    const own: unknown = (await this.pieces())?.sentenceCollator ?? dataCollatorFor(this.model.loaded.head.architecture)
    return this.options.data_collator ?? (own as DataCollator<F>)
  }

  /** What is saved beside the model: the tokenizer's files, and how the model pools. */
  private async files(): Promise<WithFiles | undefined> {
    const { processing_class: tokenizer } = this.options
    const pieces = await this.pieces()
    if (pieces === undefined) return tokenizer
    const { pooling = 'mean', normalize = false } = this.sentences!
    const { hidden_size, max_position_embeddings } = this.model.config
    return { files: () => ({ ...tokenizer?.files(), ...pieces.sentenceFiles(pooling, normalize, hidden_size, max_position_embeddings) }) }
  }

  /** The loop's way to evaluate. */
  private readonly measure = async (options: {
    signal: AbortSignal | undefined
    onBatch: (done: number, total: number) => Promise<void>
  }): Promise<Record<string, number>> => (await this.run('eval', this.options.compute_metrics !== undefined, undefined, options)).metrics

  private async run(
    prefix: 'eval' | 'test',
    keep: boolean,
    given: Dataset<F> | readonly F[] | undefined,
    { signal, onBatch }: { signal?: AbortSignal | undefined; onBatch?: (done: number, total: number) => Promise<void> },
  ): Promise<{ metrics: Record<string, number>; result: Evaluation }> {
    const { compute_metrics, preprocess_logits_for_metrics: preprocess } = this.options
    const dataset = await this.datasetOf('eval_dataset', given ?? this.options.eval_dataset!)
    const began = performance.now()
    const options = {
      collate: await this.collator(),
      batch_size: this.args.per_device_eval_batch_size,
      keep,
      preprocess,
      signal,
      ...(onBatch && { onBatch: (done: number) => onBatch(done, dataset.length) }),
    }
    const { sentences, model } = this
    const pieces = await this.pieces()
    const result =
      pieces && sentences
        ? await pieces.evaluateSentences(model, sentences, dataset, options)
        : await evaluateDataset(model, dataset, options)
    const { loss, predictions, label_ids } = result
    const own = compute_metrics && keep ? await compute_metrics({ predictions: predictions!, label_ids: label_ids! }) : {}
    const seconds = Math.max(performance.now() - began, 1e-3) / 1000
    const metrics: Record<string, number> = { ...(loss !== undefined && { [`${prefix}_loss`]: loss }) }
    for (const [name, value] of Object.entries(own)) metrics[name.startsWith(`${prefix}_`) ? name : `${prefix}_${name}`] = value
    metrics[`${prefix}_runtime`] = seconds
    metrics[`${prefix}_samples_per_second`] = dataset.length / seconds
    return { metrics, result }
  }
}
