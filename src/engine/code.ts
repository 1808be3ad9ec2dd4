// Kernels as the bundle holds them: by parts (parts.ts), as text of letters that need no escape, and builds that are little else than another one as what they change
// of it. scripts/code.mjs writes what these read.

/** Letters of an alphabet of 90, in the order of their codes: 32 to 126 without those that some way of quoting escapes. */
const LETTERS = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).filter((letter) => !'"$\'\\`'.includes(letter))
/** Those that are a byte; the two others say that the next is one of the bytes further up. */
const SINGLE = 88

/** Bytes of a text. A byte is always the same letters, so what compresses bytes compresses the text as well. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(128)
  LETTERS.forEach((letter, value) => (values[letter.charCodeAt(0)] = value))
  const bytes = new Uint8Array(text.length)
  let [length, above] = [0, 0]
  for (let i = 0; i < text.length; i++) {
    const value = values[text.charCodeAt(i)]!
    if (value >= SINGLE) above = SINGLE * (value - SINGLE + 1)
    else {
      // wasm has many bytes around 0, negative ones with them: those are single letters.
      bytes[length++] = above + value - 3
      above = 0
    }
  }
  return bytes.slice(0, length)
}

/**
 * Bytes that are mostly those of others: the changes are, over and over, a count of new bytes, those, a count of bytes that the others have, and where:
 * so far from where it would have gone on, twice that, or twice minus one backwards. The first number is the length.
 */
export function changed(others: readonly Uint8Array[], changes: Uint8Array): Uint8Array<ArrayBuffer> {
  const base = joined(others)
  let [at, from, length] = [0, 0, 0]
  const number = (): number => {
    let [value, unit] = [0, 1]
    for (;;) {
      const byte = changes[at++]!
      value += (byte & 127) * unit
      if (byte < 128) return value
      unit *= 128
    }
  }
  const bytes = new Uint8Array(number())
  while (length < bytes.length) {
    const fresh = number()
    bytes.set(changes.subarray(at, at + fresh), length)
    at += fresh
    length += fresh
    if (length === bytes.length) break
    const kept = number()
    const far = number()
    from += fresh + (far & 1 ? -((far + 1) / 2) : far / 2)
    bytes.set(base.subarray(from, from + kept), length)
    from += kept
    length += kept
  }
  return bytes
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
