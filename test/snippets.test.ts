// Every snippet of README.md and docs/ is run: programs as modules in one process of a page, command lines through the built command.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build, jsonl, ROOT } from './support/command.ts'
import { install } from './support/install.ts'
import { checkCommand, prints, runCommand } from './support/snippet-commands.ts'
import { GIVEN, snippetFolder } from './support/snippet-files.ts'
import { moduleOf, type Module } from './support/snippet-programs.ts'
import { snippetsOf, type Command, type Program, type Snippet, type Unrun } from './support/snippets.ts'

/** Blocks that are marked as not run. One more is a decision, not a way out. */
const NOT_RUN: readonly string[] = [
  'README.md: a worker of a page, which test/page.test.ts runs',
  'docs/training-in-a-page.md: installs from the network; test/examples.test.ts runs the example',
  'docs/training-in-a-page.md: the worker of examples/train-page, which test/examples.test.ts runs',
]

const run = promisify(execFile)
const docs = (await readdir(path.join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)
const snippets: readonly Snippet[] = (await Promise.all(['README.md', ...docs.sort()].map(snippetsOf))).flat()
const programs = snippets.filter((snippet): snippet is Program => snippet.kind === 'program')
const commands = snippets.filter((snippet): snippet is Command => snippet.kind === 'command')
const named = <T extends Snippet>(list: readonly T[]): [string, T][] =>
  list.map((snippet) => [`${snippet.file}:${snippet.line} ${snippet.text.split('\n')[0]}`, snippet])

let folder: string
beforeAll(async () => {
  await Promise.all([build(), install(path.join(import.meta.dirname, 'integrations'))])
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-snippets-'))
  await snippetFolder(folder)
}, 400_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

it('blocks that are not run are few, and say why', () => {
  expect(snippets.filter((snippet): snippet is Unrun => snippet.kind === 'not run').map(({ file, why }) => `${file}: ${why}`)).toEqual(
    NOT_RUN,
  )
})

describe('programs', () => {
  const results = new Map<Program, string>()
  const unused = new Set<string>()

  beforeAll(async () => {
    for (const file of new Set(programs.map((program) => program.file))) await runPage(programs.filter((program) => program.file === file))
  }, 300_000)

  /** The programs of one page, in their order. */
  async function runPage(page: readonly Program[]): Promise<void> {
    const given = [...GIVEN.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name!)
    const readme = page[0]!.file === 'README.md'
    const known = new Set(readme ? given : [])
    const modules: (Module & { program: Program; name: string })[] = []
    for (const program of page) {
      const made = moduleOf(program, known)
      for (const name of made.declares) known.add(name)
      modules.push({ ...made, program, name: `${path.basename(program.file, '.md')}-${program.line}.mjs` })
    }
    if (readme) for (const name of given) if (!modules.some(({ uses }) => uses.includes(name))) unused.add(name)
    for (const { name, code } of modules) await writeFile(path.join(folder, name), code)
    const main = path.join(folder, 'main.mjs')
    await writeFile(
      main,
      `${readme ? GIVEN : 'globalThis.known = {}\n'}
const tell = (name, error) => process.stdout.write(\`\\n#\${JSON.stringify({ name, error })}\\n\`)
for (const name of ${JSON.stringify(modules.map(({ name }) => name))})
  await import('./' + name).then(() => tell(name), (error) => tell(name, String(error?.stack ?? error)))
process.exit(0)\n`,
    )
    const { stdout } = await run(process.execPath, [main], { cwd: folder, maxBuffer: 1 << 26, timeout: 280_000 })
    const lines = stdout.split('\n').filter((line) => line.startsWith('#{'))
    for (const { name, error } of jsonl<{ name: string; error?: string }>(lines.map((line) => line.slice(1)).join('\n')))
      results.set(modules.find((each) => each.name === name)!.program, error ?? 'ran')
  }

  it.each(named(programs))('%s', (_, program) => {
    expect(results.get(program)).toBe('ran')
  })

  it('use all that they are given', () => {
    expect([...unused]).toEqual([])
  })
})

describe('command lines', () => {
  it.each(named(commands.filter((command) => command.run)))('%s', async (_, command) => {
    const printed = await runCommand(command, folder)
    if (command.prints !== undefined && !prints(printed, command.prints)) expect(printed.slice(0, 1000)).toBe(command.prints)
  })

  it.each(named(commands.filter((command) => !command.run)))('%s, in a sentence', (_, command) => checkCommand(command.text))
})
