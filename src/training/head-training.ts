import type { Tensor as Symbolic } from '../graph/tensor.ts'
import { BertletError, checkOptions, expected } from '../errors.ts'
import { chunks, packBatch, roundUp, type PackedBatch } from '../models/batch.ts'
import { flattenChoices, type ChoiceInputs } from '../models/choices.ts'
import { chunkInputs } from '../models/collect.ts'
import { dropoutInputs } from '../models/dropout.ts'
import type { Loaded } from '../models/load.ts'
import { lossInputs, lossKey, lossScales, lossTerms, type LossTerm } from '../models/losses.ts'
import type { BertPreTrainedModel, ModelInputs } from '../models/model.ts'
import type { Selection } from '../models/selection.ts'
import { lossGraph } from '../models/variant.ts'
import { toHuggingFace } from '../weights/names.ts'
import { ADAMW_OPTIONS, adamWDefaults, clipFactor, layerScale, moments, type AdamW } from './optimizer.ts'
import type { AdamWOptions, OptimizerCounters } from './optimizer.ts'
import { TrainingSession, type GradientNorms } from './session.ts'

export interface HeadTrainingOptions extends AdamWOptions {
  /** Which parameters are trained, by Hugging Face's names without `bert.`; all by default. */
  readonly trainable?: (name: string) => boolean
  /** Whether the config's dropout is on; true by default. */
  readonly dropout?: boolean
  /** Of dropout; 0 by default. */
  readonly seed?: number
  /** The learning rate falls by this factor with every layer below the head; 1, the default, is the same rate for all. */
  readonly layer_lr_decay?: number
}

const HEAD_TRAINING_OPTIONS: readonly (keyof HeadTrainingOptions)[] = [...ADAMW_OPTIONS, 'trainable', 'dropout', 'seed', 'layer_lr_decay']

/** What a step began with. */
export interface StepResult {
  readonly loss: number
  /** Of all gradients together, before they are clipped. */
  readonly grad_norm: number
}

/** A moment of a parameter, as a checkpoint holds it. */
export interface OptimizerState {
  /** Hugging Face's name of the parameter with `.exp_avg` or `.exp_avg_sq`. */
  readonly name: string
  readonly shape: readonly number[]
  /** A copy, [N][K] in rows. */
  read(): Float32Array
}

/** Gives the values of a state, [N][K] in rows. */
export type StateReader = (name: string, shape: readonly number[]) => Float32Array | Promise<Float32Array>

/** A part of a step: inputs with labels, as the model is called with. */
export type TrainingInputs = ModelInputs | ChoiceInputs

interface Prepared {
  readonly batch: PackedBatch
  readonly terms: readonly LossTerm[]
  readonly selection: Selection | undefined
  readonly group: number
}

/**
 * Trains a model on labelled batches. A step may come in parts: its loss and gradients are those of the undivided batch, to the bit, however it
 * is cut. The heads that score words compute labelled positions only.
 */
export class HeadTraining {
  private readonly loaded: Loaded
  private readonly adamW: AdamW
  private session: TrainingSession | undefined
  private key = ''
  /** What restore() was given, until there is a session to take it. */
  private restored: { read: StateReader; counters: OptimizerCounters } | undefined

  constructor(
    model: BertPreTrainedModel,
    private readonly options: HeadTrainingOptions = {},
  ) {
    checkOptions('HeadTraining', options, HEAD_TRAINING_OPTIONS)
    const { trainable: _, dropout: __, seed: ___, layer_lr_decay: decay = 1, ...adamW } = options
    if (!(decay > 0 && decay <= 1)) throw expected('layer_lr_decay', 'a number above 0, at most 1', decay)
    this.adamW = adamWDefaults(adamW)
    this.loaded = model.loaded
    if (this.loaded.trunk.dtype === 'int8') {
      throw new BertletError(
        'unsupported',
        'training: expected weights in f32, got int8, which are frozen',
        'Load the model with dtype f32',
      )
    }
  }

  /**
   * One step of the optimizer; returns the loss and the gradients' norm before it.
   *
   * @throws BertletError `not_finite` when either is NaN or infinite; then nothing has changed.
   */
  async step(
    inputs: TrainingInputs | readonly TrainingInputs[],
    learningRate: number,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<StepResult> {
    if (!(learningRate >= 0 && learningRate < Infinity)) throw expected('the learning rate', 'a number of 0 or more', learningRate)
    const session = await this.accumulate(inputs, signal)
    const [loss, norms] = [session.loss(), await session.norms()]
    if (!Number.isFinite(loss) || !Number.isFinite(norms.total)) throw this.notFinite(loss, norms)
    await session.update(learningRate, clipFactor(norms.total, this.adamW))
    return { loss, grad_norm: norms.total }
  }

  /** How far the optimizer is. Its steps are also what masks of dropout are drawn from. */
  get counters(): OptimizerCounters {
    return this.session?.counters ?? this.restored?.counters ?? { steps: 0, beta1_power: 1, beta2_power: 1 }
  }

  /** The moments of every trained parameter; none before the first step. */
  states(): OptimizerState[] {
    const { store } = this.loaded.engine
    return (this.session?.moments() ?? []).flatMap(({ parameter, names }) =>
      moments(this.publicName(parameter.name)).map((name, i) => ({ name, shape: parameter.shape, read: () => store.read(names[i]!) })),
    )
  }

  /** Goes on from another's states() and counters: `read` is called for every state when the next step, loss or gradients begin. */
  async restore(read: StateReader, counters: OptimizerCounters): Promise<void> {
    this.restored = { read, counters }
    if (this.session !== undefined) await this.takeRestored(this.session)
  }

  /** The loss that the next step would begin with, its masks of dropout included; nothing is updated. */
  async loss(inputs: TrainingInputs | readonly TrainingInputs[], { signal }: { signal?: AbortSignal } = {}): Promise<number> {
    return (await this.accumulate(inputs, signal)).loss()
  }

  /** The gradient of every trained parameter, [N][K] in rows, by its name; nothing is updated. */
  async gradients(
    inputs: TrainingInputs | readonly TrainingInputs[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Map<string, Float32Array>> {
    const session = await this.accumulate(inputs, signal)
    const { place } = this.loaded
    return new Map(
      [...session.trained.keys()].map(({ name }) => [
        place !== '' && name.startsWith(place) ? name.slice(place.length) : name,
        session.gradient(name),
      ]),
    )
  }

  /** Gives gradients and moments back. */
  async dispose(): Promise<void> {
    await this.session?.dispose()
    this.session = undefined
  }

  private async accumulate(inputs: TrainingInputs | readonly TrainingInputs[], signal: AbortSignal | undefined): Promise<TrainingSession> {
    const parts = (Array.isArray(inputs) ? (inputs as readonly TrainingInputs[]) : [inputs as TrainingInputs]).map((part) =>
      this.prepare(part),
    )
    const [first] = parts
    if (first === undefined) throw expected('step', 'at least one batch', inputs)
    const session = this.sessionFor(first)
    await this.takeRestored(session)
    // The step's label counts are those of all its parts together.
    const scales = lossScales(
      first.terms.map((term, i) => ({ ...term, count: parts.reduce((sum, { terms }) => sum + terms[i]!.count, 0) })),
    )
    await session.zero()
    let examples = 0
    for (const { batch, terms, selection, group } of parts) {
      const spans = terms.some(({ kind }) => kind === 'span')
      for (const chunk of chunks(batch, this.loaded.budget, { selection, group, spans })) {
        const values = {
          ...chunkInputs(batch, chunk, selection),
          ...lossInputs(terms, scales, batch, chunk, selection),
          ...dropoutInputs(batch, chunk, examples, this.options.seed ?? 0, session.counters.steps),
        }
        await session.accumulate(roundUp(chunk.dims), chunk.dims, values, signal)
      }
      examples += batch.rows
    }
    return session
  }

  private prepare(inputs: TrainingInputs): Prepared {
    const { head, config } = this.loaded
    this.loaded.assertLive()
    const many = head.architecture === 'BertForMultipleChoice'
    const { choices: group, flat } = many ? flattenChoices(inputs as ChoiceInputs) : { choices: 1, flat: inputs as ModelInputs }
    const batch = packBatch(flat, config)
    const terms = lossTerms(head.architecture, config, flat, batch, group)
    if (terms.length === 0) throw expected(`training ${head.architecture}`, 'labels in every batch', inputs)
    return { batch, terms, group, selection: head.decodes ? labelled(terms, batch) : undefined }
  }

  private sessionFor({ terms, batch }: Prepared): TrainingSession {
    const { engine, id, head, attention } = this.loaded
    const key = `${lossKey(terms)}|${batch.embeds !== undefined}`
    if (this.session === undefined) {
      this.key = key
      const { trainable, dropout = true, layer_lr_decay: decay = 1 } = this.options
      const build = lossGraph(this.loaded, attention, { selected: head.decodes, embeds: batch.embeds !== undefined, terms, dropout })
      this.session = new TrainingSession(engine, build, {
        ...this.adamW,
        key: id,
        scaleOf: layerScale(decay, this.loaded.config.num_hidden_layers),
        ...(trainable && { trainable: ({ name }: Symbolic) => trainable(name.slice(name.indexOf('/') + 1)) }),
      })
    }
    if (key !== this.key)
      throw expected('training', 'labels of the kind of the first batch', inputsOf(terms), 'Train another kind with another HeadTraining')
    return this.session
  }

  private async takeRestored(session: TrainingSession): Promise<void> {
    if (this.restored === undefined) return
    const { read, counters } = this.restored
    const { store } = this.loaded.engine
    for (const { parameter, names } of session.moments()) {
      for (const [i, name] of moments(this.publicName(parameter.name)).entries()) {
        const values = await read(name, parameter.shape)
        store.write(names[i]!, values)
      }
    }
    session.counters = counters
    this.restored = undefined
  }

  /** Hugging Face's name of a parameter of the store. */
  private publicName(held: string): string {
    const { specs } = this.loaded
    return toHuggingFace(specs.find((spec) => spec.held === held)?.name ?? held, 'bert.')
  }

  private notFinite(loss: number, { total, of }: GradientNorms): BertletError {
    const bad = [...of].filter(([, norm]) => !Number.isFinite(norm)).map(([name]) => this.publicName(name))
    const [largest, norm] = [...of].reduce((most, one) => (one[1] > most[1] ? one : most), ['', -1])
    const shown = bad.slice(0, 3).join(', ') + (bad.length > 3 ? ` and ${bad.length - 3} more` : '')
    const where = bad.length > 0 ? `not finite: ${shown}` : `the largest is that of ${this.publicName(largest)}, ${norm}`
    return new BertletError(
      'not_finite',
      `step ${this.counters.steps + 1}: expected a finite loss and finite gradients, got a loss of ${loss} and a norm of ${total} (${where})`,
      'Nothing was updated. Lower the learning rate, set max_grad_norm, or look at the batch',
    )
  }
}

const inputsOf = (terms: readonly LossTerm[]): string => terms.map(({ kind, per }) => `${kind} per ${per}`).join(', ')

/** The tokens whose words are to be told. */
function labelled(terms: readonly LossTerm[], { offsets }: PackedBatch): Selection | undefined {
  const words = terms.find(({ per }) => per === 'token')
  if (words === undefined) return undefined
  const tokens: number[] = []
  const starts = new Int32Array(offsets.length)
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) if (words.values[t] !== -100) tokens.push(t)
    starts[row + 1] = tokens.length
  }
  return { offsets: starts, tokens: Int32Array.from(tokens) }
}
