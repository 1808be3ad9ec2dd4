// The host's random numbers: the counter-based generator of assembly/random.ts, so that a value depends on seed, stream and place alone.

import { philox } from '../engine/philox.ts'

export { philox }

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
