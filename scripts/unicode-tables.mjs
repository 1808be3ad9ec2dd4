// Writes src/tokenizer/unicode-tables.ts: what the official tokenizers library makes of every code point, asked code point by code point.
//     npm ci --prefix test/oracle && node scripts/unicode-tables.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
const oracle = path.join(root, 'test/oracle')
const library = createRequire(path.join(oracle, 'index.js'))('tokenizers')
const { version } = JSON.parse(readFileSync(path.join(oracle, 'node_modules/tokenizers/package.json'), 'utf8'))

const off = { cleanText: false, handleChineseChars: false, stripAccents: false, lowercase: false }
const normalizer = (options) => {
  const bert = library.bertNormalizer({ ...off, ...options })
  return (text) => bert.normalizeString(text)
}
const clean = normalizer({ cleanText: true })
const strip = normalizer({ stripAccents: true })
const lower = normalizer({ lowercase: true })
const nfdNormalizer = library.nfdNormalizer()
const nfd = (text) => nfdNormalizer.normalizeString(text)
const splitter = library.bertPreTokenizer()
const pieces = (text) => splitter.preTokenizeString(text).length

const codes = []
for (let code = 0; code < 0x110000; code++) if (code < 0xd800 || code > 0xdfff) codes.push(code)
const char = String.fromCodePoint
const points = (text) => Array.from(text, (c) => c.codePointAt(0))
const isHangul = (code) => code >= 0xac00 && code <= 0xd7a3

/** Combining classes, as ranks of equal order: marks that the library reorders, sorted by the library itself. */
function ranks() {
  const reorders = (a, b) => nfd(`a${char(a)}${char(b)}`) !== `a${nfd(char(a))}${nfd(char(b))}`
  const [LOWEST, HIGHEST] = [0x334, 0x345]
  // Every mark is moved past one of the two, as a whole: a character that only ends in marks when decomposed is none.
  const moves = (code) =>
    nfd(`a${char(code)}${char(LOWEST)}`) === `a${char(LOWEST)}${nfd(char(code))}` ||
    nfd(`a${char(HIGHEST)}${char(code)}`) === `a${nfd(char(code))}${char(HIGHEST)}`
  const own = codes.filter((code) => !isHangul(code) && (code === LOWEST || code === HIGHEST || moves(code)))
  const first = (code) => points(nfd(char(code)))[0]
  const plain = own.filter((code) => first(code) === code)
  const sorted = points(nfd(`a${plain.map((code) => char(code)).join('')}`)).slice(1)
  const rank = new Map()
  let last = 0
  sorted.forEach((code, i) => {
    if (i === 0 || reorders(code, sorted[i - 1])) last++
    rank.set(code, last)
  })
  for (const code of own) if (!rank.has(code)) rank.set(code, rank.get(first(code)))
  return [...rank].sort((a, b) => a[0] - b[0])
}

/** Code points that are letters of a word to the library's single_word tokens. */
async function wordCharacters() {
  const vocab = { '[UNK]': 0, T: 1 }
  const tokenizer = new library.Tokenizer(library.WordPiece.init(vocab, { unkToken: '[UNK]' }))
  tokenizer.addAddedTokens([new library.AddedToken('T', true, { singleWord: true, normalized: false })])
  const found = []
  for (let i = 0; i < codes.length; i += 20000) {
    const part = codes.slice(i, i + 20000)
    const encodings = await tokenizer.encodeBatch(part.map((code) => `${char(code)}T`))
    encodings.forEach((encoding, k) => {
      if (!encoding.getIds().includes(1)) found.push(part[k])
    })
  }
  return found
}

// --- coding: numbers as base-64 digits of 5 bits, the sixth says that more follow; signed numbers as 2n or -2n-1 ---

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const digits = (number) => {
  if (!(number >= 0)) throw new Error(`no digits for ${number}`)
  let text = ''
  for (; number > 31; number = Math.floor(number / 32)) text += DIGITS[32 + (number % 32)]
  return text + DIGITS[number]
}
const signed = (number) => (number < 0 ? -2 * number - 1 : 2 * number)

/** Rows of numbers, equal neighbours once with their count. */
function packed(rows) {
  let text = ''
  for (let i = 0; i < rows.length;) {
    let count = 1
    while (i + count < rows.length && rows[i + count].join() === rows[i].join()) count++
    text += digits(count) + rows[i].map(digits).join('')
    i += count
  }
  return text
}

/** Sorted code points as ranges: gap since the last, length. */
function ranges(list) {
  const rows = []
  let end = 0
  for (let i = 0; i < list.length;) {
    let n = 1
    while (list[i + n] === list[i] + n) n++
    rows.push([list[i] - end, n])
    end = list[i] + n
    i += n
  }
  return packed(rows)
}

/** Code points with a value each: gap since the last, change of value since the last. */
function values(list, base) {
  let [lastCode, last] = [0, 0]
  return packed(
    list.map(([code, value]) => {
      const relative = base ? value - code : value
      const row = [code - lastCode, signed(relative - last)]
      ;[lastCode, last] = [code, relative]
      return row
    }),
  )
}

const removed = codes.filter((code) => clean(`a${char(code)}b`) === 'ab')
const spaces = codes.filter((code) => pieces(`a${char(code)}b`) === 2)
const punctuation = codes.filter((code) => pieces(`a${char(code)}b`) === 3)
const stripped = codes.filter((code) => !isHangul(code)).map((code) => [code, points(strip(char(code)))])
const marks = stripped.filter(([, to]) => to.length === 0).map(([code]) => code)
const isMark = new Set(marks)
const decomposed = stripped.filter(([code, to]) => to.length > 0 && to.join() !== String(code))
for (const [code, to] of decomposed)
  if (
    points(char(code).normalize('NFD'))
      .filter((part) => !isMark.has(part))
      .join() !== to.join()
  )
    throw new Error(`the engine decomposes ${code.toString(16)} otherwise`)
const lowered = codes.filter((code) => lower(char(code)) !== char(code)).map((code) => [code, points(lower(char(code)))])
if (
  lowered
    .filter(([, to]) => to.length > 1)
    .map(([code]) => code)
    .join() !== `${0x130}`
)
  throw new Error('more than İ becomes several letters')
const WHITE = [
  9,
  10,
  11,
  12,
  13,
  32,
  0x85,
  0xa0,
  0x1680,
  ...Array.from({ length: 11 }, (_, i) => 0x2000 + i),
  0x2028,
  0x2029,
  0x202f,
  0x205f,
  0x3000,
]
if (spaces.join() !== WHITE.join()) throw new Error(`white space is ${spaces.map((code) => code.toString(16))}`)

const tables = {
  REMOVED: ['ranges that cleaning takes out', ranges(removed)],
  PUNCTUATION: ['ranges of characters that are words of their own', ranges(punctuation)],
  MARKS: ['ranges that stripping accents takes out', ranges(marks)],
  DECOMPOSED: [
    'ranges of characters that it makes others, those of their decomposition that are no marks',
    ranges(decomposed.map(([code]) => code)),
  ],
  LOWERED: [
    'lower case, as differences; U+0130 is two characters',
    values(
      lowered.map(([code, [to]]) => [code, to]),
      true,
    ),
  ],
  RANKS: ['order of combining marks', values(ranks(), false)],
  WORD: ['ranges of characters that a single_word token must not touch', ranges(await wordCharacters())],
}
const text = Object.entries(tables)
  .map(([name, [what, data]]) => `/** ${what[0].toUpperCase()}${what.slice(1)}. */\nexport const ${name} =\n  '${data}'\n`)
  .join('\n')
writeFileSync(
  path.join(root, 'src/tokenizer/unicode-tables.ts'),
  `// Generated by scripts/unicode-tables.mjs from tokenizers ${version}: do not edit. unicode.ts reads it.\n\n${text}`,
)
for (const [name, [, data]] of Object.entries(tables)) process.stdout.write(`${name} ${data.length}\n`)
