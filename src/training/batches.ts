// How the examples of an epoch become steps, and a step's examples its parts.
import { expected } from '../errors.ts'
import { epochOrder, type Dataset } from './dataset.ts'

export interface BatchOptions {
  readonly seed: number
  /** The most examples of a part. */
  readonly size: number
  /** Parts of a step. */
  readonly parts: number
  /** The most tokens of a part, but for an example that has more by itself. */
  readonly tokens?: number
  /** Of each example the texts that no step may have twice. */
  readonly apart?: readonly Int32Array[] | undefined
}

/** Examples by number, a list for each part. */
export type Step = readonly Uint32Array[]

/** The steps of an epoch, in order. Held as the ends of parts and of steps: an epoch may have millions. */
export class Steps implements Iterable<Step> {
  constructor(
    private readonly order: Uint32Array,
    /** Of each part, into the order. */
    private readonly ends: Uint32Array,
    /** Of each step, into the parts. */
    private readonly last: Uint32Array,
  ) {}

  get length(): number {
    return this.last.length
  }

  at(step: number): Step {
    const { order, ends, last } = this
    const first = step === 0 ? 0 : last[step - 1]!
    return Array.from({ length: last[step]! - first }, (_, i) => {
      const part = first + i
      return order.subarray(part === 0 ? 0 : ends[part - 1], ends[part])
    })
  }

  *[Symbol.iterator](): Generator<Step> {
    for (let step = 0; step < this.length; step++) yield this.at(step)
  }
}

export class Batches {
  /** Of each example, where tokens count. */
  private readonly tokens: Int32Array | undefined
  private held: { readonly epoch: number; readonly steps: Steps } | undefined

  constructor(
    private readonly length: number,
    private readonly options: BatchOptions,
    size: Dataset<never>['size'],
  ) {
    if (options.tokens === undefined) return
    if (size === undefined)
      throw expected(
        'max_tokens_per_batch',
        'a train_dataset that tells its sizes',
        undefined,
        'Give it size(index), which returns { tokens }',
      )
    this.tokens = Int32Array.from({ length }, (_, i) => size(i).tokens)
  }

  steps(epoch: number): Steps {
    if (this.held?.epoch !== epoch) this.held = { epoch, steps: this.cut(epochOrder(this.length, this.options.seed, epoch)) }
    return this.held.steps
  }

  /** The steps of so many epochs, the last of which need not be whole. */
  count(epochs: number): number {
    const whole = this.tokens === undefined && this.options.apart === undefined ? 0 : Math.floor(epochs)
    let steps = 0
    for (let epoch = 0; epoch < whole; epoch++) steps += this.steps(epoch).length
    return steps + (epochs > whole ? Math.ceil((epochs - whole) * this.steps(whole).length) : 0)
  }

  private cut(order: Uint32Array): Steps {
    if (this.options.apart) return this.cutApart(order, this.options.apart)
    const { size, parts, tokens: most = Infinity } = this.options
    const tokens = (example: number): number => this.tokens?.[example] ?? 0
    const ends: number[] = []
    for (let first = 0; first < order.length; first = ends.at(-1)!) {
      let [last, sum] = [first, 0]
      do sum += tokens(order[last++]!)
      while (last < order.length && last - first < size && sum + tokens(order[last]!) <= most)
      ends.push(last)
    }
    const last = Uint32Array.from({ length: Math.ceil(ends.length / parts) }, (_, step) => Math.min((step + 1) * parts, ends.length))
    return new Steps(order, Uint32Array.from(ends), last)
  }

  /** In the order of the epoch, but an example waits for another step while this one has any of its texts. A step that nothing more fits in stays short. */
  private cutApart(order: Uint32Array, texts: readonly Int32Array[]): Steps {
    const { size, parts } = this.options
    const own = new Uint32Array(order.length)
    const [ends, last]: [number[], number[]] = [[], []]
    // A list of places that wait: 0 is before the first, i + 1 stands for order[i].
    const after = Int32Array.from({ length: order.length + 1 }, (_, i) => (i < order.length ? i + 1 : 0))
    for (let first = 0; after[0] !== 0;) {
      const seen = new Set<number>()
      let count = 0
      for (let before = 0; after[before] !== 0 && count < size * parts;) {
        const at = after[before]!
        const example = order[at - 1]!
        if (texts[example]!.some((text) => seen.has(text))) {
          before = at
          continue
        }
        for (const text of texts[example]!) seen.add(text)
        own[first + count++] = example
        after[before] = after[at]!
      }
      for (let end = size; end < count + size; end += size) ends.push(first + Math.min(end, count))
      last.push(ends.length)
      first += count
    }
    return new Steps(own, Uint32Array.from(ends), Uint32Array.from(last))
  }
}
