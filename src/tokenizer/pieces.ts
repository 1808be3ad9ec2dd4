/** Pieces of a text: ids with where they stand and which word they belong to. One is filled again and again. */
export class Pieces {
  length = 0
  ids = new Int32Array(512)
  /** [start, end) in the text, in string indices. */
  starts = new Int32Array(512)
  ends = new Int32Array(512)
  words = new Int32Array(512)

  push(id: number, start: number, end: number, word: number): void {
    const { length } = this
    if (length === this.ids.length) this.grow()
    this.ids[length] = id
    this.starts[length] = start
    this.ends[length] = end
    this.words[length] = word
    this.length = length + 1
  }

  private grow(): void {
    for (const name of ['ids', 'starts', 'ends', 'words'] as const) {
      const larger = new Int32Array(2 * this.length)
      larger.set(this[name])
      this[name] = larger
    }
  }
}
