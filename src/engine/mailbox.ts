/** One mailbox of Int32 words per worker, outside of any model's memory: where it sleeps and finds its next command. */
export const MAILBOX_WORDS = 16

export const Mail = {
  Generation: 0, // bumped by the host after the other words are written
  Command: 1,
  Memory: 2, // id of an attached memory
  Plan: 3,
  First: 4,
  Last: 5,
  Sync: 6,
  Rank: 7,
  Ranks: 8,
  Left: 9, // the generation whose run this worker has left
  Tile: 10, // rows of a GEMM tile; 0: rank 0 finds out
} as const

export const Command = {
  /** Run records as a rank. */
  Run: 1,
  /** Go back to the event loop: a message is on its way. */
  Listen: 2,
} as const

export type FromWorker =
  | { readonly type: 'attached'; readonly memory: number }
  | { readonly type: 'failed'; readonly memory: number; readonly message: string }
  | { readonly type: 'done'; readonly generation: number; readonly status: number; readonly tile: number }

export interface Attach {
  readonly type: 'attach'
  readonly memory: number
  readonly module: WebAssembly.Module
  readonly buffer: WebAssembly.Memory
}
