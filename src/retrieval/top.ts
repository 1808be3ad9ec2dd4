/** A row and its score. */
export interface Scored {
  readonly row: number
  readonly score: number
}

/** The best so many of what is offered, in order of rows: of equal scores the one that came first. */
export class Top {
  // A heap whose first is the worst.
  private readonly rows: number[] = []
  private readonly scores: number[] = []

  constructor(private readonly most: number) {}

  /** Offers rows first.. with their scores; `allowed` says which count. */
  offer(first: number, scores: ArrayLike<number>, allowed?: Uint8Array): void {
    let floor = this.floor
    for (let i = 0; i < scores.length; i++) {
      if (!(scores[i]! > floor) || (allowed !== undefined && allowed[first + i] === 0)) continue
      this.put(first + i, scores[i]!)
      floor = this.floor
    }
  }

  /** What a score must be above to count. */
  private get floor(): number {
    return this.rows.length < this.most ? -Infinity : this.scores[0]!
  }

  private put(row: number, score: number): void {
    const { rows, scores } = this
    let at: number
    if (rows.length < this.most) {
      at = rows.push(row) - 1
      scores.push(score)
      for (let up = (at - 1) >> 1; at > 0 && this.worse(at, up); up = (at - 1) >> 1) {
        this.swap(at, up)
        at = up
      }
      return
    }
    ;[rows[0], scores[0], at] = [row, score, 0]
    for (;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < rows.length && this.worse(left, least)) least = left
      if (right < rows.length && this.worse(right, least)) least = right
      if (least === at) return
      this.swap(at, least)
      at = least
    }
  }

  private worse(a: number, b: number): boolean {
    return this.scores[a]! < this.scores[b]! || (this.scores[a] === this.scores[b] && this.rows[a]! > this.rows[b]!)
  }

  private swap(a: number, b: number): void {
    const { rows, scores } = this
    ;[rows[a], rows[b]] = [rows[b]!, rows[a]!]
    ;[scores[a], scores[b]] = [scores[b]!, scores[a]!]
  }

  /** Best first. */
  sorted(): Scored[] {
    return best(this.rows.map((row, i) => ({ row, score: this.scores[i]! })))
  }
}

/** Best first; of equal ones the one that came first. */
export function best(found: readonly Scored[]): Scored[] {
  return [...found].sort((a, b) => b.score - a.score || a.row - b.row)
}
