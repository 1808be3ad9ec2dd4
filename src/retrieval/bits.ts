// A bit for each number of a vector: whether it is above 0. As sentence-transformers' precision ubinary, packed here: sharing a line with the pipeline would
// cost every page a file.
import type { Visit } from './panels.ts'

/** Rows whose scores are handed on at a time. */
const LENT = 16384

export class Bits {
  rows = 0
  private readonly words: number
  private bits = new Uint32Array(0)

  constructor(readonly width: number) {
    this.words = Math.ceil(width / 32)
  }

  /** Bytes of a row in a file. */
  get rowBytes(): number {
    return Math.ceil(this.width / 8)
  }

  append(vectors: Float32Array): void {
    this.appendBytes(this.pack(vectors))
  }

  /** Rows of `rowBytes` each. */
  appendBytes(bytes: Uint8Array): void {
    const more = bytes.length / this.rowBytes
    this.grow(this.rows + more)
    const target = new Uint8Array(this.bits.buffer)
    for (let i = 0; i < more; i++) target.set(bytes.subarray(i * this.rowBytes, (i + 1) * this.rowBytes), (this.rows + i) * this.words * 4)
    this.rows += more
  }

  bytes(row: number, count: number): Uint8Array {
    const source = new Uint8Array(this.bits.buffer)
    const bytes = new Uint8Array(count * this.rowBytes)
    for (let i = 0; i < count; i++) {
      const at = (row + i) * this.words * 4
      bytes.set(source.subarray(at, at + this.rowBytes), i * this.rowBytes)
    }
    return bytes
  }

  private pack(vectors: Float32Array): Uint8Array {
    const { width, rowBytes } = this
    const bytes = new Uint8Array((vectors.length / width) * rowBytes)
    vectors.forEach((x, i) => {
      if (x > 0) bytes[Math.floor(i / width) * rowBytes + ((i % width) >> 3)]! |= 128 >> ((i % width) & 7)
    })
    return bytes
  }

  private grow(rows: number): void {
    if (rows * this.words <= this.bits.length) return
    const larger = new Uint32Array(Math.max(rows, 2 * this.rows) * this.words)
    larger.set(this.bits.subarray(0, this.rows * this.words))
    this.bits = larger
  }

  /** What share of the bits agrees more than differs: the cosine of vectors of 1 and -1. */
  scores(queries: Float32Array, visit: Visit): void {
    const { words, width, bits, rows } = this
    const query = new Bits(width)
    query.append(queries)
    const scores = new Float32Array(Math.min(LENT, rows))
    for (let q = 0; q < query.rows; q++) {
      const own = query.bits.subarray(q * words, (q + 1) * words)
      for (let first = 0; first < rows; first += LENT) {
        const count = Math.min(LENT, rows - first)
        for (let i = 0, at = first * words; i < count; i++) {
          let differ = 0
          for (let w = 0; w < words; w++) differ += ones(bits[at++]! ^ own[w]!)
          scores[i] = (width - 2 * differ) / width
        }
        visit(q, first, scores.subarray(0, count))
      }
    }
  }
}

function ones(word: number): number {
  let n = word - ((word >>> 1) & 0x55555555)
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333)
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
