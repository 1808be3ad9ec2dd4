import { ALIGNMENT } from '../graph/memory.ts'

/** First-fit places in one linear memory: arithmetic only, it touches no byte. */
export class Allocator {
  private readonly free: { start: number; end: number }[]
  private readonly sizes = new Map<number, number>()

  constructor(start: number, end: number) {
    this.free = [{ start: alignUp(start), end }]
  }

  /** The start of a free place of `bytes`, or undefined. */
  allocate(bytes: number): number | undefined {
    const size = alignUp(Math.max(bytes, 1))
    const index = this.free.findIndex(({ start, end }) => end - start >= size)
    const hole = this.free[index]
    if (hole === undefined) return undefined
    const { start } = hole
    hole.start += size
    if (hole.start === hole.end) this.free.splice(index, 1)
    this.sizes.set(start, size)
    return start
  }

  release(start: number): void {
    const size = this.sizes.get(start)
    if (size === undefined) throw new Error(`nothing is allocated at ${start}`)
    this.sizes.delete(start)
    let index = this.free.findIndex((hole) => hole.start > start)
    if (index < 0) index = this.free.length
    this.free.splice(index, 0, { start, end: start + size })
    this.join(index)
    this.join(index - 1)
  }

  /** Merges a hole with the next one when they touch. */
  private join(index: number): void {
    const [hole, next] = [this.free[index], this.free[index + 1]]
    if (hole === undefined || next === undefined || hole.end !== next.start) return
    hole.end = next.end
    this.free.splice(index + 1, 1)
  }

  /** Where the last byte in use would be, plus one, if these were released and those allocated; nothing changes. Memory has no end here. */
  rehearse(released: readonly number[], sizes: readonly number[]): number {
    const trial = new Allocator(0, 0)
    trial.free.splice(0, 1, ...this.free.map((hole) => ({ ...hole })))
    for (const [start, size] of this.sizes) trial.sizes.set(start, size)
    const last = trial.free.at(-1)
    if (last !== undefined && last.start >= this.top) last.end = Infinity
    else trial.free.push({ start: this.top, end: Infinity })
    for (const start of released) trial.release(start)
    for (const size of sizes) trial.allocate(size)
    return trial.top
  }

  /** Bytes in use. */
  get used(): number {
    let sum = 0
    for (const size of this.sizes.values()) sum += size
    return sum
  }

  /** One behind the last byte in use. */
  get top(): number {
    let top = 0
    for (const [start, size] of this.sizes) top = Math.max(top, start + size)
    return top
  }
}

export function alignUp(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}
