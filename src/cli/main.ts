#!/usr/bin/env node
// The program: what can be asked. A command's own file, and with it the library, is loaded when it is asked for.
import { Command, Option, type OptionValues } from 'commander'
import { EXIT_CODES, run } from './ending.ts'
import type { DoctorOptions } from './doctor.ts'
import type { IndexOptions } from './index.ts'
import type { InfoOptions } from './info.ts'
import type { EvaluateOptions } from './evaluate.ts'
import type { FinetuneOptions } from './finetune.ts'
import { checkKindOptions, checkTaskOptions, labelledOptions, splitTask, TASK_NAMES } from './labelled-options.ts'
import type { PretrainOptions } from './pretrain.ts'
import {
  adapterOption,
  corpusOptions,
  fastOptions,
  filesOptions,
  inputOptions,
  jsonOption,
  modelOptions,
  numberFrom,
  optimizerOptions,
  outputOption,
  wholeFrom,
} from './options.ts'
import type { ExportOptions } from './export.ts'
import type { QuantizeOptions } from './quantize.ts'
import type { SearchOptions } from './search.ts'
import { taskCommands } from './tasks.ts'
import type { TokenizeOptions } from './tokenize.ts'
import type { TrainTokenizerOptions } from './train-tokenizer.ts'

/** Said by the build. */
declare const BERTLET_VERSION: string

function createProgram(signal: AbortSignal): Command {
  const program = new Command('bertlet')
    .description('BERT in WebAssembly: embeddings and more, with no native dependency')
    .version(BERTLET_VERSION)
    .showHelpAfterError('(--help tells what can be asked)')
    .addHelpText('after', EXIT_CODES)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'bertlet: ')) })
    .exitOverride()

  const command = (name: string, description: string): Command =>
    program.command(name).description(description).version(BERTLET_VERSION).addHelpText('after', EXIT_CODES)

  taskCommands(command, signal)

  const tokenize = command('tokenize', 'tokens, ids and offsets of every text, or with --decode the text of ids')
  tokenize.argument('[texts...]', 'the texts, or ids; without them, --file or standard input, one a line')
  filesOptions(inputOptions(tokenize))
  tokenize
    .option('--pair <text>', 'the second text of every pair')
    .option('--pair-field <name>', 'with --field: the field of the second text')
    .option('--max-length <n>', 'cut to this many tokens, special ones counted (default: no limit)', wholeFrom(0))
    .option('--no-special-tokens', 'leave [CLS] and [SEP] out')
    .option('--decode', 'the texts are ids, apart by spaces or commas')
  outputOption(jsonOption(tokenize, 'print JSONL on a terminal too (default: a table on a terminal, else JSONL)'))
  tokenize.action(async (texts: string[], options: TokenizeOptions) => (await import('./tokenize.ts')).tokenize(texts, options, signal))

  const info = command('info', 'what a checkpoint holds and needs; no weight is read')
  info.argument('[model]', 'a folder, npm package, address or hub id, as --model')
  jsonOption(modelOptions(info))
  info.action(async (model: string | undefined, options: InfoOptions) => (await import('./info.ts')).info(model, options, signal))

  const quantize = command('quantize', 'a checkpoint with its matrices in 8 or 4 bits, in the layout of compressed-tensors')
  quantize.argument('<model>', 'a folder, npm package, address or hub id').argument('<output>', 'the folder it goes to')
  quantize.addOption(new Option('--dtype <dtype>', 'what matrices are held in').choices(['int8', 'int4']).default('int8'))
  quantize.option(
    '--calibrate <file>',
    'a text a line, a few hundred of those that the model is for: mends what 7 bits of activations lose (int8; for bertlet alone)',
  )
  jsonOption(quantize)
  quantize.action(async (model: string, output: string, options: QuantizeOptions) =>
    (await import('./quantize.ts')).quantize(model, output, options, signal),
  )

  const exported = command('export', 'a model as a folder to host, for pages and isolates')
  exported.argument('<output>', 'the folder it goes to, such as public/model')
  filesOptions(exported).addOption(
    new Option('--dtype <dtype>', 'what matrices are held in (default: as they are)').choices(['int8', 'int4']),
  )
  jsonOption(exported)
  exported.action(async (output: string, options: ExportOptions) => (await import('./export.ts')).exportModel(output, options, signal))

  const doctor = command('doctor', 'what this machine and runtime can do, what will be used, and why')
  jsonOption(modelOptions(doctor))
  doctor.action(async (options: DoctorOptions) => (await import('./doctor.ts')).doctor(options, signal))

  const trainTokenizer = command('train-tokenizer', 'a WordPiece vocabulary, and with it a tokenizer, from raw text')
  trainTokenizer
    .argument('<files...>', 'text files; - is standard input')
    .requiredOption('--output <folder>', 'where vocab.txt, tokenizer.json and tokenizer_config.json go')
    .option('--vocab-size <n>', 'tokens of the vocabulary (default: all that the text gives, at most 30000)', wholeFrom(1))
    .option('--cased', 'keep capitals and accents')
    .option('--min-frequency <n>', 'how often a piece must occur', wholeFrom(0), 2)
    .option('--limit-alphabet <n>', 'most characters that are kept, the frequent ones', wholeFrom(0), 1000)
  jsonOption(trainTokenizer)
  trainTokenizer.action(async (files: string[], options: TrainTokenizerOptions) =>
    (await import('./train-tokenizer.ts')).trainTokenizer(files, options, signal),
  )

  retrievalCommands(command, signal)
  trainingCommands(command, signal)
  return program
}

function retrievalCommands(command: (name: string, description: string) => Command, signal: AbortSignal): void {
  const PLACE = ['--index <folder>', 'where the index is (default: .bertlet-index in the folder)'] as const

  const index = command('index', 'an index of the text, Markdown and HTML files of a folder; only what has changed is read again')
  index.argument('<folder>', 'the folder that holds the files').option(...PLACE)
  modelOptions(index)
    .option('--max-tokens <n>', 'most tokens of a passage', wholeFrom(1), 200)
    .option('--overlap <n>', 'tokens that a passage shares with the one before, at most', wholeFrom(0), 40)
    .addOption(new Option('--precision <name>', 'what vectors are held in').choices(['float32', 'int8', 'binary']).default('float32'))
    .option('--rebuild', 'read everything again')
  jsonOption(index)
  index.action(async (folder: string, options: IndexOptions) => (await import('./index.ts')).index(folder, options, signal))

  const search = command('search', 'passages of an index that fit a query, with file and line')
  search
    .argument('<query>', 'what is looked for')
    .argument('[folder]', 'the folder that was indexed', '.')
    .option(...PLACE)
  modelOptions(search)
    .option('--hybrid', 'by meaning and by words (default)')
    .option('--dense', 'by meaning only')
    .option('--bm25', 'by words only: no model is loaded')
    .option('--top-k <n>', 'most results', wholeFrom(1), 10)
  jsonOption(search, 'print a line of JSON for each result')
  search.action(async (query: string, folder: string, options: SearchOptions) =>
    (await import('./search.ts')).search(query, folder, options, signal),
  )
}

function trainingCommands(command: (name: string, description: string) => Command, signal: AbortSignal): void {
  const OUTPUT = ['--output <folder>', 'where the model goes, with checkpoints and log.jsonl'] as const

  const TASK = `a task: ${TASK_NAMES.join(', ')} (default: text-classification; evaluate: that of the model)`
  const finetune = command('finetune', 'a model of a task from labelled files')
  finetune
    .usage('[task] <train> [options]')
    .argument('[task]', TASK)
    .argument(
      '[train]',
      'labelled texts (.tsv without quoting, .csv, .jsonl, .parquet), questions as SQuAD has them, CoNLL columns, or a folder of GLUE',
    )
  finetune
    .requiredOption(...OUTPUT)
    .option('--eval <file>', 'labelled examples to measure on, after every epoch (GLUE: those of the folder)')
  labelledOptions(finetune, true)
    .option('--num-train-epochs <n>', 'passes over the file', numberFrom(0), 3)
    .option('--per-device-train-batch-size <n>', 'examples to a batch', wholeFrom(1), 32)
    .option('--per-device-eval-batch-size <n>', 'examples that are measured together', wholeFrom(1), 64)
  optimizerOptions(finetune, 5e-5)
    .option('--layer-lr-decay <n>', "each layer's rate is that of the layer above times this", numberFrom(0, 1), 1)
    .option('--save-steps <n>', 'steps to a checkpoint (default: one an epoch)', wholeFrom(1))
    .option('--load-best-model-at-end', 'end with the weights of the best evaluation')
    .option('--metric-for-best-model <name>', "one of the metrics (default: the task's; text-classification: loss)")
    .option('--early-stopping-patience <n>', 'stop after this many evaluations that are no better', wholeFrom(1))
    .option('--bias-only', 'train biases and the head, and leave the weights of the trunk as they are')
    .option('--head-only', 'train the head, with the pooler, and leave the trunk as it is')
    .addOption(
      new Option(
        '--adapter <kind>',
        'train a low-rank adapter and the head; the output holds it as PEFT does (a rate of 2e-3 suits)',
      ).choices(['lora']),
    )
    .option('--lora-r <n>', 'rank of the adapter', wholeFrom(1), 8)
    .option('--lora-alpha <n>', 'its scale times the rank', numberFrom(0), 16)
    .option('--lora-dropout <p>', 'dropout before it', numberFrom(0, 1), 0)
    .option('--target-modules <names>', 'layers that have one, apart by commas, or all-linear (default: query,value)')
    .option('--merge', 'write the whole model too, with the adapter added up, to OUTPUT/merged')
    .option('--few-shot', 'a few texts a class: a logistic head solved over sentence embeddings, in seconds (text-classification)')
    .option('--contrastive', 'with --few-shot: tune the trunk by pairs of the texts first, in minutes')
  jsonOption(fastOptions(finetune))
  finetune.action(async (...given: unknown[]) => {
    const { task = 'text-classification', files, options } = taskAction<FinetuneOptions>(finetune, given, ['train'])
    checkTaskOptions(finetune, task)
    checkKindOptions(finetune)
    await (await import('./finetune.ts')).finetune(task, files[0]!, options, signal)
  })

  const evaluate = command('evaluate', 'how good a model is, on labelled files, or one that was pre-trained on raw text')
  evaluate
    .usage('[task] <model> <file> [options]')
    .argument('[task]', TASK)
    .argument('[model]', 'a folder, npm package, address or hub id')
    .argument('[file]', 'labelled examples as for finetune, or raw text')
  corpusOptions(labelledOptions(evaluate, false))
    .option('--output <file>', 'write the metrics to a file, as JSON')
    .option(
      '--predictions <file>',
      "write what the model says: a line of JSON for every text; SQuAD's predictions; tagged words; labels may be absent then",
    )
    .option('--submission <folder>', "write predictions of a GLUE task's test files as the leaderboard takes them")
    .option('--batch-size <n>', 'examples that are measured together', wholeFrom(1), 64)
  jsonOption(fastOptions(adapterOption(evaluate)))
  evaluate.action(async (...given: unknown[]) => {
    const { task, files, options } = taskAction<EvaluateOptions>(evaluate, given, ['model', 'file'])
    if (task !== undefined) checkTaskOptions(evaluate, task)
    await (await import('./evaluate.ts')).evaluate(task, files[0]!, files[1]!, options, signal)
  })

  const pretrain = command('pretrain', 'BERT from raw text, by masked words and next sentences')
  pretrain.argument('<files...>', 'text files, each of one document or more; - is standard input')
  pretrain
    .requiredOption(...OUTPUT)
    .option('--tokenizer <folder>', 'of the vocabulary, such as train-tokenizer writes')
    .option('--vocab-size <n>', 'train a vocabulary of this size from the text first', wholeFrom(1))
    .option('--cased', 'with --vocab-size: keep capitals and accents')
    .option('--preset <name>', 'sizes: bert-tiny, bert-mini, bert-small, bert-medium, bert-base-uncased (default: bert-mini)')
    .option('--layers <n>', 'in place of those of the preset', wholeFrom(1))
    .option('--hidden <n>', 'width; heads of 64 and a feed-forward of four times as much unless said', wholeFrom(1))
    .option('--heads <n>', 'attention heads', wholeFrom(1))
    .option('--intermediate <n>', 'width of the feed-forward', wholeFrom(1))
    .option('--eval <file>', 'raw text to measure on')
  corpusOptions(pretrain)
    .addOption(
      new Option('--masking <how>', 'other words in every epoch, or always the same').choices(['dynamic', 'static']).default('dynamic'),
    )
    .option('--whole-word-mask', 'mask words as a whole')
    .option('--max-predictions-per-seq <n>', 'most masked tokens of a pair', wholeFrom(1), 20)
    .option('--dupe-factor <n>', 'passes over the text with pairs of their own (default: 1; static: 10)', wholeFrom(1))
    .option('--batch <n>', 'pairs to a batch', wholeFrom(1), 32)
    .option('--epochs <n>', 'passes over the pairs', numberFrom(0), 10)
    .option('--save-steps <n>', 'steps to a checkpoint', wholeFrom(1), 500)
  jsonOption(fastOptions(optimizerOptions(pretrain, 1e-4)))
  pretrain.action(async (files: string[], options: PretrainOptions) => (await import('./pretrain.ts')).pretrain(files, options, signal))
}

/** What an action is given: words, options, the command. */
function taskAction<O>(command: Command, given: readonly unknown[], files: readonly string[]) {
  const words = given.slice(0, -2).filter((word): word is string => word !== undefined)
  return { ...splitTask(words, files), options: command.opts<O & OptionValues>() }
}

await run(async (signal) => {
  await createProgram(signal).parseAsync()
})
