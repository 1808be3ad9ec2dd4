/** Greedy longest match of a word against a vocabulary; pieces after the first carry the prefix. */
export class WordPiece {
  constructor(
    readonly vocab: ReadonlyMap<string, number>,
    private readonly unknown: number,
    private readonly prefix = '##',
    private readonly longest = 100,
  ) {}

  /** Calls `found(id, from, to)` for each piece of the word, in UTF-16 units of it; a word without a full match is one unknown. */
  split(word: string, found: (id: number, from: number, to: number) => void): void {
    if (word.length > this.longest && [...word].length > this.longest) return found(this.unknown, 0, word.length)
    const pieces: [number, number, number][] = []
    for (let from = 0; from < word.length;) {
      let to = word.length
      let id: number | undefined
      for (; to > from; to--) {
        id = this.vocab.get(from === 0 ? word.slice(0, to) : this.prefix + word.slice(from, to))
        if (id !== undefined) break
      }
      if (id === undefined) return found(this.unknown, 0, word.length)
      pieces.push([id, from, to])
      from = to
    }
    for (const [id, from, to] of pieces) found(id, from, to)
  }
}
