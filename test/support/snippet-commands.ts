// The command lines of a page: run, or held to the scripts, options and files that there are.
import { exec } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { bertlet, ROOT } from './command.ts'
import type { Command } from './snippets.ts'

const run = promisify(exec)
const { scripts, peerDependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
  peerDependencies: Record<string, string>
}
/** Sizes that small files do not give, and those that stand for them. */
const SMALLER = [['--vocab-size 8000', '--vocab-size 90']] as const
/** What npm itself does. */
const OWN = ['ci', 'test', 'start']

/** The parts of a line, without npx, and a script that is the command line of bertlet as what it stands for. */
const partsOf = (text: string): string[] =>
  text.split(' && ').map((part) => {
    const [, name, more = ''] = /^npm (?:run )?(\S+)(?: --(?: (.*))?)?$/.exec(part) ?? []
    const verb = name && /node dist\/cli\.js (.*)$/.exec(scripts[name] ?? '')?.[1]
    return verb ? `bertlet ${verb} ${more}` : part.replace(/^npx bertlet\b ?/, 'bertlet ')
  })

/** Runs what a line has of bertlet in `folder`, and checks the rest; what it printed. */
export async function runCommand({ text }: Command, folder: string): Promise<string> {
  let printed = ''
  for (const part of partsOf(text)) {
    if (!/(^|\| )bertlet /.test(part)) {
      await checkCommand(part)
      continue
    }
    // What an earlier line wrote under the same name is not gone on with.
    const output = /(?:--output|--predictions|--submission) (\S+)/.exec(part)?.[1]
    if (output !== undefined) await rm(path.join(folder, output), { recursive: true, force: true })
    const env = { ...process.env, PATH: `${path.join(folder, 'bin')}${path.delimiter}${process.env.PATH}` }
    const small = SMALLER.reduce((text_, [size, smaller]) => text_.replace(size, smaller), part)
    printed = (await run(small, { cwd: folder, env, maxBuffer: 1 << 26 })).stdout
  }
  return printed
}

/** Whether what was printed has the lines that the page has: `...` stands for anything, and times may be others. */
export function prints(printed: string, wanted: string): boolean {
  const pattern = wanted
    .trim()
    .split('\n')
    .map((line) => line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('\\.\\.\\.', '.*'))
    .map((line) => line.replace(/\d+(?:\\\.\d+)? ms/g, '[\\d.]+ ms').replace(/build \w+ {2}\d+ threads/, 'build \\w+  \\d+ threads'))
    .join('\n')
  return new RegExp(`^${pattern}$`, 'm').test(printed)
}

/** Throws when a line names a script, an option, a file or a package that there is not. */
export async function checkCommand(text: string): Promise<void> {
  for (const part of partsOf(text)) {
    const words = part.split(/\s+/)
    const options = words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.slice(2))
    if (words[0] === 'bertlet') await checkVerb(words[1]!, options)
    else if (words[1] === 'vitest') checkFiles(words.slice(3))
    else if (words[1] === 'i') checkPackage(words[2]!)
    else checkScript(words[1] === 'run' ? words[2]! : words[1]!, options)
  }
}

const help = new Map<string, string>()
async function checkVerb(verb: string, options: readonly string[]): Promise<void> {
  // A placeholder, or bertlet by itself.
  const any = verb === verb.toUpperCase()
  if (!help.has(verb)) help.set(verb, any ? '' : (await bertlet([verb, '--help'])).stdout)
  const text = help.get(verb)!
  if (!any && !text.startsWith('Usage: ')) throw new Error(`expected a command of bertlet, got ${verb}`)
  const unknown = options.find((name) => name !== 'help' && !new RegExp(`^\\s+(?:-\\w, )?--${name}\\b`, 'm').test(text))
  if (unknown !== undefined) throw new Error(`expected an option of bertlet ${verb}, got --${unknown}`)
}

function checkFiles(names: readonly string[]): void {
  for (const name of names) {
    const pattern = new RegExp(`^${path.basename(name).replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
    if (!readdirSync(path.join(ROOT, path.dirname(name))).some((each) => pattern.test(each)))
      throw new Error(`expected a file, got ${name}`)
  }
}

function checkPackage(name: string): void {
  if (!Object.hasOwn(peerDependencies, name)) throw new Error(`expected one of peerDependencies, got ${name}`)
}

/** A script's options are looked for where they are parsed or told of: in its file, or in one that it imports. */
function checkScript(name: string, options: readonly string[]): void {
  if (OWN.includes(name)) return
  const script = scripts[name]
  if (script === undefined) throw new Error(`expected a script of package.json, got ${name}`)
  if (options.length === 0) return
  const file = script
    .split(' ')
    .filter((word) => /^(bench|test|scripts)\/.*\.(mjs|ts)$/.test(word))
    .at(-1)!
  const text = [...imported(path.join(ROOT, file))].map((each) => readFileSync(each, 'utf8')).join('\n')
  const unknown = options.find((option) => !new RegExp(`(?:^|[\\s{'"])${option}['"]?: |--${option}\\b`, 'm').test(text))
  if (unknown !== undefined) throw new Error(`expected an option of ${file}, got --${unknown}`)
}

/** A file and those of the repository that it imports. */
function imported(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const [, from] of readFileSync(file, 'utf8').matchAll(/(?:from|import) '(\.[^']+\.(?:mjs|ts))'/g))
    if (!from!.includes('dist/')) imported(path.resolve(path.dirname(file), from!), seen)
  return seen
}
