import { expected, wholeOf, Words } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { SEQUENCES, type Tensor } from '../graph/tensor.ts'
import { chunks, packBatch } from '../models/batch.ts'
import { flattenChoices, type ChoiceInputs } from '../models/choices.ts'
import { chunkInputs } from '../models/collect.ts'
import { dropoutInputs } from '../models/dropout.ts'
import type { BertPreTrainedModel } from '../models/model.ts'
import type { TrainingGraphs } from './graphs.ts'
import { HeadTraining, type HeadTrainingOptions, type TrainingInputs } from './head-training.ts'
import type { MemoryRequest, TrainingMemory } from './memory.ts'
import type { Prepared } from './prepared.ts'
import { checkColumns, SentencePass, type PreparedSentences, type SentenceOptions } from './sentence-pass.ts'
import type { TrainingSession } from './session.ts'

/** A batch by its size alone. */
export interface SentenceShape {
  /** Examples of a step; 16 by default. */
  readonly batch_size?: number
  /** Tokens of each text; by default the model's `budget` or its longest text, whichever is less. */
  readonly sequence_length?: number
  /** Texts of an example: by default as few as the loss takes. */
  readonly texts?: number
}

const GRADIENT = 'embeddings.gradient'

/**
 * Trains the trunk by a loss on sentence embeddings. A batch is { input_ids: [B, texts, L], labels? }: the texts of an example are anchor, positive and
 * negatives, or two with a label. All examples of a step are each other's negatives, however it is cut into parts and chunks: first every text is embedded,
 * then the loss gives each embedding its gradient, then each chunk runs again, forward with the same masks of dropout and backward.
 *
 *     const training = new SentenceTraining(model, { loss: 'MultipleNegativesRankingLoss' }, { seed: 1 })
 *     const { loss } = await training.step({ input_ids: [[anchor, positive], [anchor2, positive2]] }, 2e-5)
 */
export class SentenceTraining extends HeadTraining {
  private readonly sentences: SentencePass
  private last = 0

  /** @param examples most of a step, where more come than the first step's. */
  constructor(
    model: Pick<BertPreTrainedModel, 'loaded'>,
    sentence: SentenceOptions,
    options: HeadTrainingOptions = {},
    private readonly examples = 0,
  ) {
    super(model, options)
    this.sentences = new SentencePass(this.loaded, sentence, options.dropout ?? true)
  }

  /**
   * The bytes that steps take, model and all, by the planner that lays them out; nothing is allocated.
   *
   *     training.estimate({ batch_size: 64, sequence_length: 128 }) // pairs; texts: 3 with a hard negative
   */
  estimate(of: SentenceShape | TrainingInputs | readonly TrainingInputs[] = {}): TrainingMemory {
    const given = Array.isArray(of) || 'input_ids' in of
    return this.told(this.prepared(given ? (of as TrainingInputs) : this.inputsOf(of as SentenceShape)))
  }

  /** The loss, its settings, and how texts become vectors. */
  override get lossKey(): string {
    const { plan, pooling, normalize } = this.sentences
    return `${plan.key}, pooling ${pooling}, normalize ${normalize}`
  }

  override async dispose(): Promise<void> {
    this.sentences.forget()
    await super.dispose()
  }

  protected override lossOf(): number {
    return this.last
  }

  protected override prepare(part: TrainingInputs): PreparedSentences {
    return prepareSentences(this.loaded, this.sentences, part)
  }

  /** With what embeds all texts first, and compares them. */
  protected override request(parts: readonly Prepared[]): MemoryRequest {
    const request = super.request(parts)
    const [{ columns }] = parts as readonly [PreparedSentences]
    const texts = parts.reduce((sum, { batch }) => sum + batch.rows, 0)
    return { ...request, beside: this.sentences.plans(request.bound, Math.max(this.examples, texts / columns), columns) }
  }

  private inputsOf({ batch_size = 16, sequence_length, texts }: SentenceShape): TrainingInputs {
    const { config, budget } = this.loaded
    const { columns, labels } = this.sentences.plan
    const length = sequence_length ?? Math.min(budget, config.max_position_embeddings)
    for (const [name, value] of Object.entries({ batch_size, sequence_length: length, texts: texts ?? columns[0] })) wholeOf(name, value, 1)
    const row = new Array<number>(length).fill(0)
    const input_ids = Array.from({ length: batch_size }, () => new Array<number[]>(texts ?? columns[0]).fill(row))
    return { input_ids, ...(labels && { labels: Array.from(input_ids, (_, i) => i) }) }
  }

  protected override build(): TrainingGraphs {
    const seeds = new Map<Tensor, Tensor>()
    const { hidden_size } = this.loaded.config
    return this.graphsOf((g: Graph) => {
      seeds.set(this.sentences.graph(g), g.input(GRADIENT, [SEQUENCES, hidden_size], 'f32'))
      return []
    }, seeds)
  }

  protected override async pass(list: readonly Prepared[], session: TrainingSession, signal: AbortSignal | undefined): Promise<void> {
    const parts = list as readonly PreparedSentences[]
    const odd = parts.find(({ columns }) => columns !== parts[0]!.columns)
    if (odd) throw expected('training', `${parts[0]!.columns} texts an example in every part of a step`, new Words(`${odd.columns}`))
    const draw = { seed: this.options.seed ?? 0, step: session.counters.steps }
    const embeddings = await this.sentences.embed(parts, draw, signal, session.bound)
    const { loss, gradient } = await this.sentences.loss(embeddings, parts, signal)
    this.last = loss
    // Nothing is gained by a backward pass from NaN, and step() refuses it by the loss.
    if (!Number.isFinite(loss)) return
    const h = this.loaded.config.hidden_size
    for (const { batch, chunk, first } of this.sentences.chunks(parts)) {
      const [from, to] = [first + chunk.firstSequence, first + chunk.lastSequence]
      const values = {
        ...chunkInputs(batch, chunk, undefined),
        ...dropoutInputs(batch, chunk, { first, ...draw }),
        [GRADIENT]: gradient.subarray(from * h, to * h),
      }
      await session.accumulate(chunk.dims, values, signal)
    }
  }
}

/** A batch, checked, packed and cut. */
export function prepareSentences(
  { config, budget }: HeadTraining['loaded'],
  { plan }: SentencePass,
  inputs: TrainingInputs,
): PreparedSentences {
  const { labels: given, ...texts } = inputs as ChoiceInputs
  const { choices: columns, flat } = flattenChoices(texts)
  checkColumns(plan, columns)
  const batch = packBatch(flat, config)
  const labels = plan.labels ? numbers(given, batch.rows / columns, plan.name) : undefined
  return { batch, terms: [], selection: undefined, chunks: [...chunks(batch, budget)], columns, labels }
}

function numbers(given: unknown, rows: number, name: string): Float32Array {
  const data = (given as { data?: unknown } | undefined)?.data ?? given
  const { length } = (data ?? {}) as ArrayLike<unknown>
  if (length !== rows) throw expected('labels', `${rows} numbers, one an example, for ${name}`, given)
  const values = Float32Array.from(data as ArrayLike<number>, Number)
  const odd = values.findIndex((value) => !Number.isFinite(value))
  if (odd >= 0) throw expected(`labels[${odd}]`, 'a finite number', (data as ArrayLike<unknown>)[odd])
  return values
}
