import { Callable } from '../callable.ts'
import type { WeightDtype } from '../engine/build.ts'
import { currentRuntime, type Program } from '../engine/engine.ts'
import { BertletError, checkOptions, expected } from '../errors.ts'
import type { Dims } from '../graph/tensor.ts'
import type { JsonObject } from '../json.ts'
import { chunks, packBatch, roundUp, type BatchInputs, type PackedBatch } from './batch.ts'
import type { ChoiceInputs } from './choices.ts'
import { chunkInputs, Collector } from './collect.ts'
import type { BertConfig } from './config.ts'
import type { LoraConfig } from './adapter-config.ts'
import type { AdapterOptions } from './adapters.ts'
import type { Attentions, AttentionsOptions } from './attentions.ts'
import type { Estimate } from './estimate.ts'
import type { Head } from './heads.ts'
import { labelsOf, lossName, lossParts, type LabelInputs, type LossTerm } from './labels.ts'
import { attach, load, Loaded, make } from './load.ts'
import type { AttentionImplementation, LoadOptions, RunOptions } from './options.ts'
import type { ModelSource } from './source.ts'
import { isGiven } from './rectangle.ts'
import type { Target, WithFiles } from './save.ts'
import { selectPositions, type Selection } from './selection.ts'
import { Tensor } from './tensor.ts'
import { headVariant, inferenceGraph, type Variant } from './variant.ts'

/** At one place: what is handed to a piece is written out where it is loaded. */
export const seldom = () => import('./seldom.ts')

/** What a model was loaded as and runs as, and why. */
export interface ModelInfo {
  readonly model: string
  readonly architecture: string
  readonly runtime: string
  readonly build: { readonly name: string; readonly why: string }
  readonly dtype: { readonly name: WeightDtype; readonly why: string }
  readonly threads: { readonly count: number; readonly why: string }
  readonly attention: { readonly name: AttentionImplementation; readonly why: string }
  readonly tile: { readonly name: string; readonly why: string }
  readonly parameters: number
  readonly bytes: { readonly weights: number; readonly arena: number; readonly memory: number }
  /** Tensors of the file that the model has no use for. */
  readonly unexpected: readonly string[]
  /** Parameters with fresh values. */
  readonly initialized: readonly string[]
}

/** What every model takes. */
export interface ModelInputs extends BatchInputs, LabelInputs {
  /** Keep the embeddings and every layer's output. */
  readonly output_hidden_states?: boolean
  /** Keep every layer's attention maps; the call runs eager. */
  readonly output_attentions?: boolean
  /** For every row the name of an adapter on this base, or `__base__`. Without it all rows have this model's own. */
  readonly adapter_names?: readonly string[] | null
  readonly signal?: AbortSignal
}

/** What every model gives when asked. */
export interface ModelOutput {
  /** The mean over the labels that were given, as transformers has it; dims []. */
  readonly loss?: Tensor
  /** Layers + 1 of [B, L, H]. */
  readonly hidden_states?: readonly Tensor[]
  /** Layers of [B, heads, L, L]. */
  readonly attentions?: readonly Tensor[]
}

/** Inputs of models that score every word. */
export interface PredictionInputs extends ModelInputs {
  /** For each row of the batch the columns whose scores are wanted: the head computes only those, and the scores come as [R, V] in this order. */
  readonly logits_positions?: readonly ArrayLike<number>[]
}

const CALL_OPTIONS: readonly (keyof PredictionInputs)[] = [
  'input_ids',
  'inputs_embeds',
  'attention_mask',
  'token_type_ids',
  'position_ids',
  'output_hidden_states',
  'output_attentions',
  'adapter_names',
  'signal',
]

interface ComputeOptions {
  readonly selection?: Selection | undefined
  readonly terms?: readonly LossTerm[]
  /** There is where there are terms. */
  readonly losses?: typeof import('./losses.ts') | undefined
  /** Sequences that stay in one chunk. */
  readonly group?: number
  readonly signal?: AbortSignal | undefined
}

/** A class of models: what fromPretrained(), estimate() and withHead() need of it. */
export interface ModelClass<M extends BertPreTrainedModel = BertPreTrainedModel> {
  new (from: Loaded): M
  headFor(options: { readonly add_pooling_layer?: boolean }): Head
}

/** A graph over a store: the trunk and one head. Subclasses name their head and shape its outputs. */
export abstract class BertPreTrainedModel extends Callable {
  /** @internal The weights, and how they run. */
  readonly loaded: Loaded

  /**
   * A model with fresh weights: normal with `initializer_range`, as Hugging Face initialises them, the same for the same seed.
   *
   * @param from a BertConfig, or the fields of a config.json.
   */
  constructor(from: BertConfig | JsonObject | Loaded, options: RunOptions = {}) {
    super()
    const type = new.target as unknown as ModelClass
    this.loaded = from instanceof Loaded ? from : make(from, type.headFor(options), options)
  }

  /** What the class puts on the trunk. */
  static headFor(_options: { readonly add_pooling_layer?: boolean }): Head {
    throw new BertletError('unsupported', `${this.name} is not a model of its own`, 'Use one of its subclasses, or AutoModel')
  }

  /**
   * Loads a Hugging Face BERT checkpoint.
   *
   *     const tuned = await BertForSequenceClassification.fromPretrained('base', { adapter: 'folder of an adapter' })
   *
   * @param from a folder, an installed npm package, a hub id, an address, or files by their names.
   * @throws BertletError naming missing tensors, unless `initialize_missing` is set, and tensors of the wrong shape or dtype.
   */
  static async fromPretrained<M extends BertPreTrainedModel>(
    this: ModelClass<M>,
    from: ModelSource,
    options: LoadOptions = {},
  ): Promise<M> {
    const head = this.headFor(options)
    if (options.adapter === undefined) return new this(await load(from, head, options))
    return new this(await (await seldom()).loadAdapted(from, head, options))
  }

  /** The Python name of fromPretrained(). */
  static from_pretrained<M extends BertPreTrainedModel>(this: ModelClass<M>, from: ModelSource, options: LoadOptions = {}): Promise<M> {
    return BertPreTrainedModel.fromPretrained.call(this, from, options) as Promise<M>
  }

  /** Bytes of weights, arena and plan for the same options, told from config.json alone. */
  static async estimate<M extends BertPreTrainedModel>(
    this: ModelClass<M>,
    from: ModelSource | BertConfig,
    options: LoadOptions = {},
  ): Promise<Estimate> {
    const { estimate } = await seldom()
    return estimate(from, this.headFor(options), options)
  }

  get config(): BertConfig {
    return this.loaded.config
  }

  /**
   * Another head on this trunk: its weights are shared, not copied. Each model is disposed of on its own; the memory goes with the last.
   *
   *     const ner = await model.withHead(BertForTokenClassification, 'folder')
   *     const fresh = await model.withHead(BertForSequenceClassification, null, { num_labels: 3, seed: 1 })
   *
   * @param from a checkpoint of that head, of which only the head's tensors are read; null for a fresh head. The pooler is the trunk's, if it has one.
   */
  async withHead<M extends BertPreTrainedModel>(type: ModelClass<M>, from?: ModelSource | null, options: LoadOptions = {}): Promise<M> {
    if (typeof type?.headFor !== 'function') {
      throw expected('withHead', 'a model class', type, 'For example model.withHead(BertForTokenClassification, folder)')
    }
    return new type(await attach(this.loaded, type.headFor({}), from ?? undefined, options))
  }

  /**
   * A low-rank adapter on this model, whose weights are shared, not copied: any number of them, each a model of its own to call, train, save and dispose of.
   * On an adapted model: another adapter on its base.
   *
   *     const tuned = await model.withAdapter('folder of an adapter')
   *     const fresh = await model.withAdapter({ r: 8, lora_alpha: 16, target_modules: ['query', 'value'] }, { seed: 1 })
   *
   * @param from an adapter in PEFT's layout, or the fields of a LoraConfig for a fresh one, which changes nothing until it is trained.
   * @throws BertletError naming tensors that are missing or do not fit this base, and targets that it does not have.
   */
  async withAdapter(from: ModelSource | LoraConfig = {}, options: AdapterOptions = {}): Promise<this> {
    this.loaded.assertLive()
    const { adapt } = await seldom()
    return this.over(await adapt(this.loaded, from, options))
  }

  /**
   * Computes with the adapted matrices added up, W + scale B A, kept beside the base's: as quick as the base alone. The base and other adapters on it stay as
   * they are, and unmerge() leaves no trace.
   */
  async merge(): Promise<void> {
    await (await seldom()).merge(this.loaded)
  }

  /** Computes with base and adapter apart again. */
  async unmerge(): Promise<void> {
    await (await seldom()).unmerge(this.loaded)
  }

  /** A plain model of base and adapter together, which savePretrained() writes whole; this one is disposed of. */
  async mergeAndUnload(): Promise<this> {
    const plain = this.over(await (await seldom()).mergedModel(this.loaded))
    await this.dispose()
    return plain
  }

  /** The Python name of mergeAndUnload(). */
  merge_and_unload(): Promise<this> {
    return this.mergeAndUnload()
  }

  /** Its adapter, if it has one: under which name calls of its base find it, and of what kind. */
  get adapter(): { readonly name: string; readonly config: LoraConfig; readonly merged: boolean } | undefined {
    const { adapter } = this.loaded
    return adapter && { name: adapter.name, config: adapter.config, merged: adapter.merged !== undefined }
  }

  /** The same class over other weights. */
  private over(loaded: Loaded): this {
    return new (this.constructor as ModelClass)(loaded) as this
  }

  /**
   * Writes config.json and model.safetensors, and the tokenizer's files if one is given; Hugging Face transformers loads the folder unchanged.
   * Of a model with an adapter adapter_config.json and adapter_model.safetensors, as PEFT does: its base is not in them. An adapter that brings the head
   * has a config.json too, which says what the outputs mean.
   *
   * @param to a folder's path, or an object with write(name, pieces).
   */
  async savePretrained(to: Target, { tokenizer }: { tokenizer?: WithFiles } = {}): Promise<void> {
    this.loaded.assertLive()
    const { adapter, head } = this.loaded
    const { saveAdapter, saveFiles, saveModel } = await seldom()
    if (adapter) await saveAdapter(this.loaded, adapter, to)
    else await saveModel(this.loaded, head.architecture, to)
    if (tokenizer) await saveFiles(tokenizer, to)
  }

  /** The Python name of savePretrained(). */
  save_pretrained(to: Target, options?: { tokenizer?: WithFiles }): Promise<void> {
    return this.savePretrained(to, options)
  }

  /**
   * Changes the number of words: rows of the word table, and of the decoder with its bias, are cut or added. New rows are normal with
   * `initializer_range`, new biases 0.
   */
  async resizeTokenEmbeddings(vocab_size: number, { seed = 0 }: { seed?: number } = {}): Promise<void> {
    this.loaded.assertLive()
    const { resizeVocabulary } = await seldom()
    await resizeVocabulary(this.loaded, vocab_size, seed)
  }

  /** The Python name of resizeTokenEmbeddings(). */
  resize_token_embeddings(vocab_size: number, options?: { seed?: number }): Promise<void> {
    return this.resizeTokenEmbeddings(vocab_size, options)
  }

  /** What runs, and why each was chosen. */
  info(): ModelInfo {
    const { name, specs, threadsWhy, dtypeWhy, attention, unexpected, initialized, engine, trunk } = this.loaded
    const { store, arenaBytes } = engine
    this.loaded.assertLive()
    const { mc, kc, high, nr } = store.kernels.tile
    const rows = store.build.tile || high
    return {
      model: name,
      architecture: this.loaded.head.architecture,
      runtime: currentRuntime().name,
      build: { name: store.build.name, why: store.build.why },
      dtype: { name: trunk.dtype ?? 'f32', why: dtypeWhy },
      threads: engine.team(threadsWhy),
      attention: { name: attention, why: attention === 'sdpa' ? 'fused; a call with output_attentions runs eager' : 'as asked' },
      tile: {
        name: `${rows}x${nr}`,
        why: `${store.build.tile ? 'the quicker one here' : 'what fits the registers'}; blocks of ${mc} rows and ${kc} columns fit the cache`,
      },
      parameters: specs.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0),
      bytes: { weights: store.weightBytes, arena: arenaBytes, memory: store.bytes },
      unexpected,
      initialized,
    }
  }

  /** Gives weights and memory back; calls in progress end first. A second call does nothing. */
  dispose(): Promise<void> {
    return this.loaded.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  /**
   * What the model looks at in a text: its tokens, and the map of every head, in one call.
   *
   *     const { tokens, attentions } = await model.attentions('the cat sat') // attentions[layer]: [heads, L, L]
   */
  async attentions(text: string, options: AttentionsOptions = {}): Promise<Attentions> {
    this.loaded.assertLive()
    const { attentionInputs } = await seldom()
    const { tokens, inputs } = await attentionInputs(this.loaded, text, options)
    const { signal } = options
    const { attentions: maps } = (await this.forward({ ...inputs, ...(signal && { signal }) })) as ModelOutput
    return { tokens, attentions: maps!.map(({ data, dims }) => new Tensor(data, dims.slice(1))) }
  }

  async _call(inputs: ModelInputs | ChoiceInputs): Promise<object> {
    if (!isGiven(inputs?.adapter_names)) return this.answer(inputs)
    this.loaded.assertLive()
    const { mixed } = await seldom()
    const labels = labelsOf(this.loaded.head.architecture)
    return mixed(this.loaded, { ...inputs }, { labels, tensor: Tensor, run: (on, rows) => this.over(on).answer(rows) })
  }

  /** What a call gives; classes whose head's outputs want another shape override it. */
  protected async answer(inputs: ModelInputs | ChoiceInputs): Promise<object> {
    return this.forward(inputs as ModelInputs)
  }

  /** Runs trunk and head: the head's outputs by name, and what the flags ask for. */
  protected async forward(inputs: PredictionInputs, choices = 1): Promise<Record<string, Tensor> & ModelOutput> {
    const { head, config, attention } = this.loaded
    this.loaded.assertLive()
    checkOptions(head.architecture, inputs, [
      ...CALL_OPTIONS,
      ...labelsOf(head.architecture),
      ...(head.decodes ? ['logits_positions'] : []),
    ])
    if (!isGiven(inputs?.input_ids) && !isGiven(inputs?.inputs_embeds))
      throw expected(head.architecture, 'input_ids', inputs, 'Call it as model({ input_ids: [[101, ..., 102]] })')
    const { output_hidden_states: hidden = false, output_attentions: attentions = false, logits_positions: wanted, signal } = inputs
    const batch = packBatch(inputs, config)
    const selection = isGiven(wanted) ? selectPositions(wanted, batch) : undefined
    const labelled = labelsOf(head.architecture).some((name) => isGiven(inputs[name]))
    const losses = labelled ? await import('./losses.ts') : undefined
    const terms = losses?.lossTerms(head.architecture, config, inputs, batch, choices) ?? []
    const { buildLoss } = losses ?? {}
    const kept = { hidden, attentions, selected: selection !== undefined, embeds: batch.embeds !== undefined, terms, buildLoss }
    const variant = headVariant(this.loaded, attentions ? 'eager' : attention, kept)
    const outputs = await this.compute(variant, batch, { selection, terms, losses, group: choices, signal })
    const series = (name: string, count: number): Tensor[] => {
      return Array.from({ length: count }, (_, i) => {
        const tensor = outputs[`${name}.${i}`]!
        delete outputs[`${name}.${i}`]
        return tensor
      })
    }
    const layers = config.num_hidden_layers
    return Object.assign(
      outputs,
      hidden && { hidden_states: series('hidden_states', layers + 1) },
      attentions && { attentions: series('attentions', layers) },
    )
  }

  /** Runs a variant over all chunks of a batch and brings every output back in the caller's shape. */
  protected async compute(
    variant: Variant,
    batch: PackedBatch,
    { selection, terms = [], losses, group = 1, signal }: ComputeOptions = {},
  ): Promise<Record<string, Tensor>> {
    const { engine, budget } = this.loaded
    const outputs = new Map<string, Collector>()
    const scales = losses?.lossScales(terms) ?? []
    const spans = terms.some(({ kind }) => kind === 'span')
    const totals = terms.map(() => Float32Array.of(0))
    for (const chunk of chunks(batch, budget, { selection, group, spans })) {
      await engine.exclusively(async () => {
        signal?.throwIfAborted()
        this.loaded.assertLive()
        const program = this.program(variant, chunk.dims)
        const labels = { ...losses?.lossInputs(terms, scales, batch, chunk, selection), ...byTerm(totals) }
        await engine.run(program, chunk.dims, { ...chunkInputs(batch, chunk, selection), ...labels }, { signal, block: this.loaded.block })
        totals.forEach((total, i) => total.set(engine.output(program, lossName(i), chunk.dims)))
        for (const [name, { tensor }] of program.plan.outputs) {
          if (name.startsWith('loss.')) continue
          let collector = outputs.get(name)
          if (collector === undefined) outputs.set(name, (collector = new Collector(tensor, batch, selection)))
          collector.add(engine.output(program, name, chunk.dims), chunk)
        }
      })
    }
    const tensors = Object.fromEntries([...outputs].map(([name, { tensor }]) => [name, tensor]))
    if (terms.length === 0) return tensors
    const loss = sum(totals)
    lossParts.set(
      loss,
      terms.map(({ count }, i) => ({ mean: totals[i]![0]!, count })),
    )
    return { loss, ...tensors }
  }

  private program(variant: Variant, dims: Dims): Program {
    const { plans, block, engine } = this.loaded
    const bound = roundUp(dims)
    const sizes = [bound.tokens, bound.sequences, bound.longest, bound.selected].join('|')
    return engine.program(`${plans}|${variant.key}|${variant.attention}|${sizes}`, bound, () => inferenceGraph(variant), block)
  }
}

const byTerm = (totals: readonly Float32Array[]): Record<string, Float32Array> =>
  Object.fromEntries(totals.map((total, i) => [lossName(i), total]))

/** The terms' sum in f32, a tensor of no dimension. */
function sum(totals: readonly Float32Array[]): Tensor {
  return new Tensor(Float32Array.of(totals.reduce((all, total) => Math.fround(all + total[0]!), 0)), [])
}
