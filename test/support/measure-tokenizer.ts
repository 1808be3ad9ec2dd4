// npm run measure:tokenizer -- FOLDER : every line of every file below FOLDER, beside the official library.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { bertSides, differences, ensureOracle } from './tokenizer-oracle.ts'

const folder = process.argv[2]
if (folder === undefined) {
  process.stderr.write('usage: npm run measure:tokenizer -- FOLDER\n')
  process.exit(2)
}
const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
  .sort()
const sides = bertSides(await ensureOracle())
let [lines, different] = [0, 0]
for (const file of files) {
  const part = (await readFile(file, 'utf8')).split('\n')
  lines += part.length
  const counts: string[] = []
  for (const side of sides) {
    const found = await differences(side, part, Infinity)
    different += found.length
    counts.push(`${side.name} ${found.length}`)
    for (const { text } of found.slice(0, 3)) process.stdout.write(`  ${side.name}: ${JSON.stringify(text.slice(0, 200))}\n`)
  }
  process.stdout.write(`${path.relative(folder, file)}  ${part.length} lines  different: ${counts.join(', ')}\n`)
}
process.stdout.write(`${files.length} files, ${lines} lines x ${sides.length} vocabularies: ${different} different\n`)
process.exitCode = different === 0 ? 0 : 1
