// A module of wasm as the bundle holds it: by parts, like with like, which compresses better than the order in which it runs.

/** What a byte belongs to: all that is not code, instructions, and what they name. */
const enum Part {
  Rest,
  Instruction,
  Local,
  Memory,
  Constant,
  Other,
  Count,
}

/** Calls `byte` for each byte of a module in its order; it gives the byte, wherever it takes it from. The way there and the way back are the same. */
function walk(byte: (part: Part) => number, more: () => boolean): void {
  const number = (part: Part): number => {
    let [value, unit] = [0, 1]
    for (;;) {
      const next = byte(part)
      value += (next & 127) * unit
      if (next < 128) return value
      unit *= 128
    }
  }
  const bytes = (part: Part, count: number): void => {
    while (count-- > 0) byte(part)
  }
  const place = (): void => {
    number(Part.Memory)
    number(Part.Memory)
  }
  /** Behind a prefix: of bulk memory 0xfc, of SIMD 0xfd, of threads 0xfe. */
  const prefixed = (prefix: number): void => {
    const code = number(Part.Instruction)
    const lane = code >= 84 && code <= 91
    if (prefix === 0xfc) bytes(Part.Other, code === 10 ? 2 : code === 11 ? 1 : 0)
    else if (prefix === 0xfe ? code !== 3 : code <= 11 || lane || code === 92 || code === 93) place()
    else if (prefix === 0xfe) byte(Part.Other)
    if (prefix !== 0xfd) return
    if (code === 12 || code === 13) bytes(Part.Constant, 16)
    if (lane || (code >= 21 && code <= 34)) byte(Part.Other)
  }
  const body = (): void => {
    number(Part.Rest)
    for (let groups = number(Part.Rest); groups > 0; groups--) {
      number(Part.Rest)
      byte(Part.Rest)
    }
    for (let depth = 1; depth > 0;) {
      const op = byte(Part.Instruction)
      if (op === 0x0b) depth--
      else if (op >= 0x02 && op <= 0x04) {
        depth++
        number(Part.Other)
      } else if (op === 0x0e) for (let labels = number(Part.Other); labels >= 0; labels--) number(Part.Other)
      else if (op === 0x1c) bytes(Part.Other, number(Part.Other))
      else if (op >= 0x20 && op <= 0x22) number(Part.Local)
      else if (op >= 0x28 && op <= 0x3e) place()
      else if (op === 0x41 || op === 0x42) number(Part.Constant)
      else if (op === 0x43 || op === 0x44) bytes(Part.Constant, op === 0x43 ? 4 : 8)
      else if ([0x0c, 0x0d, 0x10, 0x23, 0x24, 0x3f, 0x40].includes(op)) number(Part.Other)
      else if (op >= 0xfc) prefixed(op)
    }
  }
  bytes(Part.Rest, 8)
  while (more()) {
    const section = byte(Part.Rest)
    const size = number(Part.Rest)
    if (section !== 10) bytes(Part.Rest, size)
    else for (let functions = number(Part.Rest); functions > 0; functions--) body()
  }
}

/** A module by its parts: first their lengths, four bytes each. scripts/assets.mjs calls it. */
export function parted(module: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts: number[][] = Array.from({ length: Part.Count }, () => [])
  let at = 0
  walk(
    (part) => {
      parts[part]!.push(module[at]!)
      return module[at++]!
    },
    () => at < module.length,
  )
  const all = Uint8Array.from([...new Array<number>(4 * Part.Count).fill(0), ...parts.flat()])
  parts.forEach(({ length }, part) => new DataView(all.buffer).setUint32(4 * part, length, true))
  return all
}

/** The module. */
export function joined(parts: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const view = new DataView(parts.buffer, parts.byteOffset)
  let start = 4 * Part.Count
  const places = Array.from({ length: Part.Count }, (_, part) => {
    const at = start
    start += view.getUint32(4 * part, true)
    return at
  })
  const module = new Uint8Array(parts.length - 4 * Part.Count)
  let length = 0
  walk(
    (part) => (module[length++] = parts[places[part]!++]!),
    () => length < module.length,
  )
  return module
}
