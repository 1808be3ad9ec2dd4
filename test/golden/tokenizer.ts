// Makes tokenizer.json: what the official tokenizers library says of seeded texts, and the hashes of the ids it gives to all code points.
//     node scripts/run-ts.mjs test/golden/tokenizer.ts
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { everyCharacterJson, everyCodePoint, IdHash } from '../conformance/tokenizer.ts'
import { random } from '../support/random.ts'
import { bertSides, ensureOracle, theirRow } from '../support/tokenizer-oracle.ts'
import { texts } from '../support/tokenizer-texts.ts'
import { theirWindows } from '../support/tokenizer-windows.ts'

const SPECIAL = [
  '', ' ', '\t\n', 'a', '\u0000a\u0000', '\ufffd', 'x'.repeat(100), 'x'.repeat(101), '👍'.repeat(100), '👍'.repeat(101), 'hello, world!', 'a\u00adb', 'a\u200bb', '中a文b', 'ＡＢＣ', 'a\u0300b', 'ß', 'ŉ', '½', '…',
  '“quoted”', '$1,000.00', 'C++/C#', 'line one\r\nline two', 'The capital of France is [MASK].', '[CLS]a[SEP]', '[mask]', 'a\ud800b \udc00', 'e\u0323\u0301\u0334', 'İstanbul', 'ΣΊΣΥΦΟΣ',
]
const library = await ensureOracle()
const next = random(20261123)
const below = (n: number): number => Math.floor(next() * n)
const vocabularies: Record<string, object> = {}
for (const { name, theirs } of bertSides(library)) {
  const generated = texts(150, 20261123)
  const cases: object[] = []
  for (const text of [...SPECIAL, ...generated]) cases.push({ text, options: {}, rows: [theirRow(await theirs.encode(text), text)] })
  for (let i = 0; i < 40; i++) {
    const [text, pair] = [generated[i]!, generated[i + 50]!]
    cases.push({ text, pair, options: {}, rows: [theirRow(await theirs.encode(text, pair), text, pair)] })
    const length = async (t: string): Promise<number> => (await theirs.encode(t, null, { addSpecialTokens: false })).getIds().length
    const lengths = [await length(text), await length(pair)] as const
    const side = (['left', 'right'] as const)[i % 2]!
    // One text in windows, then the second of a pair, then both cut to the same room.
    const keep = 2 + below(8)
    const stride = below(keep)
    const windows = { return_overflowing_tokens: true, stride, truncation_side: side }
    cases.push({ text, options: { ...windows, truncation: 'only_first', max_length: keep + 2 }, rows: await theirWindows(theirs, text, undefined, { keep: [keep, 0], stride, side }) })
    if (lengths[1] > keep)
      cases.push({ text, pair, options: { ...windows, truncation: 'only_second', max_length: lengths[0] + keep + 3 }, rows: await theirWindows(theirs, text, pair, { keep: [lengths[0], keep], stride, side }) })
    theirs.setTruncation(3 + keep, { strategy: 'LongestFirst' })
    cases.push({ text, pair, options: { truncation: true, max_length: 3 + keep }, rows: [theirRow(await theirs.encode(text, pair), text, pair)] })
    theirs.disableTruncation()
  }
  const decoded: object[] = []
  for (const text of [...SPECIAL, ...generated.slice(0, 60), "do not , isn ' t it 's fine . I 'm", '##a ##b a##c']) {
    const ids = (await theirs.encode(text)).getIds()
    decoded.push({ ids, text: await theirs.decode(ids, false), plain: await theirs.decode(ids, true) })
  }
  vocabularies[name] = { cases, decoded }
}

const hashes: Record<string, string> = {}
for (const name of ['uncased', 'cased']) {
  const tokenizer = library.Tokenizer.fromString(everyCharacterJson(name === 'uncased'))
  const hash = new IdHash()
  for (const text of everyCodePoint()) hash.add((await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds())
  hashes[name] = hash.text
}
const { version } = JSON.parse(readFileSync(path.join(import.meta.dirname, '../oracle/node_modules/tokenizers/package.json'), 'utf8'))
writeFileSync(path.join(import.meta.dirname, 'tokenizer.json'), `${JSON.stringify({ oracle: `tokenizers ${version}`, hashes, vocabularies })}\n`)
