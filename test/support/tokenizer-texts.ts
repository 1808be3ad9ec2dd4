// Seeded texts over the whole of Unicode: words, marks in any order, scripts, controls, private use, unassigned, lone surrogates.
import { random } from './random.ts'

const WORDS = (
  "the quick brown fox jumps over naïve café Zürich don’t it's 3.14 e-mail état ÉCOLE straße İstanbul ΣΊΣΥΦΟΣ Привет мир 東京 中文字符 한국어 สวัสดี नमस्ते שָׁלוֹם " +
  'مَرْحَبًا 👩‍👩‍👧‍👦 🇩🇪 e\u0301 A\u030A ﬁ Ǆ unaffable antidisestablishmentarianism supercalifragilistic ṩ ẛ̣ ಠ_ಠ Ω Å ≠ [MASK] [SEP] [CLS] [PAD] [UNK] [mask] [MASK]x ##ing #'
).split(' ')
/** First and last; the last three are what else there is of Unicode. */
const BLOCKS: readonly (readonly [number, number])[] = [
  [0x20, 0x7e],
  [0x00, 0x1f],
  [0x7f, 0xff],
  [0x100, 0x24f],
  [0x250, 0x36f],
  [0x300, 0x36f],
  [0x370, 0x5ff],
  [0x590, 0x6ff],
  [0x700, 0xdff],
  [0xe00, 0xfff],
  [0x1000, 0x1cff],
  [0x1ab0, 0x1aff],
  [0x1dc0, 0x1fff],
  [0x2000, 0x206f],
  [0x20d0, 0x2bff],
  [0x2c00, 0x2fff],
  [0x3000, 0x33ff],
  [0x3400, 0x9fff],
  [0xa000, 0xabff],
  [0xac00, 0xd7ff],
  [0xd800, 0xdfff],
  [0xe000, 0xf8ff],
  [0xf900, 0xfaff],
  [0xfb00, 0xfdff],
  [0xfe00, 0xffff],
  [0x10000, 0x11fff],
  [0x12000, 0x1cfff],
  [0x1d100, 0x1d1ff],
  [0x1d400, 0x1efff],
  [0x1f000, 0x1ffff],
  [0x20000, 0x2fa1f],
  [0x2fa20, 0x3ffff],
  [0xe0000, 0xe01ff],
  [0xf0000, 0x10ffff],
  [0, 0xffff],
  [0, 0x10ffff],
]
/** Marks of many combining classes, some of them kept by the normaliser, and characters that end in marks when decomposed. */
const MARKS = [
  0x300, 0x301, 0x308, 0x315, 0x316, 0x31b, 0x321, 0x323, 0x327, 0x334, 0x338, 0x344, 0x345, 0x35c, 0x35d, 0x5b0, 0x5bc, 0x64b, 0x651,
  0x93c, 0x94d, 0xe38, 0xf71, 0xf73, 0xf74,
]
MARKS.push(
  0x302a,
  0x302b,
  0x302e,
  0x302f,
  0x3099,
  0x1d165,
  0x1d166,
  0x1d16d,
  0x1d16e,
  0x1d15e,
  0x1d160,
  0xe9,
  0x1e69,
  0x1e9b,
  0x1939,
  0x16ff0,
  0x10eac,
  0x1dfa,
  0x8d3,
  0x1e2ec,
  0x1abf,
  0x10d69,
)

export function texts(count: number, seed: number): string[] {
  const next = random(seed)
  const below = (n: number): number => Math.floor(next() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  const from = ([first, last]: readonly [number, number]): string => {
    const code = first + below(last - first + 1)
    return code >= 0xd800 && code <= 0xdfff ? String.fromCharCode(code) : String.fromCodePoint(code)
  }
  const run = (length: number, make: () => string): string => Array.from({ length }, make).join('')
  const letters: readonly [number, number] = [0x61, 0x7a]
  const parts: (() => string)[] = [
    () => pick(WORDS),
    () => pick(WORDS),
    () => run(1 + below(6), () => from(pick(BLOCKS))),
    () => {
      const block = pick(BLOCKS)
      return run(1 + below(8), () => from(block))
    },
    () => run(1 + below(4), () => (next() < 0.4 ? from(letters) : '') + run(below(4), () => String.fromCodePoint(pick(MARKS)))),
    () => pick(WORDS).toUpperCase(),
  ]
  const text = (): string => {
    if (next() < 0.01) return run(95 + below(12), () => pick(['x', 'é', '👍', 'q']))
    const separator = next() < 0.75 ? ' ' : pick(['', '', '\t', '\u00a0', '\u3000', '\u200b', '.', '\u200d'])
    return Array.from({ length: 1 + below(10) }, () => pick(parts)()).join(separator)
  }
  return Array.from({ length: count }, text)
}
