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

export class Batches {
  /** Of each example, where tokens count. */
  private readonly tokens: Int32Array | undefined
  private held: { readonly epoch: number; readonly steps: readonly Step[] } | undefined

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

  /** The steps of an epoch, in order. */
  steps(epoch: number): readonly Step[] {
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

  private cut(order: Uint32Array): Step[] {
    if (this.options.apart) return this.cutApart(order, this.options.apart)
    const { size, parts, tokens: most = Infinity } = this.options
    const tokens = (example: number): number => this.tokens?.[example] ?? 0
    const steps: Uint32Array[][] = []
    for (let first = 0; first < order.length;) {
      let [last, sum] = [first, 0]
      do sum += tokens(order[last++]!)
      while (last < order.length && last - first < size && sum + tokens(order[last]!) <= most)
      const open = steps.at(-1)
      if (open !== undefined && open.length < parts) open.push(order.subarray(first, last))
      else steps.push([order.subarray(first, last)])
      first = last
    }
    return steps
  }

  /** In the order of the epoch, but an example waits for another step while this one has any of its texts. A step that nothing more fits in stays short. */
  private cutApart(order: Uint32Array, texts: readonly Int32Array[]): Step[] {
    const { size, parts } = this.options
    const steps: Uint32Array[][] = []
    // A list of places that wait: 0 is before the first, i + 1 stands for order[i].
    const after = Int32Array.from({ length: order.length + 1 }, (_, i) => (i < order.length ? i + 1 : 0))
    while (after[0] !== 0) {
      const [taken, seen] = [[] as number[], new Set<number>()]
      for (let before = 0; after[before] !== 0 && taken.length < size * parts;) {
        const at = after[before]!
        const example = order[at - 1]!
        if (texts[example]!.some((text) => seen.has(text))) {
          before = at
          continue
        }
        for (const text of texts[example]!) seen.add(text)
        taken.push(example)
        after[before] = after[at]!
      }
      steps.push(Array.from({ length: Math.ceil(taken.length / size) }, (_, i) => Uint32Array.from(taken.slice(i * size, (i + 1) * size))))
    }
    return steps
  }
}
