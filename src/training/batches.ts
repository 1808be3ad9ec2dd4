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
    const whole = this.tokens === undefined ? 0 : Math.floor(epochs)
    let steps = 0
    for (let epoch = 0; epoch < whole; epoch++) steps += this.steps(epoch).length
    return steps + (epochs > whole ? Math.ceil((epochs - whole) * this.steps(whole).length) : 0)
  }

  private cut(order: Uint32Array): Step[] {
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
}
