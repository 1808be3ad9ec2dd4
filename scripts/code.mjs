// Writes what src/engine/code.ts reads: bytes as text, and one file of bytes as what it changes of another.

const LETTERS = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).filter((letter) => !'"$\'\\`'.includes(letter))
const SINGLE = 88

export function textOf(bytes) {
  return Array.from(bytes, (byte) => {
    const value = (byte + 3) & 255
    return value < SINGLE ? LETTERS[value] : LETTERS[SINGLE - 1 + Math.floor(value / SINGLE)] + LETTERS[value % SINGLE]
  }).join('')
}

/** Bytes that must be alike to be found again, elsewhere and where the last ones went on; and what more is worth a jump. */
const [WINDOW, LEAST, JUMP] = [8, 3, 6]

export function changesOf(base, bytes) {
  const key = (from, at) => from.toString('latin1', at, at + WINDOW)
  const places = new Map()
  for (let at = 0; at + WINDOW <= base.length; at++)
    (places.get(key(base, at)) ?? places.set(key(base, at), []).get(key(base, at))).push(at)
  const alike = (from, at) => {
    let count = 0
    while (from + count < base.length && at + count < bytes.length && base[from + count] === bytes[at + count]) count++
    return count
  }
  const out = []
  const number = (value) => {
    for (; value > 127; value = Math.floor(value / 128)) out.push((value & 127) | 128)
    out.push(value)
  }
  number(bytes.length)
  let [fresh, next, at] = [[], 0, 0]
  while (at < bytes.length) {
    const straight = next + fresh.length
    let [from, kept] = [straight, alike(straight, at)]
    if (kept < LEAST) kept = 0
    if (kept < 64)
      for (const place of places.get(key(bytes, at)) ?? []) if (alike(place, at) > kept + JUMP) [from, kept] = [place, alike(place, at)]
    if (kept === 0) {
      fresh.push(bytes[at++])
      continue
    }
    number(fresh.length)
    for (const byte of fresh) out.push(byte)
    number(kept)
    const far = from - straight
    number(far < 0 ? -2 * far - 1 : 2 * far)
    at += kept
    next = from + kept
    fresh = []
  }
  number(fresh.length)
  for (const byte of fresh) out.push(byte)
  return Uint8Array.from(out)
}
