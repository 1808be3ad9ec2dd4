// Makes what is loaded later independent of the files that were loaded before.
//
// Bundlers such as Rollup put a library's files into the application's own entry chunk. A piece that imports one of them then waits for that entry
// to finish; an entry that awaits the piece at its top level waits for the piece: a page that hangs without a word. So a piece imports nothing that
// the entries have. It is a function, and whoever loads it hands those things over:
//
//     import { expected } from './lib-A.js'            export default (lib) => {
//     export class Task { ... expected() ... }    ->     const { a: expected } = lib
//                                                        class Task { ... expected() ... }
//                                                        return { Task } }
//     await import('./lib-B.js')                  ->   await import('./lib-B.js').then((piece) => piece.default({ a: expected }))
//
// Only what the first entries, index.*, have anyway is handed over by what all pages load: of files that only another entry has, such as losses,
// which training brings along, the pieces have copies. Those files must hold no state.
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { transform } from 'esbuild'

/** Rewrites and minifies the files that esbuild made with `splitting`, not minified, of some entries. */
export async function detachPieces({ outputs }) {
  const files = new Map()
  for (const [name, { imports, entryPoint }] of Object.entries(outputs)) {
    if (!name.endsWith('.js')) continue
    const own = path.dirname(name)
    const kinds = (kind) =>
      imports.filter((each) => each.kind === kind && !each.external).map((each) => path.join(own, path.basename(each.path)))
    files.set(name, {
      ...parse(await readFile(name, 'utf8')),
      map: await readFile(`${name}.map`, 'base64'),
      entry: entryPoint !== undefined && !path.basename(name).startsWith('lib-'),
      before: kinds('import-statement'),
      later: kinds('dynamic-import'),
    })
  }
  const entries = [...files].filter(([, { entry }]) => entry).map(([name]) => name)
  const loadedWith = (names) => closure(names, (name) => files.get(name).before)
  const there = loadedWith(entries)
  for (const copy of copyForPieces(files, there, loadedWith(entries.filter((name) => path.basename(name).startsWith('index.')))))
    for (const file of [copy, `${copy}.map`]) outputs[file] = { imports: [] }
  const needs = whatPiecesNeed(files, there)
  for (const name of there) addImports(name, files, needs)
  checkCycles(there, files)
  await Promise.all(
    [...files].map(([name, file]) =>
      minify(name, file.map, there.has(name) ? callerText(name, file, needs) : pieceText(name, file, there, needs)),
    ),
  )
}

/** Import and export statements, as esbuild writes them, and the lines between. */
function parse(text) {
  const imports = []
  let exports = []
  const names = (list) =>
    (list ?? '')
      .split(',')
      .map((each) => each.trim().split(' as '))
      .filter(([name]) => name !== '')
  let body = text.replace(/^import (?:\{([^}]*)\} from )?"\.\/([^"]+\.js)";$/gm, (statement, list, file) => {
    imports.push({ file, names: names(list).map(([name, local = name]) => ({ name, local })) })
    return blank(statement)
  })
  body = body.replace(/^export \{([^}]*)\};$/m, (statement, list) => {
    exports = names(list).map(([local, name = local]) => ({ name, local }))
    return blank(statement)
  })
  return { body, imports, exports }
}

/** As many lines: the source map stays true. */
const blank = (statement) => statement.replace(/[^\n]/g, '')

function closure(start, next) {
  const found = new Set(start)
  for (const each of found) for (const other of next(each)) found.add(other)
  return found
}

/** Gives the pieces that `first` leads to copies of what is there, but not in `first`; their names. */
function copyForPieces(files, there, first) {
  const pieces = closure(
    [...first].flatMap((name) => files.get(name).later),
    (name) => [...files.get(name).before, ...files.get(name).later].filter((other) => !there.has(other)),
  )
  const strange = (name) => there.has(name) && !first.has(name)
  const copyOf = (name) => (strange(name) ? name.replace(/lib-(.*)\.js$/, 'lib-of-pieces-$1.js') : name)
  const copied = new Set()
  for (const name of pieces) {
    const file = files.get(name)
    for (const other of file.before.filter(strange)) {
      if (!copied.has(copyOf(other))) files.set(copyOf(other), { ...files.get(other), entry: false })
      copied.add(copyOf(other))
      pieces.add(copyOf(other))
    }
    const imports = file.imports.map((each) => ({ ...each, file: path.basename(copyOf(path.join(path.dirname(name), each.file))) }))
    files.set(name, { ...file, imports, before: file.before.map(copyOf) })
  }
  return copied
}

/** For every piece the things of the files that are there, { file, name }, by a short key: its own, and those of the pieces that it loads. */
function whatPiecesNeed(files, there) {
  const keys = new Map()
  const key = (file, name) => {
    const id = `${file} ${name}`
    if (!keys.has(id)) keys.set(id, { key: letters(keys.size), file, name })
    return keys.get(id)
  }
  const needs = new Map()
  for (const name of files.keys()) {
    if (there.has(name)) continue
    const all = closure([name], (each) => [...files.get(each).before, ...files.get(each).later].filter((other) => !there.has(other)))
    const wanted = new Set()
    for (const piece of all)
      for (const { file, names } of files.get(piece).imports) {
        const from = path.join(path.dirname(piece), file)
        if (there.has(from)) for (const each of names) wanted.add(key(from, each.name))
      }
    needs.set(name, [...wanted])
  }
  return needs
}

const letters = (n) => (n < 26 ? '' : letters(Math.floor(n / 26) - 1)) + String.fromCharCode(97 + (n % 26))

/** A file that loads pieces imports what it hands over. */
function addImports(name, files, needs) {
  const file = files.get(name)
  for (const piece of file.later)
    for (const need of needs.get(piece) ?? []) {
      if (need.file === name || localOf(file, need, name) !== undefined) continue
      file.imports.push({ file: path.basename(need.file), names: [{ name: need.name, local: `$${need.key}` }] })
      if (!file.before.includes(need.file)) file.before.push(need.file)
    }
}

/** What a file calls a thing that a piece needs. */
function localOf(file, need, name) {
  if (need.file === name) return file.exports.find((each) => each.name === need.name).local
  const from = file.imports.filter((each) => each.file === path.basename(need.file))
  return from.flatMap(({ names }) => names).find((each) => each.name === need.name)?.local
}

/** A class that extends one of a file that waits for it would fail at start. */
function checkCycles(there, files) {
  const done = new Set()
  const visit = (name, way) => {
    if (way.includes(name)) throw new Error(`pieces: ${[...way, name].join(' imports ')}`)
    if (done.has(name)) return
    for (const next of files.get(name).before) visit(next, [...way, name])
    done.add(name)
  }
  for (const name of there) visit(name, [])
}

const list = (names, as) => names.map(({ name, local }) => (name === local ? name : `${name}${as}${local}`)).join(', ')
const statements = (imports) =>
  imports
    .map(({ file, names }) => (names.length === 0 ? `import "./${file}";` : `import { ${list(names, ' as ')} } from "./${file}";`))
    .join(' ')
const load = (body, hand) =>
  body.replace(/\bimport\("\.\/([^"]+\.js)"\)/g, (call, file) => `${call}.then((piece) => piece.default(${hand(file)}))`)

function callerText(name, file, needs) {
  const body = load(file.body, (piece) => {
    const given = needs.get(path.join(path.dirname(name), piece)).map((need) => `${need.key}: ${localOf(file, need, name)}`)
    return `{ ${given.join(', ')} }`
  })
  const exported = file.exports.length === 0 ? '' : `export { ${file.exports.map(({ name, local }) => `${local} as ${name}`).join(', ')} };`
  return `${statements(file.imports)} ${beforeMap(body, exported)}`
}

function pieceText(name, file, there, needs) {
  const folder = path.dirname(name)
  const [given, loaded] = [[], []]
  for (const { file: from, names } of file.imports) {
    if (names.length === 0) continue
    if (!there.has(path.join(folder, from))) loaded.push({ from, names })
    else
      for (const each of names)
        given.push({
          name: needs.get(name).find((need) => need.file === path.join(folder, from) && need.name === each.name).key,
          local: each.local,
        })
  }
  // What comes from elsewhere, such as compiled kernels, is imported as before.
  const outside = []
  const body = load(file.body, () => 'lib').replace(/^import [^;]*;$/gm, (statement) => (outside.push(statement), blank(statement)))
  const heads = loaded.map(({ from }, i) => `import piece${i} from "./${from}";`)
  const opened = loaded.map(({ names }, i) => `const { ${list(names, ': ')} } = piece${i}(lib);`)
  const start = [
    ...outside,
    ...heads,
    'let made; export default (lib) => (made ??= make(lib)); const make = (lib) => {',
    `const { ${list(given, ': ')} } = lib;`,
    ...opened,
  ]
  const end = `return { ${list(
    file.exports.map(({ name: key, local }) => ({ name: key, local })),
    ': ',
  )} }; };`
  return `${start.join(' ').replaceAll('\n', ' ')} ${beforeMap(body, end)}`
}

/** The comment that names the source map stays last. */
const beforeMap = (body, end) => body.replace(/\n\/\/# sourceMappingURL=.*\s*$|$/, (comment) => `${end}${comment}`)

async function minify(name, map, text) {
  const contents = text.replace(/\/\/# sourceMappingURL=.*\s*$/, `//# sourceMappingURL=data:application/json;base64,${map}\n`)
  const made = await transform(contents, {
    minify: true,
    format: 'esm',
    target: 'es2022',
    sourcemap: 'external',
    sourcefile: path.basename(name),
  })
  await writeFile(name, `${made.code}//# sourceMappingURL=${path.basename(name)}.map\n`)
  await writeFile(`${name}.map`, made.map)
}
