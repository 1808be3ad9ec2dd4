// What README.md and docs/ tell people to run: programs, command lines, and what they print.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fromMarkdown } from 'mdast-util-from-markdown'
import { ROOT } from './command.ts'

interface At {
  readonly file: string
  /** Of its first line. */
  readonly line: number
  readonly text: string
}

/** Lines of JavaScript. A page's programs go on where the one before ended: names that it declared are known. */
export interface Program extends At {
  readonly kind: 'program'
}

/** A command line. */
export interface Command extends At {
  readonly kind: 'command'
  /** Whether it is run; those within a sentence are only held to the names and options that there are. */
  readonly run: boolean
  /** What it prints, as the page says; `...` stands for anything. */
  readonly prints?: string
}

/** A block that is not run, for the reason that the page gives in a comment before it: `<!-- not run: why -->`. */
export interface Unrun extends At {
  readonly kind: 'not run'
  readonly why: string
}

export type Snippet = Program | Command | Unrun

interface Node {
  readonly type: string
  readonly value?: string
  readonly lang?: string | null
  readonly children?: readonly Node[]
  readonly position?: { readonly start: { readonly line: number; readonly column: number } }
}

/** How a command line begins. */
const BEGINS = /^(npm|npx|bertlet|zcat) \S/
const NOT_RUN = /^<!-- not run: (.+) -->$/

/** All of a page, in its order. */
export async function snippetsOf(file: string): Promise<Snippet[]> {
  const page = await readFile(path.join(ROOT, file), 'utf8')
  const lines = page.split('\n')
  const found: Snippet[] = []
  const visit = (node: Node, before: Node | undefined): void => {
    if (node.type === 'code') found.push(...block(file, node, before, found.at(-1)))
    else if (node.type === 'inlineCode') found.push(...inline(file, node, lines))
    node.children?.forEach((child, i) => visit(child, node.children![i - 1]))
  }
  visit(fromMarkdown(page), undefined)
  return found.filter((snippet, i) => !(found[i + 1]?.kind === 'command' && isSame(snippet, found[i + 1]!)))
}

/** A command whose output came behind it was found twice: without and with. */
const isSame = (a: Snippet, b: Snippet): boolean => a.line === b.line && a.text === b.text

function block(file: string, node: Node, before: Node | undefined, last: Snippet | undefined): Snippet[] {
  const [text, line] = [node.value!, node.position!.start.line]
  const why = before?.type === 'html' ? NOT_RUN.exec(before.value!)?.[1] : undefined
  if (why !== undefined) return [{ kind: 'not run', file, line, text, why }]
  if (node.lang === 'js' || node.lang === 'ts') return [{ kind: 'program', file, line: line + 1, text }]
  const fenced = (node.lang ?? '') !== ''
  if (fenced && node.lang !== 'sh') throw new Error(`${file}:${line}: expected a block of js, ts or sh, got ${node.lang}`)
  if (!BEGINS.test(text)) {
    if (last?.kind === 'command' && last.run) return [{ ...last, prints: text }]
    throw new Error(`${file}:${line}: expected a command line, or what the one before prints`)
  }
  const commands: Command[] = []
  let open: string | undefined
  text.split('\n').forEach((part, i) => {
    const whole = open === undefined ? part : `${open} ${part.trim()}`
    open = whole.endsWith('\\') ? whole.slice(0, -1).trimEnd() : undefined
    if (open !== undefined || whole.trim() === '') return
    if (!BEGINS.test(whole)) throw new Error(`${file}:${line + i}: expected a command line, got ${whole}`)
    commands.push({ kind: 'command', file, line: line + i + (fenced ? 1 : 0), text: whole, run: true })
  })
  return commands
}

/** A command in a sentence, or in a table: in its first column it is run, and what stands beside it as code that begins with a bracket is printed. */
function inline(file: string, node: Node, lines: readonly string[]): Command[] {
  const { line, column } = node.position!.start
  const row = lines[line - 1]!
  const table = row.startsWith('| `')
  const text = table ? node.value!.replaceAll('\\|', '|') : node.value!
  if (!BEGINS.test(text)) return []
  const run = table && column === 3
  const prints = run ? /`([[{].*?)`/.exec(row.slice(column + node.value!.length + 1))?.[1] : undefined
  return [{ kind: 'command', file, line, text, run, ...(prints !== undefined && { prints }) }]
}
