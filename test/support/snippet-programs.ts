// The programs of a page as modules: names go on from one to the next, and what a comment says of a value is checked.
import { pathToFileURL } from 'node:url'
import path from 'node:path'
import ts from 'typescript'
import type { Program } from './snippets.ts'

type Shape =
  | { readonly any: true }
  | { readonly is: unknown }
  | { readonly number: number; readonly digits: number }
  | { readonly list: readonly Shape[]; readonly open: boolean }
  | { readonly object: Readonly<Record<string, Shape>>; readonly open: boolean }

const CHECK = pathToFileURL(path.join(import.meta.dirname, 'snippet-check.mjs')).href

export interface Module {
  readonly code: string
  /** Names that it gives to those behind it. */
  readonly declares: readonly string[]
  /** Names that it uses of those before it. */
  readonly uses: readonly string[]
}

/** The module of a program; `known` are the names that those before it have declared, held in `globalThis.known`. */
export function moduleOf({ file, line, text }: Program, known: ReadonlySet<string>): Module {
  const source = ts.createSourceFile(`${file}.ts`, text, ts.ScriptTarget.Latest, true)
  const lineOf = (at: number): number => line + source.getLineAndCharacterOfPosition(at).line
  const declares = source.statements.flatMap(namesOf)
  const uses = [...identifiers(source)].filter((name) => known.has(name) && !declares.includes(name))
  let [body, at] = ['', 0]
  for (const statement of source.statements) {
    body += text.slice(at, statement.getStart())
    const wanted = ts.isExpressionStatement(statement) ? commentOf(text, statement.end) : undefined
    const shape = wanted === undefined ? undefined : shapeOf(wanted, `${file}:${lineOf(statement.getStart())}`)
    body +=
      shape !== undefined && ts.isExpressionStatement(statement)
        ? `$check(${statement.expression.getText()}, ${JSON.stringify(shape)}, ${lineOf(statement.getStart())});`
        : statement.getText()
    at = statement.end
  }
  body += text.slice(at)
  const { outputText } = ts.transpileModule(
    `import { check as $check } from ${JSON.stringify(CHECK)}
const { ${uses.join(', ')} } = globalThis.known
${body}
Object.assign(globalThis.known, { ${declares.join(', ')} })\n`,
    { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true } },
  )
  return { code: outputText, declares, uses }
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isImportDeclaration(statement)) {
    const bindings = statement.importClause?.namedBindings
    if (bindings === undefined) return []
    return ts.isNamedImports(bindings) ? bindings.elements.map(({ name }) => name.text) : [bindings.name.text]
  }
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.flatMap(({ name }) => boundNames(name))
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) return statement.name ? [statement.name.text] : []
  return []
}

const boundNames = (name: ts.BindingName): string[] =>
  ts.isIdentifier(name)
    ? [name.text]
    : name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : boundNames(element.name)))

function identifiers(source: ts.SourceFile): Set<string> {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const { parent } = node
    const isMember = ts.isIdentifier(node) && ts.isPropertyAccessExpression(parent) && parent.name === node
    if (ts.isIdentifier(node) && !isMember) names.add(node.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return names
}

/** The comment behind a statement, with those below it that go on, when it begins as a value does. */
function commentOf(text: string, end: number): string | undefined {
  const first = /^[ \t]*\/\/ ?(.*)/.exec(text.slice(end))
  if (first === null || !/^[[{'"\d-]/.test(first[1]!)) return undefined
  const rest = text.slice(end + first[0].length)
  const more = /^(?:\n[ \t]*\/\/.*)*/.exec(rest)![0]
  return [first[1]!, ...more.split('\n').map((comment) => comment.replace(/^[ \t]*\/\/ ?/, ''))].join('\n')
}

/** A comment as a value, `...` for what more there is, a name alone for any value. What stands behind the value is a sentence. */
function shapeOf(comment: string, place: string): Shape {
  const text = comment.replace(/\.\.\.(?=\s*[\]}])/g, '...$more')
  const source = ts.createSourceFile('comment.ts', `(${text}`, ts.ScriptTarget.Latest, true)
  const statement = source.statements[0]
  const expression = statement !== undefined && ts.isExpressionStatement(statement) ? statement.expression : undefined
  const inner = expression && ts.isParenthesizedExpression(expression) ? expression.expression : undefined
  if (inner === undefined) throw new Error(`${place}: expected a value in the comment, got ${comment}`)
  // A comma behind the value makes one expression of it and the first words.
  return read(ts.isBinaryExpression(inner) ? leftmost(inner) : inner, place)
}

const leftmost = (node: ts.Expression): ts.Expression => (ts.isBinaryExpression(node) ? leftmost(node.left) : node)
const isMore = (node: ts.Node): boolean =>
  (ts.isSpreadElement(node) || ts.isSpreadAssignment(node)) && ts.isIdentifier(node.expression) && node.expression.text === '$more'

function read(node: ts.Node, place: string): Shape {
  if (ts.isArrayLiteralExpression(node)) {
    const items = node.elements.filter((item) => !isMore(item))
    return { list: items.map((item) => read(item, place)), open: items.length < node.elements.length }
  }
  if (ts.isObjectLiteralExpression(node)) {
    const items = node.properties.filter((item) => !isMore(item))
    const entries = items.map((item): [string, Shape] => {
      if (ts.isShorthandPropertyAssignment(item)) return [item.name.text, { any: true }]
      if (ts.isPropertyAssignment(item) && (ts.isIdentifier(item.name) || ts.isStringLiteral(item.name)))
        return [item.name.text, read(item.initializer, place)]
      throw new Error(`${place}: expected names and values in the comment, got ${item.getText()}`)
    })
    return { object: Object.fromEntries(entries), open: items.length < node.properties.length }
  }
  if (ts.isStringLiteral(node)) return { is: node.text }
  if (ts.isIdentifier(node)) return { any: true }
  const number = node.getText()
  if (/^-?\d+(\.\d+)?$/.test(number)) return { number: Number(number), digits: number.split('.')[1]?.length ?? 0 }
  if (node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword || node.kind === ts.SyntaxKind.NullKeyword)
    return { is: JSON.parse(number) as unknown }
  throw new Error(`${place}: expected a value in the comment, got ${number}`)
}
