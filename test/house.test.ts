// The rules of the house that no compiler checks: who may import whom, which file may name what, what is committed beside the code.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const ROOT = path.join(import.meta.dirname, '..')

/**
 * Where each folder, or file, may reach beyond itself; the longest name that fits a file counts. `type:` allows only imports that vanish when
 * compiled. Files and packages are listed like folders.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  'src/errors.ts': [],
  'src/callable.ts': [],
  'src/json.ts': ['src/errors.ts'],
  'src/tokenizer': ['src/errors.ts', 'src/json.ts'],
  'src/weights': ['src/errors.ts', 'src/json.ts', 'assembly/abi.ts'],
  'src/graph': ['src/errors.ts', 'assembly/abi.ts'],
  'src/engine': ['src/errors.ts', 'src/graph', 'assembly/abi.ts', 'type:src/runtimes/runtime.ts'],
  'src/engine/build.ts': ['src/errors.ts', 'src/engine', 'build'],
  'src/engine/fast.ts': ['build'],
  'src/engine/dot.ts': ['build'],
  'src/engine/training.ts': ['build'],
  'src/engine/training-fast.ts': ['build'],
  'src/runtimes': ['src/errors.ts', 'src/engine/worker.ts', 'type:src/weights', 'node:'],
  'src/models': [
    'src/json.ts',
    'src/errors.ts',
    'src/callable.ts',
    'src/graph',
    'src/engine',
    'src/tokenizer',
    'src/weights',
    'assembly/abi.ts',
  ],
  'src/training': [
    'src/errors.ts',
    'src/json.ts',
    'src/graph',
    'src/engine',
    'src/models',
    'src/tokenizer',
    'src/weights',
    'assembly/abi.ts',
  ],
  'src/integrations': ['type:src/pipelines/feature-extraction.ts', '@langchain/core/embeddings'],
  'src/retrieval': [
    'src/errors.ts',
    'src/json.ts',
    'src/graph',
    'src/engine',
    'src/models',
    'src/weights',
    'src/training/checksums.ts',
    'src/training/documents.ts',
    'assembly/abi.ts',
    'minisearch',
  ],
  'src/retrieval.ts': ['src/retrieval'],
  'src/training.ts': ['src/errors.ts', 'src/training', 'src/weights/folder.ts'],
  'src/data': [
    'src/errors.ts',
    'src/json.ts',
    'type:src/models',
    'type:src/tokenizer',
    'type:src/training',
    'src/training/metrics.ts',
    'csv-parse',
    'hyparquet',
  ],
  'src/data.ts': ['src/data'],
  'src/pipelines': ['src/errors.ts', 'src/callable.ts', 'src/json.ts', 'src/engine', 'src/models', 'src/tokenizer', 'src/weights'],
  'src/cli': [
    'src/errors.ts',
    'src/index.node.ts',
    'src/retrieval.ts',
    'src/training.ts',
    'src/data.ts',
    'src/data/lines.ts',
    'src/pipelines',
    'src/runtimes/node-folder.ts',
    'src/runtimes/node-spool.ts',
    'node:',
    'commander',
    'cli-table3',
    'cli-progress',
    'htmlparser2',
    'mdast-util-from-markdown',
    'd3-scale',
    'd3-shape',
  ],
  'src/index.ts': ['src', 'assembly/abi.ts'],
  'src/index.node.ts': ['src', 'assembly/abi.ts'],
  'src/index.web.ts': ['src', 'assembly/abi.ts'],
  'src/index.edge.ts': ['src', 'assembly/abi.ts'],
  'assembly/abi.ts': [],
  'assembly/record.ts': ['assembly/abi.ts'],
  'assembly/threads.ts': ['assembly/abi.ts'],
  'assembly/simd.ts': [],
  'assembly/math.ts': ['assembly/abi.ts', 'assembly/simd.ts'],
  'assembly/rows.ts': ['assembly/simd.ts'],
  'assembly/selftest.ts': ['assembly/simd.ts'],
  'assembly/maps.ts': [],
  'assembly/masks.ts': ['assembly/random.ts'],
  'assembly/random.ts': ['assembly/abi.ts', 'assembly/math.ts'],
  'assembly/index.ts': ['assembly'],
}
const KERNEL = ['abi', 'maps', 'masks', 'math', 'random', 'record', 'rows', 'simd', 'threads'].map((name) => `assembly/${name}.ts`)
const KERNELS_TOGETHER: Record<string, readonly string[]> = {
  'assembly/kernels/gemm.ts': ['assembly/kernels/pack.ts', 'assembly/kernels/quantize.ts'],
  'assembly/kernels/quantize.ts': ['assembly/kernels/pack.ts'],
  'assembly/kernels/embedding.ts': ['assembly/kernels/quantize.ts'],
  'assembly/kernels/int8.ts': ['assembly/kernels/gemm.ts', 'assembly/kernels/quantize.ts'],
  'assembly/kernels/int4.ts': ['int8', 'gemm', 'pack', 'quantize'].map((name) => `assembly/kernels/${name}.ts`),
  'assembly/kernels/attention.ts': ['assembly/kernels/gemm.ts', 'assembly/kernels/pack.ts'],
  // Attention's backward pass is five such products a block.
  'assembly/kernels/attention-grad.ts': ['assembly/kernels/bmm.ts', 'assembly/kernels/gemm.ts', 'assembly/kernels/pack.ts'],
  // The plain chain of attention is gemm's micro-kernel, per sequence and head.
  'assembly/kernels/bmm.ts': ['assembly/kernels/gemm.ts', 'assembly/kernels/pack.ts'],
}

const PLATFORM_NAMES = new Set(['Deno', 'Bun', 'navigator', 'Worker', 'process', 'Buffer'])
const PLATFORM_FOLDERS = /^src\/(runtimes|cli|server)\//
/** Where every engine must compute the same bits; Math may be used for what is exact by IEEE 754. */
const SAME_BITS = /^(assembly|src\/(engine|graph|models|pipelines|training))\//
const EXACT_MATH = new Set([
  'abs',
  'ceil',
  'clz32',
  'floor',
  'fround',
  'imul',
  'max',
  'min',
  'round',
  'sign',
  'sqrt',
  'trunc',
  'PI',
  'SQRT2',
  'SQRT1_2',
  'LN2',
])

interface Import {
  readonly target: string
  readonly typeOnly: boolean
}

/** What `file` breaks, one sentence each. `file` is relative to the repository, with `/`. */
function violations(file: string, text: string): string[] {
  const found: string[] = []
  const imports: Import[] = []
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)

  const reach = (specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) imports.push({ target: resolve(file, specifier.text), typeOnly })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) reach(node.moduleSpecifier, vanishes(node.importClause))
    else if (ts.isExportDeclaration(node)) reach(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) reach(node.argument.literal, true)
    else if (ts.isCallExpression(node) && isLoad(node.expression)) {
      if (node.arguments[0] !== undefined && ts.isStringLiteralLike(node.arguments[0])) reach(node.arguments[0], false)
      else found.push(`${file}: an import of something computed cannot be checked`)
    } else if (ts.isIdentifier(node)) name(node)
    else if (ts.isBinaryExpression(node) && /^\*\*=?$/.test(node.operatorToken.getText()) && SAME_BITS.test(file))
      found.push(`${file}: ** differs between engines`)
    ts.forEachChild(node, visit)
  }
  const name = (node: ts.Identifier): void => {
    const { text: word, parent } = node
    const isMember = ts.isPropertyAccessExpression(parent) && parent.name === node
    if (PLATFORM_NAMES.has(word) && !isMember && file.startsWith('src/') && !PLATFORM_FOLDERS.test(file))
      found.push(`${file}: only src/runtimes may say ${word}`)
    if (word.startsWith('relaxed_') && file !== 'assembly/simd.ts') found.push(`${file}: only assembly/simd.ts may name ${word}`)
    if (/^(Math|Mathf|NativeMathf?|JSMath)$/.test(word) && !isMember && SAME_BITS.test(file)) {
      const member = ts.isPropertyAccessExpression(parent) && parent.expression === node ? parent.name.text : '?'
      if (!EXACT_MATH.has(member)) found.push(`${file}: ${word}.${member} differs between engines`)
    }
  }
  visit(source)
  return [...found, ...imports.flatMap((reached) => forbidden(file, reached))]
}

function isLoad(callee: ts.Expression): boolean {
  return callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require')
}

/** Whether nothing of an import is left after compilation. `import { type X }` stays as a side effect, so it does not count. */
function vanishes(clause: ts.ImportClause | undefined): boolean {
  return clause?.phaseModifier === ts.SyntaxKind.TypeKeyword
}

/** A local file's path in the repository, or the package's name as written. */
function resolve(file: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier
  const target = path.posix.join(path.posix.dirname(file), specifier.replace(/\?inline$/, ''))
  return path.posix.extname(target) === '' ? `${target}.ts` : target
}

function forbidden(file: string, { target, typeOnly }: Import): string[] {
  const rule = ruleOf(file)
  if (rule === undefined) return [`${file}: no import rule covers it; add one in test/house.test.ts`]
  const own = rule.name.endsWith('.ts') ? path.posix.dirname(rule.name) : rule.name
  // A folder's files may import each other; kernels and the files at the top of a tree may not.
  const inside = own !== 'src' && own !== 'assembly' && own !== 'assembly/kernels' && covers(own, target)
  const allowed = rule.allowed.some((entry) =>
    entry.startsWith('type:') ? typeOnly && covers(entry.slice(5), target) : covers(entry, target),
  )
  return inside || allowed ? [] : [`${file}: must not import ${target}${typeOnly ? ' (type)' : ''}`]
}

function ruleOf(file: string): { name: string; allowed: readonly string[] } | undefined {
  if (file.startsWith('assembly/kernels/')) return { name: 'assembly/kernels', allowed: [...KERNEL, KERNELS_TOGETHER[file] ?? []].flat() }
  const name = Object.keys(MAY_IMPORT)
    .filter((folder) => covers(folder, file))
    .sort((a, b) => b.length - a.length)[0]
  return name === undefined ? undefined : { name, allowed: MAY_IMPORT[name]! }
}

function covers(entry: string, target: string): boolean {
  return target === entry || target.startsWith(entry.endsWith(':') ? entry : `${entry}/`)
}

const sources = ['src', 'assembly'].flatMap((folder) =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file.split(path.sep).join('/')}`),
)
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')

describe('import directions', () => {
  it('hold in src and assembly', () => {
    expect(sources.length).toBeGreaterThan(20)
    expect(sources.flatMap((file) => violations(file, read(file)))).toEqual([])
  })

  it.each([
    ['src/graph/x.ts', `import { Store } from '../engine/store.ts'`],
    ['src/graph/x.ts', `import type { Store } from '../engine/store.ts'`],
    ['src/graph/x.ts', `export * from '../engine/store.ts'`],
    ['src/graph/x.ts', `type S = import('../engine/store.ts').Store`],
    ['src/graph/x.ts', `const s = await import('../engine/store.ts')`],
    ['src/graph/x.ts', `const s = await import(name)`],
    ['src/errors.ts', `import './callable.ts'`],
    ['src/engine/x.ts', `import { NodeRuntime } from '../runtimes/node.ts'`],
    ['src/engine/x.ts', `import { type Runtime } from '../runtimes/runtime.ts'`],
    ['src/engine/x.ts', `import { instantiate } from '@assemblyscript/loader'`],
    ['src/engine/x.ts', `import simd from '../../build/simd.wasm'`],
    ['src/runtimes/x.ts', `import { Pool } from '../engine/pool.ts'`],
    ['src/pipelines/x.ts', `import { readFile } from 'node:fs/promises'`],
    ['src/models/x.ts', `import { pipeline } from '../pipelines/pipeline.ts'`],
    ['src/weights/x.ts', `const on = typeof Deno !== 'undefined'`],
    ['src/weights/x.ts', `new Worker('')`],
    ['src/somewhere/x.ts', `import '../errors.ts'`],
    ['src/models/x.ts', `const y = Math.exp(1)`],
    ['src/engine/x.ts', `const { tanh } = Math`],
    ['src/training/x.ts', `const y = beta ** step`],
    ['assembly/math.ts', `const y = Mathf.log(1)`],
    ['assembly/kernels/loss.ts', `import { pack } from './pack'`],
    ['assembly/kernels/bmm.ts', `@inline\nexport function f(): v128 { return f32x4.relaxed_madd(a, b, c) }`],
    ['assembly/kernels/bmm.ts', `import { run } from '../index'`],
    ['assembly/abi.ts', `import { fma } from './simd'`],
  ])('are broken by %s: %s', (file, text) => {
    expect(violations(file, text)).toHaveLength(1)
  })

  it.each([
    ['src/engine/build.ts', `import simd from '../../build/simd.wasm'`],
    ['src/engine/x.ts', `import type { Runtime } from '../runtimes/runtime.ts'\nimport './pool.ts' // Worker, Math.exp`],
    ['src/runtimes/x.ts', `import { Worker } from 'node:worker_threads'\nimport text from './node-worker.ts?inline'`],
    ['src/training/x.ts', `const y = Math.sqrt(2) // no Math.exp, 2 ** 3`],
    ['assembly/kernels/gemm.ts', `import { pack } from './pack'\nimport { fma } from '../simd'`],
    ['assembly/simd.ts', `@inline\nexport function f(): v128 { return f32x4.relaxed_madd(a, b, c) }`],
  ])('are kept by %s: %s', (file, text) => {
    expect(violations(file, text)).toEqual([])
  })
})

const LOCKS = ['.', 'test/runtimes', 'test/oracle', 'test/integrations', 'bench/peers', 'bench/tokenizer'].map((folder) =>
  path.posix.join(folder, 'package-lock.json'),
)

describe('beside the code', () => {
  it('the package has no dependencies', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, unknown>
    expect(Object.keys(manifest)).not.toContain('dependencies')
    expect(Object.keys(manifest)).not.toContain('optionalDependencies')
  })

  it.each(LOCKS)('%s names no registry', (file) => {
    const lock = read(file)
    expect(lock).toContain('"integrity"')
    expect(lock).not.toMatch(/"resolved":\s*"http/)
  })

  it.each(['LICENSE', 'NOTICE', 'CHANGELOG.md', 'README.md', '.ci/run'])('%s is there', (file) => {
    expect(existsSync(path.join(ROOT, file))).toBe(true)
  })

  it('the formatter left no decorator as a comment', () => {
    expect(sources.filter((file) => file.startsWith('assembly/') && read(file).includes('//@decorator'))).toEqual([])
  })
})
