// The host's random numbers: the counter-based generator of assembly/random.ts, so that a value depends on seed, stream and place alone.

/** Two low and two high words of products by Philox's constants, and the counter at hand. */
const block = new Uint32Array(4)

/** The high 32 bits of an unsigned product: halves of 16 bits keep every sum below 2^53. */
function high(a: number, b: number): number {
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16]
  const middle = a1 * b0 + Math.floor((a0 * b0) / 65536)
  return a1 * b1 + (middle >>> 16) + ((a0 * b1 + (middle & 0xffff)) >>> 16)
}

/** Philox4x32-10 (Salmon and others 2011, Random123): the four words of a counter under a key. The array is filled anew by every call. */
export function philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number): Uint32Array {
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = [high(0xd2511f53, c0), Math.imul(0xd2511f53, c0)]
    const [high1, low1] = [high(0xcd9e8d57, c2), Math.imul(0xcd9e8d57, c2)]
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1 >>> 0
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  block[0] = c0
  block[1] = c1
  block[2] = c2
  block[3] = c3
  return block
}

/** Which numbers: three words of the counter. The last must not be 0, which is for fresh weights. */
export type Stream = readonly [number, number, number]

/** Where a stream stands: enough to go on with the same numbers. */
export interface RandomState {
  readonly seed: number
  readonly stream: Stream
  /** Words drawn so far. */
  readonly counter: number
}

const WORD = 0x100000000

/** A sequence of random numbers that can be saved, and opened at any place. */
export class RandomStream {
  private readonly words = new Uint32Array(4)
  private counter: number

  /** @param seed a whole number of 0 or more, its low 64 bits are the key */
  constructor(
    private readonly seed: number,
    private readonly stream: Stream,
    counter = 0,
  ) {
    this.counter = counter
    if (counter % 4 !== 0) this.fill()
  }

  static from({ seed, stream, counter }: RandomState): RandomStream {
    return new RandomStream(seed, stream, counter)
  }

  get state(): RandomState {
    return { seed: this.seed, stream: this.stream, counter: this.counter }
  }

  /** 32 random bits. */
  next(): number {
    if (this.counter % 4 === 0) this.fill()
    return this.words[this.counter++ % 4]!
  }

  /** One of 2^32 steps of [0, 1). */
  uniform(): number {
    return this.next() / WORD
  }

  /** A whole number below n, all equally likely: what would favour the small ones is drawn again. */
  below(n: number): number {
    const fair = WORD - (WORD % n)
    let word = this.next()
    while (word >= fair) word = this.next()
    return word % n
  }

  /** Puts an array in random order, in place: Fisher and Yates. */
  shuffle<T extends { readonly length: number; [i: number]: unknown }>(array: T): T {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[array[i], array[j]] = [array[j], array[i]]
    }
    return array
  }

  private fill(): void {
    const [c1, c2, c3] = this.stream
    this.words.set(philox(Math.floor(this.counter / 4), c1, c2, c3, this.seed >>> 0, Math.floor(this.seed / WORD) >>> 0))
  }
}
