import { mkdir } from 'node:fs/promises'
import { expected, Words } from '../errors.ts'
import { BertConfig, BertForPreTraining, Tokenizer } from '../index.node.ts'
import { TrainingArguments, trainWordPiece, type PretrainingDataOptions, type TrainingArgumentsOptions } from '../training.ts'
import { corpusLines, instancesOf, type CorpusOptions, type Instances, type Part } from './corpus.ts'
import { loadOptions } from './options.ts'
import { pretrainingMetrics, shrink, unigram } from './pretraining-metrics.ts'
import { openProgress } from './progress.ts'
import {
  checkOutput,
  commonArguments,
  dropoutFields,
  prepareFast,
  report,
  runTraining,
  sourceOf,
  type TrainingRunOptions,
} from './run-training.ts'

export interface PretrainOptions extends TrainingRunOptions, CorpusOptions {
  readonly tokenizer?: string
  readonly vocabSize?: number
  readonly cased?: boolean
  readonly preset?: string
  readonly layers?: number
  readonly hidden?: number
  readonly heads?: number
  readonly intermediate?: number
  readonly eval?: string
  readonly seq: number
  readonly masking: 'static' | 'dynamic'
  readonly wholeWordMask?: boolean
  readonly maxPredictionsPerSeq: number
  readonly dupeFactor?: number
  readonly batch: number
  readonly epochs: number
  readonly saveSteps: number
}

/** `bertlet pretrain`: BERT from raw text, by masked words and next sentences. */
export async function pretrain(files: readonly string[], options: PretrainOptions, signal: AbortSignal): Promise<void> {
  check(files, options)
  const args = new TrainingArguments(argumentsOf(options))
  const resumed = await checkOutput(options)
  await prepareFast(options)
  await mkdir(options.output, { recursive: true })
  const lines = (part: Part): AsyncGenerator<string> => corpusLines(files, options, part, signal)
  const trained: Part = options.holdOut === undefined ? 'all' : 'train'
  const tokenizer = await tokenizerFor(lines(trained), options, resumed, signal)
  const open: Instances[] = []
  const instances = async (from: AsyncGenerator<string>, how: PretrainingDataOptions): Promise<Instances['data']> => {
    const made = await instancesOf(from, tokenizer, { ...dataOptions(options), ...how }, signal)
    open.push(made)
    return made.data
  }
  const model = options.model === undefined ? fresh(tokenizer, options) : await continued(options, signal)
  try {
    const dynamic = options.masking === 'dynamic'
    const dupes = options.dupeFactor ?? (dynamic ? 1 : 10)
    const data = await instances(lines(trained), { masking: options.masking, dupe_factor: dupes })
    const evaluated = options.eval !== undefined ? corpusLines([options.eval], options, 'all', signal) : options.holdOut && lines('held')
    const held = evaluated ? await instances(evaluated, HELD_OUT) : undefined
    if (!options.json) process.stdout.write(`${data.documents} documents of ${data.tokens} tokens, ${data.length} instances an epoch\n`)
    const ran = await runTraining(
      {
        model,
        args,
        train_dataset: data,
        ...(held && {
          eval_dataset: held,
          preprocess_logits_for_metrics: shrink,
          compute_metrics: pretrainingMetrics(await unigram(held, tokenizer.total_size)),
        }),
        processing_class: tokenizer,
      },
      options,
      signal,
    )
    const about = { documents: data.documents, tokens: data.tokens, instances: data.length, eval_instances: held?.length ?? 0 }
    report(ran, { ...about, vocab_size: tokenizer.total_size }, options)
  } finally {
    for (const made of open) made.close()
    await model.dispose()
  }
}

/** What is measured is the same in every run. */
export const HELD_OUT: PretrainingDataOptions = { masking: 'static', dupe_factor: 1, seed: 12345 }

function check(files: readonly string[], options: PretrainOptions): void {
  const { tokenizer, vocabSize, model, preset, layers, hidden, heads, intermediate, holdOut } = options
  const given = [tokenizer !== undefined && '--tokenizer', vocabSize !== undefined && '--vocab-size', model !== undefined && '--model']
  const said = given.filter((name) => name !== false)
  if (said.length !== 1)
    throw expected(
      'pretrain',
      'one of --tokenizer, --vocab-size and --model',
      new Words(said.join(' and ') || 'none'),
      '--vocab-size 8000 trains a vocabulary from the text',
    )
  const sizes = [preset, layers, hidden, heads, intermediate].some((size) => size !== undefined)
  if (model !== undefined && sizes) throw expected('--model', 'no --preset or sizes beside it', model, 'The sizes are those of its folder')
  if (options.eval !== undefined && holdOut !== undefined) throw expected('--hold-out', 'no --eval beside it', holdOut)
  if (files.includes('-') && (vocabSize !== undefined || holdOut !== undefined))
    throw expected('files', 'files, which can be read twice, with --vocab-size or --hold-out', new Words('standard input'))
}

/** A run that goes on keeps its words: another vocabulary would give every row of the word table another meaning. */
async function tokenizerFor(
  lines: AsyncGenerator<string>,
  options: PretrainOptions,
  resumed: string | undefined,
  signal: AbortSignal,
): Promise<Tokenizer> {
  const { tokenizer, vocabSize, cased = false } = options
  const saved = resumed === undefined ? undefined : await Tokenizer.fromPretrained(resumed, { signal })
  if (vocabSize === undefined) {
    const given = await Tokenizer.fromPretrained(tokenizer ?? sourceOf(options), { signal })
    if (saved !== undefined && saved.files()['vocab.txt'] !== given.files()['vocab.txt'])
      throw expected('--resume', `the vocabulary of ${resumed}`, new Words(`another one, of ${given.total_size} tokens`), ANOTHER)
    return given
  }
  if (saved !== undefined) {
    if (saved.total_size === vocabSize) return saved
    throw expected('--vocab-size', `${saved.total_size}, as ${resumed} has it`, vocabSize, ANOTHER)
  }
  const progress = await openProgress({ rows: false })
  try {
    return await trainWordPiece(lines, {
      vocab_size: vocabSize,
      lowercase: !cased,
      signal,
      progress_callback: ({ status, done, total }) => progress.count(status === 'count' ? 'lines' : 'tokens', done, total),
    })
  } finally {
    progress.stop()
  }
}

const ANOTHER = 'Give the same to resume, or begin anew in another --output'

function fresh(tokenizer: Tokenizer, options: PretrainOptions): BertForPreTraining {
  const { preset = 'bert-mini', layers, hidden, heads, intermediate, dropout, seq, threads, fast, seed } = options
  const given = BertConfig.preset(preset).toJSON()
  const sizes = {
    ...(layers !== undefined && { num_hidden_layers: layers }),
    ...(hidden !== undefined && {
      hidden_size: hidden,
      num_attention_heads: heads ?? Math.max(1, Math.floor(hidden / 64)),
      intermediate_size: intermediate ?? 4 * hidden,
    }),
    ...(heads !== undefined && { num_attention_heads: heads }),
    ...(intermediate !== undefined && { intermediate_size: intermediate }),
  }
  return new BertForPreTraining(
    new BertConfig({
      ...given,
      ...sizes,
      ...(dropout !== undefined && dropoutFields(dropout)),
      vocab_size: tokenizer.total_size,
      pad_token_id: tokenizer.pad_token_id,
      max_position_embeddings: Math.max(512, seq),
    }),
    { seed, ...(threads !== undefined && { threads }), ...(fast && { precision: 'fast' as const }) },
  )
}

const continued = (options: PretrainOptions, signal: AbortSignal): Promise<BertForPreTraining> =>
  BertForPreTraining.fromPretrained(sourceOf(options), { ...loadOptions(options), initialize_missing: true, seed: options.seed, signal })

const dataOptions = ({ seq, wholeWordMask, maxPredictionsPerSeq, seed }: PretrainOptions): PretrainingDataOptions => ({
  max_seq_length: seq,
  max_predictions_per_seq: maxPredictionsPerSeq,
  do_whole_word_mask: wholeWordMask ?? false,
  seed,
})

function argumentsOf(options: PretrainOptions): TrainingArgumentsOptions {
  return {
    ...commonArguments(options),
    num_train_epochs: options.epochs,
    per_device_train_batch_size: options.batch,
    per_device_eval_batch_size: options.batch,
    ...((options.eval ?? options.holdOut) !== undefined &&
      options.evalSteps !== undefined && { eval_strategy: 'steps', eval_steps: options.evalSteps }),
    save_strategy: 'steps',
    save_steps: options.saveSteps,
  }
}
