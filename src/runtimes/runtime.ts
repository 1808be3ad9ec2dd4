/**
 * What the engine asks of the platform. The files of this folder are the only ones that name a platform.
 */
export interface Runtime {
  /** For people: "node 20.20.2". */
  readonly name: string
  /** Threads that run at once. */
  parallelism(): number
  /** Whether workers can exist here; the reason when not. */
  readonly workers: true | string
  /** Starts a worker of the bundled source with `data`; throws when refused. */
  spawn(data: WorkerData): WorkerHandle
  /** Lets the event loop turn once. */
  turn(): Promise<void>
  /** A place that holds model files: a directory or an installed package. */
  source(name: string): import('../weights/source.ts').Source
  /** A place that takes model files: a directory. */
  sink(name: string): import('../weights/sink.ts').Sink
  /** The model that pipelines use when none is named. */
  defaultSource(): import('../weights/source.ts').Source
}

/** What a worker is born with. */
export interface WorkerData {
  /** Mailboxes of all workers, see engine/mailbox.ts. */
  readonly control: SharedArrayBuffer
  readonly index: number
}

export interface WorkerHandle {
  post(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  /** The worker has ended, asked or not. */
  onExit(listener: (reason: string) => void): void
  terminate(): void
  /** A ref'd worker keeps the process alive. */
  ref(): void
  unref(): void
}
