import type { Tensor as Symbolic } from '../graph/tensor.ts'
import { expected } from '../errors.ts'
import { chunks, packBatch, roundUp, type PackedBatch } from '../models/batch.ts'
import { flattenChoices, type ChoiceInputs } from '../models/choices.ts'
import { chunkInputs } from '../models/collect.ts'
import { dropoutInputs } from '../models/dropout.ts'
import type { Loaded } from '../models/load.ts'
import { lossInputs, lossKey, lossScales, lossTerms, type LossTerm } from '../models/losses.ts'
import type { BertPreTrainedModel, ModelInputs } from '../models/model.ts'
import type { Selection } from '../models/selection.ts'
import { lossGraph } from '../models/variant.ts'
import type { AdamWOptions } from './optimizer.ts'
import { TrainingSession } from './session.ts'

export interface HeadTrainingOptions extends AdamWOptions {
  /** Which parameters are trained, by Hugging Face's names without `bert.`; all by default. */
  readonly trainable?: (name: string) => boolean
  /** Whether the config's dropout is on; true by default. */
  readonly dropout?: boolean
  /** Of dropout; 0 by default. */
  readonly seed?: number
}

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
  private session: TrainingSession | undefined
  private key = ''
  private steps = 0

  constructor(
    model: BertPreTrainedModel,
    private readonly options: HeadTrainingOptions = {},
  ) {
    this.loaded = model.loaded
  }

  /** One step of AdamW; returns the loss before it. */
  async step(
    inputs: TrainingInputs | readonly TrainingInputs[],
    learningRate: number,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<number> {
    const session = await this.accumulate(inputs, signal)
    const loss = session.loss()
    await session.update(learningRate)
    this.steps++
    return loss
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
          ...dropoutInputs(batch, chunk, examples, this.options.seed ?? 0, this.steps),
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
      const { trainable, dropout = true, seed: _, ...adamW } = this.options
      const build = lossGraph(this.loaded, attention, { selected: head.decodes, embeds: batch.embeds !== undefined, terms, dropout })
      this.session = new TrainingSession(engine, build, {
        ...adamW,
        key: id,
        ...(trainable && { trainable: ({ name }: Symbolic) => trainable(name.slice(name.indexOf('/') + 1)) }),
      })
    }
    if (key !== this.key)
      throw expected('training', 'labels of the kind of the first batch', inputsOf(terms), 'Train another kind with another HeadTraining')
    return this.session
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
