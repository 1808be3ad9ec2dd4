/** A place that takes a model's files. */
export interface Sink {
  /** Takes a whole file, piece by piece; a file of that name is replaced when the new one is complete. */
  write(name: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>
}
